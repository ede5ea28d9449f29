"""The cheap part of the check, which every training begins with: are the files there, and of one size?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from datasets.base import Item
from datasets.reading import size_of
from utils.errors import UserError
from utils.evenly import spread

MOST = 200  # images of a split whose heads are read: a fraction of a second
ALL = "python scripts/check_data.py reads all of them"


def line(splits: Mapping[str, Sequence[Item]], skips_bad: bool = False) -> str:
    """Look at some items of each split, by what it is called; gives what the log says of it.

    UserError for files that are not there and for labels of another size; a line of it where such samples are left out
    (`skips_bad`). What is no picture at all, reading tells.
    """
    looked = {name: spread(items, MOST) for name, items in splits.items() if items}
    wrong = [problem for items in looked.values() for item in items if (problem := _problem(item))]
    count = " and ".join(f"{len(some)} of {len(splits[name])} {name}" for name, some in looked.items())
    if wrong:
        more = f"; {len(wrong) - 1} more of {count} images looked at are like it" if len(wrong) > 1 else ""
        if skips_bad:
            return f"warning: {wrong[0]}{more}: left out wherever they are drawn; {ALL}"
        raise UserError(f"{wrong[0]}{more}; {ALL}")
    return f"data: files are there and sizes agree, of {count} images looked at; {ALL}"


def _problem(item: Item) -> str:
    """Say what is wrong with an item, empty for nothing."""
    for path in (item.image, item.label):
        if path and not os.path.exists(path):
            return f"{path} is not there" + (", its link leads nowhere" if os.path.islink(path) else "")
    if item.label is None or item.piece is not None:  # raw pixels of a piece were compared as they were made
        return ""
    try:
        image, label = size_of(item.image), size_of(item.label)
    except UserError:
        return ""
    if image == label or (item.exif_turned and image == label[::-1]):
        return ""
    return f"{item.label} is {label[1]}x{label[0]} pixels, its image {item.image} {image[1]}x{image[0]}"
