"""Coarse annotation: few corners, kept away from borders, the rest unlabeled."""

from __future__ import annotations

import cv2
import numpy as np

from toyworld import ids


def coarsen(label: np.ndarray) -> np.ndarray:
    """Raw fine ids (H, W) uint8 -> coarse ids: polygons inside the regions, everything else 0 (unlabeled)."""
    coarse = np.zeros_like(label)
    scale = label.shape[0] / 256
    for value in np.unique(label):
        if value in ids.EVALUATED:
            _one_class(coarse, label, int(value), scale)
    return coarse


def _one_class(coarse: np.ndarray, label: np.ndarray, value: int, scale: float) -> None:
    reach = round((1 if value in ids.THIN else 3) * scale)
    mask = (label == value).astype(np.uint8)
    if reach:
        element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        mask = cv2.erode(mask, element, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return
    drawn = np.zeros_like(mask)
    for contour, parent in zip(contours, tree[0, :, 3].tolist(), strict=True):
        if cv2.contourArea(contour) < 25 * scale * scale:
            if parent >= 0:
                cv2.fillPoly(drawn, [contour], 0)
            continue
        corners = cv2.approxPolyDP(contour, 0.8 * max(reach, 1), True)
        cv2.fillPoly(drawn, [corners], 1 if parent < 0 else 0)
    coarse[drawn > 0] = value
