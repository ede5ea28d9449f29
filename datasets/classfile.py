"""Classes that a YAML file declares (--classes FILE), for data that are no published dataset."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from datasets.classes import of_table
from datasets.palette import distinct
from utils import yamlfile
from utils.contracts import DatasetSpec
from utils.errors import UserError, nearest

_LARGEST = (1 << 16) - 1  # value of a label file
_KEYS = ("names", "ids", "ignore", "colors", "colours")


def read(path: str, dataset: str = "list") -> DatasetSpec:
    """Read the classes of a file, for labels of `dataset`.

    Its `names` are the classes; `ids`: the label value of each, 0 to 65535, where they are not 0, 1, 2, ...; `ignore`:
    label values that are left out (255 always is, unless it is one of `ids`); `colors` (or `colours`): [R, G, B] of
    each. UserError for anything else in it.
    """
    tree = _table(path)
    try:
        names = tuple(_name(name, path) for name in [] + tree["names"])  # a list, not a word's letters
        ids = [_whole(value) for value in [] + tree.get("ids", [])] or list(range(len(names)))
        ignored = [_whole(value) for value in [] + tree.get("ignore", [])]
        given = tree.get("colors") or tree.get("colours") or distinct(len(names))
        colors = tuple((_whole(r), _whole(g), _whole(b)) for r, g, b in given)
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        advice = "give names: [road, ...], and where needed ids, ignore, colors"
        raise UserError(f"--classes {path} is no table of classes: {advice}") from None
    _check_keys([str(key) for key in tree], path)
    _check_once(names, path)
    _check_counts(path, names, ids, colors)
    _check_values(path, ids, ignored, colors)
    table = zip(names, colors, strict=True)
    return of_table(f"{dataset} ({Path(path).stem})", table, ids, ignored=(255, *ignored))


def _check_keys(keys: Sequence[str], path: str) -> None:
    """Raise UserError for unknown parts, and for colors in both spellings."""
    for key in [key for key in keys if key not in _KEYS]:
        raise UserError(f"--classes {path}: {key} is unknown{nearest(key, _KEYS)}; known: {', '.join(_KEYS)}")
    if {"colors", "colours"} <= {*keys}:
        raise UserError(f"--classes {path}: colors and colours are the same: leave one out")


def _check_counts(path: str, names: Sequence, ids: Sequence[int], colors: Sequence) -> None:
    """Raise UserError for parts that are not as many as the classes."""
    if not names or not len(names) == len(ids) == len({*ids}) == len(colors):
        odd = f"{len(names)} names, {len({*ids})} different ids"
        raise UserError(f"--classes {path}: {odd}, {len(colors)} colors; every class needs one of each")


def _check_values(path: str, ids: Sequence[int], ignored: Collection[int], colors: Sequence[tuple[int, ...]]) -> None:
    """Raise UserError for numbers out of range, and for a value that is a class and ignored."""
    parts = (*((i, _LARGEST) for i in (*ids, *ignored)), *((i, 255) for color in colors for i in color))
    if odd := [number for number, last in parts if not 0 <= number <= last]:
        limits = f"ids and values to ignore are 0 to {_LARGEST}, parts of colors 0 to 255"
        raise UserError(f"--classes {path}: {odd[0]} is out of range; {limits}")
    if both := sorted({*ids} & {*ignored}):
        raise UserError(f"--classes {path}: {both[0]} is among the ids and among the values to ignore; leave one out")


def _whole(value: object) -> int:
    """Read a whole number; ValueError for 1.5 or true, which are no label values and no parts of colors."""
    return int(str(value))


def _table(path: str) -> Any:
    """Read what a file of classes says, names as they were written. UserError for a part with nothing below it."""
    tree = yamlfile.load(path, f"--classes {path}", text=("names", "ids", "ignore"))
    if isinstance(tree, dict) and None in tree.values():
        empty = next(name for name, value in tree.items() if value is None)
        raise UserError(f"--classes {path}: {empty} is empty: give its values, or leave it out")
    return tree


def _name(name: object, path: str) -> str:
    """Check a class's name, which stays as it was written. UserError for none."""
    if not isinstance(name, str) or not name.strip():
        raise UserError(f"--classes {path}: {name!r} is no name of a class: each entry of names is one word or text")
    return name.strip()


def _check_once(names: Sequence[str], path: str) -> None:
    """Raise UserError for a name of two classes: their scores could not be told apart."""
    for i, name in enumerate(names):
        if name in names[:i]:
            places = f"{names.index(name) + 1}. and {i + 1}. of names"
            raise UserError(f"--classes {path}: the class {name!r} stands twice, {places}: name each class differently")
