"""A dataset's file as values: what it says, checked as far as that needs no image and no label."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datasets.own import classes, labelkeys, parts, percent
from datasets.own.contract import LabelKind, LabelRules
from datasets.own.kinds import KINDS
from datasets.own.parts import Part
from datasets.own.percent import Percent
from datasets.registry import DATASETS

MODES = ("train", "val", "test")
_TOP = (
    "name", "images", "labels", "classes", "ignore", "unknown", "missing", "background", "overlap", "merge", "splits",
    "cut", "sets",
)  # fmt: skip
_TOGETHER = ("name", "sets", "classes", "ignore", "merge", "cut")  # what a file of several sets has
_LEAST_CUT = 64
_SHARES = {"train": 80, "val": 20}
_OF_PERCENT = ("percent", "seed", "group")


@dataclass(frozen=True)
class Files:
    """Where a split's images are and, if that is said, its labels: paths as they are written."""

    images: tuple[str, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class OwnSet:
    """A file that describes one set; paths are as they are written.

    `rules`: what it says of its labels, without their `paths`. `splits`: shares, or the files of each split, or {split:
    a list of names}. `given`: `splits` stands in the file.
    """

    file: str
    name: str
    images: tuple[str, ...]
    paths: tuple[str, ...]
    rules: LabelRules
    merged: classes.Merged
    missing: str
    splits: Percent | dict[str, Files] | dict[str, str]
    given: bool
    cut: int

    @property
    def row(self) -> LabelKind:
        """The row of the kind of its labels."""
        return KINDS[self.rules.kind]

    @property
    def modes(self) -> tuple[str, ...]:
        """The splits that it has."""
        return tuple(self.splits.shares) if isinstance(self.splits, Percent) else tuple(self.splits)


@dataclass(frozen=True)
class Use:
    """One of several sets: a dataset's file or a published name, its folder, and the splits that it takes part in."""

    part: Part
    file: str = ""
    dataset: str = ""
    root: str = ""
    modes: tuple[str, ...] = MODES


@dataclass(frozen=True)
class OwnSets:
    """A file that joins several sets. `order`: the classes, by name; empty: as they come."""

    file: str
    name: str
    sets: tuple[Use, ...]
    order: tuple[str, ...]
    ignored: tuple[str, ...]
    merge: Part | None
    cut: int
    tree: Part = field(repr=False)


def read(file: str) -> OwnSet | OwnSets:
    """Read a dataset's file. UserError of one line, with file, key and value, for what does not fit."""
    top = parts.read(file)
    found = top.parts(_TOP)
    name = _name(found.get("name"), file)
    cut = found["cut"].whole(_LEAST_CUT, 1 << 20) if "cut" in found else 0
    if "sets" in found:
        return _sets(top, found, name, cut)
    top.parts(_TOP, ["labels", "classes"])
    splits = _splits(found.get("splits"))
    images = _images(top, found, splits)
    kind, paths, options = labelkeys.labels(found["labels"])
    own, further = classes.read(found["classes"], Path(file).parent)
    keys = labelkeys.Keys(top, found, KINDS[kind], kind, own)
    merged = classes.merged([one.name for one in own], [one.color for one in own], found.get("merge"))
    keys.check_classes(merged)
    background = keys.background()
    rules = LabelRules(
        kind, (), own, (*keys.ignored(), *(further if KINDS[kind].by == "id" else ())), background, keys.overlap(),
        keys.unknown(), options,
    )  # fmt: skip
    return OwnSet(file, name, images, paths, rules, merged, keys.missing(background), splits, "splits" in found, cut)


def _name(part: Part | None, file: str) -> str:
    """Read the dataset's name, which is part of names of files."""
    name = part.text() if part else re.sub(r"[^\w-]", "_", Path(file).stem)
    if part and not all(c.isalnum() or c in "_-" for c in name):
        raise part.wrong(f"{name!r} has other characters than letters, digits, _ and -")
    return name


def _images(top: Part, found: Mapping[str, Part], splits: object) -> tuple[str, ...]:
    """Read `images`, which is needed where no split names its own, and is out of place where each does."""
    by_folders = isinstance(splits, dict) and any(isinstance(value, Files) for value in splits.values())
    if "images" not in found:
        if isinstance(splits, Percent):
            raise top.wrong("images is missing: give a folder, a glob or a list")
        return ()
    if by_folders:
        raise found["images"].wrong("splits names the images of each split: leave one of the two out")
    return found["images"].texts()


def _splits(part: Part | None) -> Percent | dict[str, Files] | dict[str, str]:
    """Read `splits` in any of its three forms."""
    if part is None:
        return Percent(_SHARES, 0, "")
    found = part.parts((*MODES, *_OF_PERCENT))
    if "percent" in found:
        return percent.read(part, MODES)
    for name in found:
        if name in _OF_PERCENT:
            raise found[name].wrong(
                "it belongs to splits by percent: leave it out, or give percent: {train: 80, val: 20}"
            )
    if not found:
        raise part.wrong("it is empty: give train and val, or percent")
    lists = {mode: one.text() for mode, one in found.items() if isinstance(one.value, str)}
    if len(lists) == len(found):
        return lists
    if lists:
        mode = next(iter(lists))
        raise found[mode].wrong("a list here, folders in another split: give all splits in one way")
    return {mode: _files(one) for mode, one in found.items()}


def _files(part: Part) -> Files:
    """Read a split's images and labels."""
    found = part.parts(("images", "labels"), ["images"])
    return Files(found["images"].texts(), found["labels"].texts() if "labels" in found else ())


def _sets(top: Part, found: Mapping[str, Part], name: str, cut: int) -> OwnSets:
    """Read a file of several sets."""
    top.parts(_TOP)
    for key in found:
        if key not in _TOGETHER:
            raise found[key].wrong(f"each of the sets says its own: beside sets stand {', '.join(_TOGETHER)}")
    uses = tuple(_use(entry) for entry in found["sets"].entries())
    order = found["classes"].texts() if "classes" in found else ()
    ignored = found["ignore"].texts() if "ignore" in found else ()
    return OwnSets(top.file, name, uses, order, ignored, found.get("merge"), cut, top)


def _use(entry: Part) -> Use:
    """Read one of several sets."""
    if isinstance(entry.value, str):
        word = entry.text()
        if word in DATASETS:
            raise entry.wrong(f"{word!r} is a published dataset: write {{dataset: {word}, root: ITS FOLDER}}")
        return Use(entry, file=word)
    parts_ = entry.parts(("file", "dataset", "root", "use"))
    if ("file" in parts_) == ("dataset" in parts_):
        raise entry.wrong("give either file or dataset")
    dataset = parts_["dataset"].choice([*DATASETS]) if "dataset" in parts_ else ""
    modes = tuple(one.choice(MODES) for one in parts_["use"].one_or_more()) if "use" in parts_ else MODES
    root = parts_["root"].text() if "root" in parts_ else ""
    return Use(entry, parts_["file"].text() if "file" in parts_ else "", dataset, root, modes)
