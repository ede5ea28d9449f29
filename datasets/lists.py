"""Lists of files: a line an image, with its label behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets import labelids
from datasets.base import Item, Split
from datasets.folder import unlike
from datasets.palette import distinct
from datasets.repeated import once
from utils import textfile, yamlfile
from utils.contracts import DatasetSpec
from utils.errors import UserError

# What Cityscapes' images end in, and pictures of them do not.
_ENDING = "_leftImg8bit"
_BLANKS = re.compile(r"[ \t]+")  # other blanks of Unicode may stand in a name
_BLANKS_PART = "; blanks part columns, so that names may hold none"
_LARGEST = (1 << 16) - 1  # value of a label file


def listing(path: str, root: str, spec: DatasetSpec, labelled: bool = True, label_ids: str = "auto") -> Split:
    """Images of a list, in its order, paths below `root`, each once.

    Columns, parted by blanks: image, label, and a coloured label, which is not read; of test images the image alone.
    UserError names the line whose columns do not fit or whose file is missing. `label_ids`: as of folders.
    """
    lines = textfile.lines(path, f"the list {path}", names=True)
    items, notes = once(_rows(path, lines, Path(root), labelled), path)
    if not items:
        raise UserError(f"the list {path} is empty")
    names = unlike([_names(Path(item.image), Path(root)) for item in items])
    train_ids = [labelids.told(item.label, spec, label_ids) if item.label else False for item in items]
    named = zip(items, names, train_ids, strict=True)
    return Split.plain([item._replace(name=name, train_ids=ids) for item, name, ids in named], notes)


def labels(path: str, root: str) -> list[str]:
    """Label files of a list that are there; of one that cannot be read none."""
    try:
        rows = [_columns(line) for line in textfile.lines(path, f"the list {path}", names=True)]
    except UserError:
        return []
    files = dict.fromkeys(str(Path(root) / row[1]) for row in rows if len(row) > 1)
    return [file for file in files if Path(file).is_file()]


def _columns(line: str) -> list[str]:
    """The words of a line; none of an empty line and a comment."""
    return [] if line.startswith("#") else [word for word in _BLANKS.split(line) if word]


def _rows(path: str, lines: list[str], root: Path, labelled: bool) -> Iterator[tuple[int, Item]]:
    for number, line in enumerate(lines, 1):
        words = _columns(line)
        if not words:
            continue
        where, blanks = f"{path}, line {number}", _BLANKS_PART if len(words) > 3 else ""
        if labelled and len(words) not in (2, 3):
            raise UserError(f"{where}: {len(words)} columns; an image and its label are 2, with colours 3{blanks}")
        if not labelled and len(words) > 3:
            raise UserError(f"{where}: {len(words)} columns; of a test image there is 1{blanks}")
        used = [root / word for word in words[: 2 if labelled else 1]]
        for file in used:
            if not file.is_file():
                textfile.check_utf8(line, where)
                raise UserError(f"{where}: {file} is not there; is {root} the folder that its paths start from?")
        yield number, Item(str(used[0]), str(used[1]) if labelled else None, "")


def _names(image: Path, root: Path) -> list[str]:
    """The stem, or the whole path where others have the same one."""
    stem = image.stem.removesuffix(_ENDING)
    place = image.parent.relative_to(root) if image.is_relative_to(root) else image.parent
    return [stem, "__".join([*(part for part in place.parts if part != "/"), stem])]


def spec_of(path: str, num_classes: int) -> DatasetSpec:
    """Classes of a list's labels: told by a YAML file, or `num_classes` of them that have no names.

    The file's `names` are the classes; `ids`: the label value of each, 0 to 65535, where they are not 0, 1, 2, ...;
    `ignore`: label values that are left out (255 always is, unless it is one of `ids`); `colours`: [R, G, B] of each.
    UserError for anything else in it.
    """
    if not path:
        if num_classes < 1:
            raise UserError("--dataset list: give --classes FILE.yaml, or the number of classes with --num_class")
        names = tuple(f"class {i}" for i in range(num_classes))
        return DatasetSpec("list", names, distinct(num_classes))
    tree = _table(path)
    try:
        names = tuple(_name(name, path) for name in [] + tree["names"])  # a list, not a word's letters
        ids = [_whole(value) for value in [] + tree.get("ids", [])] or list(range(len(names)))
        ignored = {_whole(value): 255 for value in [] + tree.get("ignore", [])}
        colours = tuple((_whole(r), _whole(g), _whole(b)) for r, g, b in tree.get("colours") or distinct(len(names)))
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        advice = "give names: [road, ...], and where needed ids, ignore, colours"
        raise UserError(f"--classes {path} is no table of classes: {advice}") from None
    _check_once(names, path)
    unknown = sorted(set(map(str, tree)) - {"names", "ids", "ignore", "colours"})
    if unknown or not names or len(ids) != len(names) or len(colours) != len(names) or len({*ids}) != len(ids):
        odd = f"{', '.join(unknown)} is unknown" if unknown else f"{len(names)} names, {len({*ids})} different ids"
        raise UserError(f"--classes {path}: {odd}, {len(colours)} colours; every class needs one of each")
    parts = (*((i, _LARGEST) for i in (*ids, *ignored)), *((i, 255) for colour in colours for i in colour))
    if odd := [number for number, last in parts if not 0 <= number <= last]:
        limits = f"ids and values to ignore are 0 to {_LARGEST}, parts of colours 0 to 255"
        raise UserError(f"--classes {path}: {odd[0]} is out of range; {limits}")
    if both := sorted({*ids} & {*ignored}):
        raise UserError(f"--classes {path}: {both[0]} is among the ids and among the values to ignore; leave one out")
    return DatasetSpec(
        name=f"list ({Path(path).stem})",
        classes=names,
        palette=colours,
        id_to_train={255: 255, **ignored, **{value: train for train, value in enumerate(ids)}},
        train_to_id=tuple(ids),
    )


def _whole(value: object) -> int:
    """A whole number; ValueError for 1.5 or true, which are no label values and no parts of colours."""
    return int(str(value))


def _table(path: str) -> Any:
    """What a file of classes says, names as they were written. UserError for a part with nothing below it."""
    tree = yamlfile.load(path, f"--classes {path}", text=("names", "ids", "ignore"))
    if isinstance(tree, dict) and None in tree.values():
        empty = next(name for name, value in tree.items() if value is None)
        raise UserError(f"--classes {path}: {empty} is empty: give its values, or leave it out")
    return tree


def _name(name: object, path: str) -> str:
    """A class's name, as it was written. UserError for none."""
    if not isinstance(name, str) or not name.strip():
        raise UserError(f"--classes {path}: {name!r} is no name of a class: each entry of names is one word or text")
    return name.strip()


def _check_once(names: Sequence[str], path: str) -> None:
    """UserError for a name of two classes: their scores could not be told apart."""
    for i, name in enumerate(names):
        if name in names[:i]:
            places = f"{names.index(name) + 1}. and {i + 1}. of names"
            raise UserError(f"--classes {path}: the class {name!r} stands twice, {places}: name each class differently")
