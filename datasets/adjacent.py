"""Frames beside the labeled ones, with labels that video propagation made (Zhu et al. 2019, section 3.2).

`scripts/propagate_labels.py` writes such folders.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from datasets.base import Item
from utils.errors import UserError


class FrameLocator(NamedTuple):
    """Where frames beside an item lie.

    `files(item, shift)`: the image and the label `shift` frames later, or None for a name that tells no frame.
    `searched`: what was looked for, as a message says it.
    """

    files: Callable[[Item, int], tuple[Path, Path] | None]
    searched: str


class AdjacentFrames(NamedTuple):
    """`items` and, of each, the index of the item that it was made from; `missing`: how many are not there."""

    items: list[Item]
    source_index: tuple[int, ...]
    missing: int


def find(items: Sequence[Item], skip: int, locator: FrameLocator) -> AdjacentFrames:
    """Find the frames exactly `skip` before and after each item, of which image and label are there.

    UserError if there is none at all, and for an image without its label or a label without its image.
    """
    found: list[Item] = []
    source_index: list[int] = []
    for index, item in enumerate(items):
        for shift in (-skip, skip):
            files = locator.files(item, shift)
            if files is None or not any(path.is_file() for path in files):
                continue
            for path, other in (files, files[::-1]):
                if not path.is_file():
                    raise UserError(f"--maxSkip {skip}: {other} needs {path}, which is not there")
            found.append(Item(str(files[0]), str(files[1]), files[0].stem, item.train_ids))
            source_index.append(index)
    if not found:
        where = locator.searched
        raise UserError(f"--maxSkip {skip}: no frame {skip} before or after any of {len(items)} images: {where}")
    return AdjacentFrames(found, tuple(source_index), 2 * len(items) - len(found))


def shifted(name: str, pattern: re.Pattern[str], shift: int) -> str | None:
    """Name the frame `shift` later, with as many digits; None where `pattern` (start, number) does not fit."""
    match = pattern.fullmatch(name)
    if match is None or int(match[2]) + shift < 0:
        return None
    return f"{match[1]}{int(match[2]) + shift:0{len(match[2])}d}"
