"""Objects of a label by their size, and how much of each is found. An object is a connected part of a class."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from utils.contracts import DatasetSpec

# Bounds of an object's share of the image, and what objects up to there are called.
SIZES = {"small": 0.001, "medium": 0.01, "large": 1.0}


def numbered(label: np.ndarray, spec: DatasetSpec) -> tuple[np.ndarray, np.ndarray]:
    """Number the objects of a label (H, W): (H, W) int32, -1 where nothing counts; and the pixels of each."""
    return connected(label, np.unique(label[(label < spec.num_classes) & (label != spec.ignore_label)]))


def connected(values: np.ndarray, among: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
    """Number the connected parts (of 8 neighbors) of each value of `among` in (H, W) values, from 0 on.

    Gives (H, W) int32, -1 where no such value is, and how many pixels each part has.
    """
    numbers, count = np.full(values.shape, -1, np.int32), 0
    for value in among:
        mask = (values == value).view(np.uint8)
        left, top, width, height = cv2.boundingRect(mask)
        if not width:
            continue
        cut = np.s_[top : top + height, left : left + width]
        parts, found = cv2.connectedComponents(mask[cut], connectivity=8)
        np.add(found, count - 1, out=numbers[cut], where=found > 0)
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
