"""ADE20K scene parsing (Zhou et al., arXiv:1608.05442): 150 classes, 0 = other; the plain folder, or .odgt lists."""

from __future__ import annotations

from typing import Any

from datasets.ade20k_classes import CLASSES
from datasets.base import Item, labeled, unlabeled
from datasets.classes import of_table
from datasets.entry import DatasetEntry
from datasets.reading import find_folder

SPEC = of_table("ade20k", CLASSES, ids=range(1, len(CLASSES) + 1), ignored=(0,))

_TREES = ("ADEChallengeData2016", ".")
_SPLITS = {"train": "training", "val": "validation"}
_TESTS = ("release_test/testing", "ADEChallengeData2016/images/testing", "images/testing")


def items(root: str, mode: str, cfg: Any) -> list[Item]:  # noqa: ARG001
    """List the items of `mode` (train, val or test) of the plain folder, by name."""
    if mode == "test":
        return unlabeled(find_folder(root, _TESTS, "ADE20K test images"))
    folders = [f"{tree}/images/{_SPLITS[mode]}" for tree in _TREES]
    images = find_folder(root, folders, f"ADE20K {mode} images")
    return labeled(images, images.parents[1] / "annotations" / _SPLITS[mode])


DATASET = DatasetEntry(SPEC, items, root="ADE20K_DIR")
