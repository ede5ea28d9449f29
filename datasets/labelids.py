"""Which of Cityscapes' two conventions label files keep: its own ids (7 is road), or train ids (0 is road).

Nothing else is ever guessed: the values that a dataset or a class file declares are what its files hold.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.base import Item, Split
from datasets.itemtable import ItemTable
from datasets.reading import read_label
from utils.contracts import DatasetSpec
from utils.errors import UserError
from utils.evenly import spread

_LOOKED_AT = 20  # files of each list or folder


class Guess(NamedTuple):
    """Whether labels hold train ids, and the line on it for the log."""

    train_ids: bool
    note: str


def holds_train_ids(label: str, spec: DatasetSpec, label_ids: str = "auto") -> bool | None:
    """Say whether a label file holds train ids, by `label_ids` ("raw", "train"), the dataset, or the file's name.

    None: nobody says it.
    """
    if label_ids != "auto":
        return label_ids == "train"
    if not spec.also_train_ids:
        return False
    name = os.path.basename(label)
    return True if "labelTrainIds" in name else False if "labelIds" in name else None


def undecided(items: Sequence[Item]) -> list[str]:
    """List label files of which nobody says what they hold."""
    return [item.label for item in items if item.label is not None and item.train_ids is None]


def places(
    sources: Mapping[str, Sequence[str]], undecided: Sequence[str], spec: DatasetSpec
) -> Mapping[str, Sequence[str]]:
    """Name what is looked at: of `sources` (list or folder: files) those that nobody speaks for, else `undecided`."""
    looked_at = {
        source: [file for file in files if holds_train_ids(file, spec) is None] for source, files in sources.items()
    }
    return looked_at or {str(Path(undecided[0]).parent): undecided}


def look(places: Mapping[str, Sequence[str]], spec: DatasetSpec, skips_bad: bool = False) -> Guess:
    """Guess the convention of the labels of all `places` (list or folder: files), by the values of some of each.

    `skips_bad`: labels that cannot be read say nothing.

    Only ids beyond the classes, such as Cityscapes' 23 for sky, tell the two apart for certain; nearly every street
    image has one.
    """
    some = {place: spread(files, _LOOKED_AT) for place, files in places.items() if files}
    for path in (path for paths in some.values() for path in paths):
        try:
            present = np.unique(read_label(path))
        except UserError:
            if not skips_bad:
                raise
            continue
        beyond = present[(present >= spec.num_classes) & (present != spec.ignore_label)]
        if beyond.size:
            why = f"{path} has the value {beyond[0]}"
            return Guess(
                False, f"note: labels are read as Cityscapes' own ids, since {why}; --label_ids train reads train ids"
            )
    of = ", ".join(f"{len(paths)} of {place}" for place, paths in some.items())
    why = f"no label that was looked at ({of}) has a value from {spec.num_classes} to 33"
    return Guess(True, f"note: labels are read as train ids, since {why}; --label_ids raw reads Cityscapes' own ids")


def resolve(split: Split, guess: Guess) -> Split:
    """Write into a split what was guessed of the labels that nobody speaks for."""
    found = (item._replace(train_ids=guess.train_ids) if item.train_ids is None else item for item in split.items)
    return replace(split, items=ItemTable.of(found), notes=split.notes + (guess.note,) * bool(guess.note))
