"""How a dataset's file names some of the files of a folder: by a folder, by globs, or by a pattern for each image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from datasets.own.recognize.pairs import Picture
from datasets.own.recognize.tree import common_folder
from datasets.own.recognize.vocabulary import stem_of

_MOST_FOLDERS = 12


def select(wanted: Sequence[str], every: Sequence[str]) -> list[str] | None:
    """Find folders or globs that choose exactly the `wanted` of all pictures; None where none do."""
    aim = {*wanted}
    if not aim:
        return None
    for choice in _choices(wanted):
        if {path for path in every if any(_chosen(path, one) for one in choice)} == aim:
            return choice
    return None


def _choices(wanted: Sequence[str]) -> Iterable[list[str]]:
    """Offer ways to name files, the plainest first."""
    folder = common_folder(wanted)
    yield [folder or "."]
    parents = sorted({str(PurePosixPath(path).parent) for path in wanted})
    suffixes = sorted({PurePosixPath(path).suffix for path in wanted})
    if len(parents) == 1:
        yield [_joined(folder, f"*{suffix}") for suffix in suffixes]
    yield [_joined(folder, f"**/*{suffix}") for suffix in suffixes]
    ends = sorted({stem_of(PurePosixPath(path).stem).ending + PurePosixPath(path).suffix for path in wanted})
    if len(ends) <= _MOST_FOLDERS:
        yield [_joined(folder, f"*{end}" if len(parents) == 1 else f"**/*{end}") for end in ends]
    if 1 < len(parents) <= _MOST_FOLDERS:
        yield parents
    tails = {_after_number(path) for path in wanted}
    if len(tails) == 1 and (tail := tails.pop()):
        yield [_joined(folder, f"**/*[0-9]{tail}")]


def _after_number(path: str) -> str:
    found = re.search(r"[0-9]([^0-9/]*)$", path)
    return found[1] if found else ""


def _joined(folder: str, rest: str) -> str:
    return f"{folder}/{rest}" if folder else rest


def _chosen(path: str, choice: str) -> bool:
    """Tell whether a folder or a glob names a path, as the dataset's file is read."""
    if "*" not in choice:
        return choice == "." or path.startswith(choice + "/")
    return _expression(choice).fullmatch(path) is not None


_KNOWN: dict[str, re.Pattern[str]] = {}


def _expression(glob: str) -> re.Pattern[str]:
    """Translate a glob: ** is any number of folders, * anything within a name, [0-9] a digit."""
    if glob not in _KNOWN:
        parts = re.split(r"(\*\*/|\*|\[0-9\])", glob)
        signs = {"**/": r"(?:[^/]+/)*", "*": r"[^/]*", "[0-9]": "[0-9]"}
        _KNOWN[glob] = re.compile("".join(signs.get(part) or re.escape(part) for part in parts))
    return _KNOWN[glob]


def pattern(images: Sequence[Picture], labels: Sequence[str], home: str | None) -> str:
    """Find "masks/{dir}/{stem}_mask.png", which names the label of each image; "" where no pattern does.

    `home`: where the paths of images begin, from which {dir} counts; None: there is no one such place.
    """
    both = list(zip(images, labels, strict=True))
    for write in (_flat, _deep):
        found = {write(image.path, label, home) for image, label in both}
        if len(found) == 1 and (one := found.pop()):
            return one
    return ""


def _flat(image: str, label: str, home: str | None) -> str:  # noqa: ARG001
    """Write a label's path by its image's name."""
    place, _, name = label.rpartition("/")
    head, found, tail = name.partition(PurePosixPath(image).stem)
    return _joined(place, f"{head}{{stem}}{tail}") if found else ""


def _deep(image: str, label: str, home: str | None) -> str:
    """Write a label's path by its image's name and folder."""
    if home is None:
        return ""
    inside = PurePosixPath(image).parent.relative_to(home or ".").as_posix()
    flat = _flat(image, label, home)
    place, _, name = flat.rpartition("/")
    if inside == "." or not f"/{place}".endswith(f"/{inside}"):
        return ""
    return f"{place[: len(place) - len(inside)]}{{dir}}/{name}"
