"""ADE20K scene parsing (Zhou et al., arXiv:1608.05442): 150 classes, 0 = other; the plain folder, or .odgt lists."""

from __future__ import annotations

from typing import Any

from datasets.ade20k_classes import CLASSES
from datasets.base import Item
from datasets.entry import DatasetEntry
from datasets.files import some_images
from datasets.reading import find_folder, require_label
from utils.contracts import DatasetSpec

SPEC = DatasetSpec(
    name="ade20k",
    classes=tuple(name for name, _ in CLASSES),
    palette=tuple(color for _, color in CLASSES),
    id_to_train={0: 255, **{value: value - 1 for value in range(1, len(CLASSES) + 1)}},
    train_to_id=tuple(range(1, len(CLASSES) + 1)),
)

_TREES = ("ADEChallengeData2016", ".")
_SPLITS = {"train": "training", "val": "validation"}
_TESTS = ("release_test/testing", "ADEChallengeData2016/images/testing", "images/testing")


def items(root: str, mode: str, cfg: Any) -> list[Item]:  # noqa: ARG001
    """Items of `mode` (train, val or test) of the plain folder, by name."""
    if mode == "test":
        return [
            Item(str(path), None, path.stem) for path in some_images(find_folder(root, _TESTS, "ADE20K test images"))
        ]
    folders = [f"{tree}/images/{_SPLITS[mode]}" for tree in _TREES]
    images = find_folder(root, folders, f"ADE20K {mode} images")
    labels = images.parents[1] / "annotations" / _SPLITS[mode]
    paths = some_images(images)
    return [Item(str(path), require_label(labels / f"{path.stem}.png", path), path.stem) for path in paths]


DATASET = DatasetEntry(SPEC, items, root="ADE20K_DIR")
