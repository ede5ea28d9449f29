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


def pattern(images: Sequence[Picture], labels: Sequence[str], folder: str) -> str:
    """Find "masks/{dir}/{stem}_mask.png", which names the label of each image; "" where no pattern does.

    `folder`: where the images begin, from which {dir} counts.
    """
    found = {_pattern(image.path, label, folder) for image, label in zip(images, labels, strict=True)}
    if len(found) == 1:
        return found.pop()
    deep = {_pattern(image.path, label, folder, True) for image, label in zip(images, labels, strict=True)}
    return deep.pop() if len(deep) == 1 else ""


def _pattern(image: str, label: str, folder: str, deep: bool = False) -> str:
    """Write a label's path by its image's name and, where it is `deep`, by its folder."""
    where = PurePosixPath(image)
    inside = where.relative_to(folder or ".").parent.as_posix() if image.startswith(folder) else ""
    place, _, name = label.rpartition("/")
    if where.stem not in name:
        return ""
    head, _, tail = name.partition(where.stem)
    if deep and inside not in ("", "."):
        if not f"/{place}/".endswith(f"/{inside}/"):
            return ""
        place = f"{place[: len(place) - len(inside)]}{{dir}}"
    return f"{place}/{head}{{stem}}{tail}" if place else f"{head}{{stem}}{tail}"
