"""KITTI semantics (Alhaija et al. 2018): Cityscapes' classes and raw ids, 200 labeled frames and 200 for the test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from datasets import cityscapes
from datasets.base import Item, labeled, unlabeled
from datasets.entry import DatasetEntry
from datasets.reading import find_folder
from utils.errors import UserError

SPEC = replace(cityscapes.SPEC, name="kitti")
FRAMES = 200  # labeled ones, of which the splits speak

# Places in the sorted list of labeled frames that splits 0, 1 and 2 hold out for validation (Zhu et al. 2019).
VAL_FRAMES = (
    (1, 5, 11, 29, 35, 49, 57, 68, 72, 82, 93, 115, 119, 130, 145, 154, 156, 167, 169, 189, 198),
    (0, 12, 24, 31, 42, 50, 63, 71, 84, 96, 101, 112, 121, 133, 141, 155, 164, 171, 187, 191, 197),
    (3, 6, 13, 21, 41, 54, 61, 73, 88, 91, 110, 121, 126, 131, 142, 149, 150, 163, 173, 183, 199),
)

_TEST_TREES = ("testing/image_2", "test/image_2")


def items(root: str, mode: str, cfg: Any) -> list[Item]:
    """List the items of `mode` (train, val or test), by name; with --cv 3 all frames are "train" and "val"."""
    cv = cfg.DATASET.CV
    if mode == "test":
        return unlabeled(find_folder(root, _TEST_TREES, "KITTI test images"))
    images = find_folder(root, ("training/image_2",), "KITTI images")
    paired = labeled(images, find_folder(root, ("training/semantic",), "KITTI labels"))
    if cv == cityscapes.CV_ALL:
        return paired
    if len(paired) != FRAMES:
        raise UserError(
            f"{images} has {len(paired)} images, but split --cv {cv} tells which of {FRAMES} are for "
            f"validation: complete the folder, or take all of them with --cv {cityscapes.CV_ALL}"
        )
    return [item for place, item in enumerate(paired) if (place in VAL_FRAMES[cv]) == (mode == "val")]


DATASET = DatasetEntry(SPEC, items, root="KITTI_DIR")
