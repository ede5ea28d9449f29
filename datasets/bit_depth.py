"""Finds how many bits the values of pictures use, by some of them before a run reads all; and who of them is turned."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from datasets import pictures, splits
from datasets.base import Split
from datasets.files import images_in
from datasets.subset import spread
from utils.distributed import DistributedContext
from utils.errors import UserError

_MANY = 1000  # heads of a folder without labels: reading them costs little beside predicting them


def bits_of(paths: list[str], given: int, most: int = pictures.LOOKED_AT) -> tuple[int, str]:
    """Find the bits that values of pictures use (see `read_image`), and a note where their files have more.

    As `given`, or, where that is 0, by the values of some of them: one range for all.
    """
    if given:
        return given, ""
    deep = pictures.deep(spread(paths, most))
    bits, highest = pictures.range_of(spread(deep, pictures.DECODED))
    return bits, pictures.range_note(bits, highest)


def bits_of_folder(paths: list[str], given: int) -> tuple[int, str]:
    """As `bits_of`, for pictures that stand for themselves."""
    return bits_of(paths, given, _MANY)


@lru_cache(maxsize=64)
def bits_beside(folder: Path) -> tuple[int, str]:
    """As `bits_of`, for frames that are read one by one: by the pictures of their folder."""
    return bits_of([str(path) for path in images_in(folder)], 0)


def image_bits(cfg: Any, ranks: DistributedContext, split: Split, mode: str) -> tuple[int, str]:
    """As `bits_of`, for a split of a run. Training and validation see the same range: that of both together."""
    given, own = cfg.DATASET.IMAGE_BITS, [item.image for item in spread(split.items, _MANY)]
    if given or mode == "folder":
        return bits_of_folder(own, given)
    if not pictures.deep([item.image for item in spread(split.items, pictures.LOOKED_AT)]):
        return 0, ""
    both = (_images(cfg, ranks, part) for part in ("train", "val"))
    return bits_of([path for paths in both for path in paths] or own, given, 2 * pictures.LOOKED_AT)


def _images(cfg: Any, ranks: DistributedContext, mode: str) -> list[str]:
    """List a split's fine images, none where it is not there."""
    try:
        split = splits.load(cfg, mode, ranks)
    except UserError:
        return []
    return [item.image for item in split.items[: split.fine]]


def turned_note(split: Split) -> str:
    """Tell the log of training images that ask for a turn, by some of them; empty where none does."""
    some = [item.image for item in spread(split.items, pictures.LOOKED_AT) if not item.exif_turned]
    count = pictures.turned(some)
    if not count:
        return ""
    return (
        f"{count} of {len(some)} training images looked at carry a turn (EXIF): read as they are stored, since "
        "labels lie over the stored pixels"
    )
