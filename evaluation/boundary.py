"""Boundary IoU: the IoU of what lies near the contours (Cheng et al. 2021, arXiv:2103.16562).

The IoU of a large object says little about its outline, since pixels inside outnumber those along it. Of each class's
mask, in the truth and in the prediction, those pixels are kept that lie within a distance of the mask's own contour; of
these two bands the IoU is taken. Counts are summed over images, as those of the IoU are.
"""

from __future__ import annotations

import cv2
import numpy as np

WIDTH = 0.02  # of the image's diagonal, the paper's


def boundary_counts(
    classes: np.ndarray, label: np.ndarray, num_classes: int, ignore_label: int = 255, width: float = WIDTH
) -> np.ndarray:
    """Count (2, K) int64: pixels of each class that are in both bands, and in either.

    `classes`, `label`: (H, W) uint8. Ignored pixels are in no band. Beside them no contour is known: they are taken as
    inside of every mask. The border of the image is a contour, as in the paper's own code.
    """
    counted, reach = label != ignore_label, reach_of(label.shape, width)
    found = np.zeros((2, num_classes), np.int64)
    for k in np.union1d(label[counted], classes[counted]):
        truth, prediction = (band((x == k) | ~counted, reach) & (x == k) & counted for x in (label, classes))
        found[:, k] = (truth & prediction).sum(), (truth | prediction).sum()
    return found


def reach_of(size: tuple[int, ...], width: float = WIDTH) -> int:
    """Give the pixels that a band is wide in an image of `size` (H, W), 1 at least."""
    return max(1, round(width * float(np.hypot(size[0], size[1]))))


def band(mask: np.ndarray, reach: int) -> np.ndarray:
    """(H, W) bool -> its pixels from which a pixel outside lies at most `reach` away, in rows and in columns."""
    around = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(around, cv2.DIST_C, 3)[1:-1, 1:-1]
    return mask & (distance <= reach)
