"""Which part of which file a crop of training is: the transform is asked with labels that say where they lie."""

from __future__ import annotations

import random

import numpy as np

from datasets.base import SegmentationDataset, as_request
from utils.contracts import CropRequest, Sample

_BASE = 128  # label values that a digit of a coordinate takes


def told(dataset: object, draw: CropRequest | int) -> str:
    """Say of a picture of a batch its file, the part that the crop shows, and the seed of its augmentation."""
    request = as_request(draw)
    name = dataset.file_of(request.index)  # type: ignore[attr-defined]
    center = "" if request.crop_center is None else f", round {request.crop_center}"
    part = _part(dataset, request) if isinstance(dataset, SegmentationDataset) else "mixed with others"
    return f"{name}: {part}{center}, seed {request.seed}"


def _part(dataset: SegmentationDataset, request: CropRequest) -> str:
    """Name the columns and rows of the file that its crop shows."""
    image, _ = dataset.image(request.index)
    height, width = image.shape[:2]
    rows, columns = (_seen(dataset, request, image, axis) for axis in (0, 1))  # (h, w) each, -1 where there is padding
    if not (columns >= 0).any():
        return f"padding alone, of {width}x{height}"
    x, y = columns[columns >= 0], rows[rows >= 0]
    ends = [(line[line >= 0][[0, -1]]) for line in columns if (line >= 0).sum() > 1]
    flipped = ", flipped" if ends and ends[0][0] > ends[0][1] else ""
    return f"columns {x.min()} to {x.max()}, rows {y.min()} to {y.max()} of {width}x{height}{flipped}"


def _seen(dataset: SegmentationDataset, request: CropRequest, image: np.ndarray, axis: int) -> np.ndarray:
    """Give the row (axis 0) or column of the file that each pixel of the crop's label shows, -1 for padding."""
    lengths, ignored = image.shape[:2], dataset.spec.ignore_label
    line = np.arange(lengths[axis]).reshape((-1, 1) if axis == 0 else (1, -1))
    values = np.array([value for value in range(_BASE + 1) if value != ignored][:_BASE], np.uint8)
    known = np.full(256, -1, np.int64)
    known[values] = np.arange(_BASE)
    digits = []
    for place in (1, _BASE):
        label = np.broadcast_to(values[line // place % _BASE], lengths).copy()
        sample = Sample(image.copy(), label, "", lengths, request.crop_center, request.short)
        moved = dataset.transform(sample, random.Random(request.seed)).label
        digits.append(known[moved] if moved is not None else np.full((1, 1), -1))
    low, high = digits
    return np.where(low < 0, -1, low + _BASE * high)
