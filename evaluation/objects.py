"""Objects of a label by their size, and how much of each is found. An object is a connected part of a class."""

from __future__ import annotations

import cv2
import numpy as np

from utils.contracts import DatasetSpec

# Bounds of an object's share of the image, and what objects up to there are called.
SIZES = {"small": 0.001, "medium": 0.01, "large": 1.0}


def numbered(label: np.ndarray, spec: DatasetSpec) -> tuple[np.ndarray, np.ndarray]:
    """Number the objects of a label (H, W): (H, W) int64, -1 where nothing counts; and the pixels of each."""
    numbers, count = np.full(label.shape, -1, np.int64), 0
    for k in np.unique(label[(label < spec.num_classes) & (label != spec.ignore_label)]):
        parts, labeled = cv2.connectedComponents((label == k).astype(np.uint8), connectivity=8)
        inside = labeled > 0
        numbers[inside] = labeled[inside] - 1 + count
        count += parts - 1
    return numbers, np.bincount(numbers[numbers >= 0], minlength=count)


def found_by_size(classes: np.ndarray, label: np.ndarray, numbers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Sum (2, sizes): the shares of their pixels that have their class over the objects of each size; their number.

    `classes`, `label` (H, W); `numbers`, `sizes`: the label's objects, as `numbered` gives them.
    """
    bins = np.digitize(sizes / label.size, list(SIZES.values())[:-1])
    right = numbers[(classes == label) & (numbers >= 0)]
    shares = np.bincount(right, minlength=len(sizes)) / sizes
    return np.stack([np.bincount(bins, weights, minlength=len(SIZES)) for weights in (shares, None)])
