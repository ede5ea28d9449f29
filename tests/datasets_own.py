"""Small sets of one's own: images of 24 x 32 with a road and a car, and labels of each stored kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pictures import write_image
from yacs.config import CfgNode

import config
from datasets import splits
from datasets.base import SegmentationDataset, Split
from utils.distributed import DistributedContext

CLASSES = "classes: [{name: road, id: 1, color: [10, 20, 30]}, {name: car, id: 2, color: [40, 50, 60]}]\n"


def label_of(number: int) -> np.ndarray:
    """(24, 32) uint8: 1, the road, with a car, 2, that begins in another column in each image."""
    label = np.ones((24, 32), np.uint8)
    label[6:14, number : number + 9] = 2
    return label


def make(root: Path, count: int = 4) -> Path:
    """Write images, and their labels as gray ids, in colors and as binary masks; gives the folder."""
    colors = np.array([[0, 0, 0], [10, 20, 30], [40, 50, 60]], np.uint8)
    for i in range(count):
        label, name = label_of(i), f"drive_{i // 2}_{i}.png"
        write_image(root / "images" / name, np.random.default_rng(i).integers(0, 255, (24, 32, 3), np.uint8))
        write_image(root / "gray" / name, label)
        write_image(root / "rgb" / name, colors[label])
        for value, one in ((1, "road"), (2, "car")):
            write_image(root / "binary" / one / name, np.uint8(255) * (label == value))
    return root


def written(root: Path, text: str, name: str = "set.yaml") -> Path:
    """Write a dataset's file."""
    path = root / name
    path.write_text(text)
    return path


def config_of(file: Path, *more: str) -> CfgNode:
    """The options of a run on a dataset's file."""
    return config.load(["--dataset", str(file), *more])


def split_of(file: Path, mode: str = "train", *more: str) -> Split:
    """A split as a run of one process loads it."""
    return splits.load(config_of(file, *more), mode, DistributedContext())


def dataset_of(file: Path, mode: str = "train", *more: str) -> SegmentationDataset:
    """The images and labels of a split."""
    return SegmentationDataset(split_of(file, mode, *more).items, splits.spec(config_of(file, *more)))
