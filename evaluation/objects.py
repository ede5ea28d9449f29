"""Connected parts of one value, the objects of a label or a prediction."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np


def numbered(values: np.ndarray, among: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
    """Number the connected parts (of 8 neighbors) of each value of `among` in (H, W) values, from 0 on.

    Gives (H, W) int32, -1 where no such value is, and how many pixels each part has.
    """
    numbers, count = np.full(values.shape, -1, np.int32), 0
    for value in among:
        mask = (values == value).view(np.uint8)
        left, top, width, height = cv2.boundingRect(mask)
        cut = np.s_[top : top + height, left : left + width]
        if not width:
            continue
        parts, found = cv2.connectedComponents(mask[cut], connectivity=8)
        np.add(found, count - 1, out=numbers[cut], where=found > 0)
        count += parts - 1
    return numbers, np.bincount(numbers[numbers >= 0], minlength=count)
