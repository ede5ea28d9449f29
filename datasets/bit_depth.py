"""How many bits the values of a run's pictures use, by some of them before it reads all; and who of them is turned."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from datasets import splits
from datasets.base import Split
from media import reading
from media.bits import MANY, bits_of, bits_of_folder
from media.files import images_in
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.evenly import spread


@lru_cache(maxsize=64)
def bits_beside(folder: Path) -> tuple[int, str]:
    """As `bits_of`, for frames that are read one by one: by the pictures of their folder."""
    return bits_of([str(path) for path in images_in(folder)], 0)


def image_bits(cfg: Any, ranks: DistributedContext, split: Split, mode: str) -> tuple[int, str]:
    """As `bits_of`, for a split of a run. Training and validation see the same range: that of both together."""
    given, own = cfg.DATASET.IMAGE_BITS, [item.image for item in spread(split.items, MANY)]
    if given or mode == "folder":
        return bits_of_folder(own, given)
    if not reading.deep([item.image for item in spread(split.items, reading.LOOKED_AT)]):
        return 0, ""
    both = (_images(cfg, ranks, part) for part in ("train", "val"))
    return bits_of([path for paths in both for path in paths] or own, given, 2 * reading.LOOKED_AT)


def _images(cfg: Any, ranks: DistributedContext, mode: str) -> list[str]:
    """List a split's fine images, none where it is not there."""
    try:
        split = splits.load(cfg, mode, ranks)
    except UserError:
        return []
    return [item.image for item in split.items[: split.fine]]


def turned_note(split: Split) -> str:
    """Tell the log of training images that ask for a turn, by some of them; empty where none does."""
    some = [item.image for item in spread(split.items, reading.LOOKED_AT) if not item.exif_turned]
    count = reading.turned(some)
    if not count:
        return ""
    return (
        f"{count} of {len(some)} training images looked at carry a turn (EXIF): read as they are stored, since "
        "labels lie over the stored pixels"
    )
