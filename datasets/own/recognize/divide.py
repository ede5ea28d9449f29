"""Which images train and which validate: by folders, by lists that lie there, or by percent, groups together."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import NamedTuple

from datasets.own.recognize.grouping import NO_GROUPS, group_of
from datasets.own.recognize.pairs import Picture
from datasets.own.recognize.tree import Tree, named
from datasets.own.recognize.vocabulary import split_of_list
from media.files import EXTENSIONS
from utils import textfile
from utils.errors import UserError
from utils.plural import counted

_LISTS = (".txt", ".lst")
_LARGEST = 1 << 24
_MOST_LISTS = 60
_KNOWN = 0.9  # share of a list's lines that name images here


class Division(NamedTuple):
    """How images are divided: "folders", "lists" or "percent". `why`: the evidence, a comment.

    `lists`: {split: file}, `listed`: {split: images that it names}; `plain`: it names them as they are called here, and
    needs no other. `group`: a regular expression, "" for none. `val`: the split that validates. `notes`: lists, and
    images, that are left out.
    """

    kind: str
    why: str
    lists: Mapping[str, str] = {}  # noqa: RUF012
    listed: Mapping[str, Sequence[Picture]] = {}  # noqa: RUF012
    plain: bool = True
    group: str = ""
    val: str = "val"
    notes: tuple[str, ...] = ()


class Lines(NamedTuple):
    """What a list names: `images` that have labels, the number of its lines, and whether names alone stand in it.

    `unknown`: the first line that names none.
    """

    images: list[Picture]
    count: int
    plain: bool
    unknown: str = ""

    @property
    def is_known(self) -> bool:
        """Whether nearly all lines name images here."""
        return len(self.images) > _KNOWN * self.count


def divide(tree: Tree, images: Sequence[Picture], labeled: Iterable[str]) -> Division:
    """Find the splits of images that are there; without any make one by percent."""
    having = {*labeled}
    if len(having) < 2:
        raise UserError(f"{tree.root}: one image has a label; a training needs two, one of them to validate")
    found = Counter(picture.split for picture in images if picture.path in having)
    counts = ", ".join(
        f"{counted(found[split], 'image')} of {split}" for split in ("train", "val", "test") if found[split]
    )
    lists = _lists(tree)
    if found["train"] and found["val"]:
        return Division("folders", f"the folders name them: {counts}", notes=_beside_folders(images, having, lists))
    chosen, notes = split_lists(tree, lists, [picture for picture in images if picture.path in having])
    if chosen:
        files = ", ".join(f"{file} ({split})" for split, (file, _) in chosen.items())
        return Division(
            "lists",
            f"lists that lie there name them: {files}",
            {split: file for split, (file, _) in chosen.items()},
            {split: lines.images for split, (_, lines) in chosen.items()},
            all(lines.plain for _, lines in chosen.values()),
            val="val" if "val" in chosen else "test",
            notes=(*notes, *_in_none(images, having, [lines for _, lines in chosen.values()])),
        )
    if found["train"] and found["test"]:
        why = f"the folders name them: {counts}. No folder is called val: the labeled test images validate"
        return Division("folders", why, val="test", notes=notes)
    home = tree.root.resolve().name  # the file that is written stands beside it
    group, why = group_of([f"{home}/{picture.path}" for picture in images if picture.path in having])
    unkept = () if group or why.startswith(NO_GROUPS) else (f"sequences or places are not kept together: {why}",)
    return Division("percent", why, group=group, notes=(*notes, *unkept))


def _beside_folders(
    images: Sequence[Picture], labeled: set[str], lists: Sequence[Mapping[str, str]]
) -> tuple[str, ...]:
    """Say which labeled images lie in no folder of a split, and that lists are not used."""
    left = [picture.path for picture in images if picture.path in labeled and not picture.split]
    every = [file for of_split in lists for file in of_split.values()]
    return (
        *([f"{counted(len(left), 'labeled image')} in no folder of a split, left out: {named(left)}"] if left else []),
        *([f"lists that are not used, since folders divide the images: {named(every)}"] if every else []),
    )


def _in_none(images: Sequence[Picture], labeled: set[str], lists: Sequence[Lines]) -> tuple[str, ...]:
    """Say which labeled images stand in no list."""
    listed = {picture.path for lines in lists for picture in lines.images}
    left = [picture.path for picture in images if picture.path in labeled and picture.path not in listed]
    return (f"{counted(len(left), 'labeled image')} in no list, left out: {named(left)}",) if left else ()


def _lists(tree: Tree) -> list[dict[str, str]]:
    """Find lists whose names are those of splits, by folder: {split: file}."""
    by_folder: dict[str, dict[str, str]] = defaultdict(dict)
    both: dict[str, str] = {}
    for file in tree.with_suffix(*_LISTS):
        where = PurePosixPath(file)
        if split := split_of_list(where.stem):
            by_folder[str(where.parent)].setdefault(split, file)
        elif where.stem.lower() == "trainval":
            both[str(where.parent)] = file
    for folder, file in both.items():  # beside a test alone, both are for training
        if "val" not in by_folder[folder]:
            by_folder[folder].setdefault("train", file)
    return [found for found in by_folder.values() if found]


def split_lists(
    tree: Tree, found: Sequence[dict[str, str]], labeled: Sequence[Picture]
) -> tuple[dict[str, tuple[str, Lines]], tuple[str, ...]]:
    """Choose the lists of one folder for training and validation (or test): {split: (file, what it names)}.

    Of several folders with lists the one whose images have labels: VOC's ImageSets hold others too. Also gives a line
    about the lists that are not used, with the reasons.
    """
    index = _index(labeled)
    best: tuple[float, dict[str, tuple[str, Lines]]] = (0.0, {})
    reasons: dict[str, str] = {}
    for lists in found[:_MOST_LISTS]:
        read = {split: (file, _lines(tree, file, index)) for split, file in sorted(lists.items(), key=_in_order)}
        kept = {split: one for split, one in read.items() if one[1].is_known}
        score = sum(len(lines.images) for _, lines in kept.values())
        reasons |= {file: _reason(lines, kept) for file, lines in read.values()}
        if "train" in kept and len(kept) > 1 and score > best[0]:
            best = score, kept
    used = {file for file, _ in best[1].values()}
    left = [f"{file} ({why})" for file, why in reasons.items() if file not in used]
    more = [
        f"{file}: {counted(lines.count - len(lines.images), 'line')} left out, which name no labeled image here, "
        f"{lines.unknown!r} first"
        for file, lines in best[1].values()
        if lines.unknown
    ]
    note = f"{counted(len(left), 'list')} of images not used: {named(left)}"
    return best[1], (*([note] if left else []), *more)


def _in_order(one: tuple[str, str]) -> int:
    return ("train", "val", "test").index(one[0])


def _reason(lines: Lines, kept: Mapping[str, object]) -> str:
    """Say why a list is not used, if it is not."""
    if not lines.count:
        return "it is empty, or cannot be read"
    if not lines.is_known:
        first = f", {lines.unknown!r} not" if lines.unknown else ""
        return f"{len(lines.images)} of {counted(lines.count, 'line')} name labeled images here{first}"
    if "train" not in kept or len(kept) < 2:
        return "beside it no list is of train, and another of val or test, that names images here"
    return "another folder's name more images"


def _index(images: Sequence[Picture]) -> dict[str, Picture | None]:
    """Index images by the ends of their paths without suffix: "b/x", "x"; None: several end so."""
    index: dict[str, Picture | None] = {}
    for picture in images:
        parts = PurePosixPath(picture.path).with_suffix("").parts
        for start in range(len(parts)):
            name = "/".join(parts[start:])
            index[name] = None if name in index else picture
    return index


def _lines(tree: Tree, file: str, index: Mapping[str, Picture | None]) -> Lines:
    """Read a list: names or paths, of this machine or another, a label behind them or not."""
    try:
        lines = [] if tree.path(file).stat().st_size > _LARGEST else textfile.lines(tree.path(file), names=True)
    except (UserError, OSError):
        lines = []
    lines = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    found = [(line, image) for line in lines if (image := _image(line, index))]
    unknown = next((line for line in lines if not _image(line, index)), "") if len(found) < len(lines) else ""
    plain = all(line in (PurePosixPath(image.path).stem, PurePosixPath(image.path).name) for line, image in found)
    return Lines([image for _, image in found], len(lines), plain and not unknown, unknown)


def _image(line: str, index: Mapping[str, Picture | None]) -> Picture | None:
    """Find the image that a line names, by as much of its path as both have."""
    for name in (line, *re.split(r"[\t,]", line)[:1], *line.split()[:1]):
        parts = PureWindowsPath(name.strip()).parts
        whole = "/".join(parts)
        bare = whole.rpartition(".")[0] if PurePosixPath(whole).suffix.lower() in EXTENSIONS else whole
        for start in range(len(parts)):
            if image := index.get("/".join(bare.split("/")[start:])):
                return image
    return None
