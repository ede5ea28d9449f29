"""Lists of files: a line an image, with its label behind it. As a dataset: what such lists name, with own classes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import classfile, labelids, odgt
from datasets.base import Item, Split
from datasets.entry import DatasetEntry
from datasets.itemtable import ItemTable
from datasets.palette import distinct
from datasets.reading import absent_label
from datasets.repeated import once
from media.files import unique_names
from utils import textfile
from utils.contracts import DatasetSpec
from utils.errors import UserError, clipped

# What Cityscapes' images end in, and pictures of them do not.
_ENDING = "_leftImg8bit"
_BLANKS = re.compile(r"[ \t]+")  # other blanks of Unicode may stand in a name
_ODD = re.compile(r"//|(^|/)\.(/|$)|/$|^$")  # what pathlib writes otherwise
_BLANKS_PART = "; blanks part columns, so that names may hold none"


def split(path: str, root: str, spec: DatasetSpec, labeled: bool = True, label_ids: str = "auto") -> Split:
    """Read images of a list, in its order, paths below `root`, each once; of .odgt files as ADE20K has them.

    Columns, parted by blanks: image, label, and a colored label, which is not read; of test images the image alone.
    UserError names the line whose columns do not fit or whose file is missing. `label_ids`: as of folders.
    """
    if path.endswith(".odgt"):
        return odgt.split(path, root)
    lines = textfile.each_line(path, f"the list {path}", names=True)
    items, notes = once(_rows(path, lines, Path(root), labeled), path)
    if not items:
        raise UserError(f"the list {path} is empty")

    def complete() -> Iterator[Item]:
        for item, name in zip(items, unique_names(_Names(items, str(Path(root)))), strict=True):
            train_ids = labelids.holds_train_ids(item.label, spec, label_ids) if item.label else False
            yield item._replace(name=name, train_ids=train_ids)

    return Split.plain(ItemTable.of(complete()), notes)


def labels(path: str, root: str) -> list[str]:
    """List label files of a list that are there; of one that cannot be read none."""
    try:
        rows = map(_columns, textfile.each_line(path, f"the list {path}", names=True))
        files = dict.fromkeys(_below(str(Path(root)), row[1]) for row in rows if len(row) > 1)
    except UserError:
        return []
    return [file for file in files if os.path.isfile(file)]


def _columns(line: str) -> list[str]:
    """Split a line into its words; none of an empty line and a comment."""
    return [] if line.startswith("#") else [word for word in _BLANKS.split(line) if word]


def _below(root: str, place: str) -> str:
    """Write a place below a root, itself as pathlib writes it, in the same way; several times as fast as that."""
    if _ODD.search(place):
        return str(Path(root, place))
    return place if place.startswith("/") or root == "." else f"{root.removesuffix('/')}/{place}"


def _rows(path: str, lines: Iterable[str], root: Path, labeled: bool) -> Iterator[tuple[int, Item]]:
    for number, line in enumerate(lines, 1):
        words = _columns(line)
        if not words:
            continue
        where, blanks = f"{path}, line {number}", _BLANKS_PART if len(words) > 3 else ""
        if labeled and len(words) not in (2, 3):
            raise UserError(f"{where}: {len(words)} columns; an image and its label are 2, with colors 3{blanks}")
        if not labeled and len(words) > 3:
            raise UserError(f"{where}: {len(words)} columns; of a test image there is 1{blanks}")
        used = [_below(str(root), word) for word in words[: 2 if labeled else 1]]
        for file in used:
            if not os.path.isfile(file):
                textfile.check_utf8(line, where)
                there = f"{where}: {clipped(file)} is not there; is {root} the folder that its paths start from?"
                absent_label(Path(file), there)
        yield number, Item(used[0], used[1] if labeled else None, "")


@dataclass
class _Names(Iterable[list[str]]):
    """Offers, for each item, the stem, or the whole path below the root where others have the same one."""

    items: Iterable[Item]
    root: str

    def __iter__(self) -> Iterator[list[str]]:
        below = "" if self.root == "." else f"{self.root.removesuffix('/')}/"
        for item in self.items:
            folder, name = os.path.split(item.image.removeprefix(below))
            dot = name.rfind(".")
            stem = (name[:dot] if 0 < dot < len(name) - 1 else name).removesuffix(_ENDING)
            yield [stem, "__".join([*filter(None, folder.split("/")), stem])]


def read_spec(root: str, cfg: Any) -> DatasetSpec:  # noqa: ARG001
    """Read the classes of --classes, or --num_class many that have no names."""
    if cfg.DATASET.CLASSES:
        return classfile.read(cfg.DATASET.CLASSES)
    count = cfg.DATASET.NUM_CLASSES
    if count < 1:
        raise UserError("--dataset list: give --classes FILE.yaml, or the number of classes with --num_class")
    return DatasetSpec("list", tuple(f"class {i}" for i in range(count)), distinct(count))


def items(root: str, mode: str, cfg: Any) -> list[Item]:  # noqa: ARG001
    """UserError: without a list there are none."""
    flag = {"val": "--list_val", "test": "--list_test"}.get(mode, "--list_train")
    raise UserError(f"--dataset list needs a list of images and labels here: give {flag} FILE.lst")


DATASET = DatasetEntry(DatasetSpec("list", (), ()), items, read_spec=read_spec, reads=("CLASSES",))
