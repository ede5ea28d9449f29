"""The pictures that an exported file is compared on, and calibrated with: of a data set, or the embedded scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

import config
import datasets
from datasets import toy
from inference.from_file import Trained
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.errors import UserError

SCENES = "the embedded scenes"

Pair = tuple[np.ndarray, np.ndarray]  # image (H, W, 3) uint8 RGB, label (H, W) uint8 train ids


class Pictures(NamedTuple):
    """Pictures (H, W, 3) uint8 RGB, with their labels (H, W) uint8 where there are some; `name`: whose they are."""

    name: str
    images: list[np.ndarray]
    labels: list[np.ndarray]

    @property
    def pairs(self) -> list[Pair]:
        """Give pictures with labels; none where they have no labels of the network's classes."""
        return list(zip(self.images, self.labels, strict=True)) if self.labels else []

    def of_size(self, size: Sequence[int]) -> Pictures:
        """Resize them to (H, W): labels by their nearest pixel."""
        height, width = size
        images = [resized(image, size) for image in self.images]
        labels = [cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST) for label in self.labels]
        return Pictures(self.name, images, labels)


def resized(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """(H, W, 3) uint8 -> (*size, 3), a smaller one as the mean of its pixels."""
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return image if image.shape[:2] == tuple(size) else cv2.resize(image, (size[1], size[0]), interpolation=how)


def scenes(spec: DatasetSpec, count: int, split: str) -> Pictures:
    """Draw `count` of the embedded scenes; with labels if the network has their classes."""
    drawn = toy.drawn(count, split)
    same = spec.classes == toy.DATASET.spec.classes
    return Pictures(SCENES, [image for image, _ in drawn], [label for _, label in drawn] if same else [])


def of_dataset(name: str, mode: str, trained: Trained, argv: Sequence[str], count: int) -> Pictures:
    """Read `count` pictures of a data set, evenly over its split `mode`, "val" or "trn", or of a folder of pictures.

    `name`: as --dataset takes it. UserError for "val" with labels of other classes than the network's; training
    pictures alone are looked at, and may be of any.
    """
    folder = Path(name).is_dir()
    chosen = ["--eval", "folder", "--eval_folder", name] if folder else ["--eval", mode, "--dataset", name]
    words = [*argv, *chosen, "--snapshot", trained.cfg.SNAPSHOT, "--num_val", str(count)]
    own = {key: value for key, value in trained.metadata.items() if key != "DATASET.NUM_CLASSES"}
    cfg = config.load(words, trained.metadata if folder else own)
    found = datasets.build_val(cfg, DistributedContext(), "folder" if folder else mode).dataset
    samples = [found[index] for index in range(len(found))]
    labels = [sample.label for sample in samples if sample.label is not None]
    if labels and not folder and mode == "val" and found.spec.classes != trained.spec.classes:
        raise UserError(f"{name} has other classes than the network: {found.spec.num_classes} of {found.spec.name}")
    images = [np.ascontiguousarray(sample.image) for sample in samples]
    return Pictures(name, images, labels if len(labels) == len(images) and not folder else [])
