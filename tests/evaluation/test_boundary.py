"""Boundary IoU: bands along contours, by hand and by the definition."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from evaluation.boundary import band, boundary_counts, reach_of

WIDTH = 1.5 / np.hypot(20, 30)  # 2 pixels, rounded, in the images below


def label(left: int = 5, right: int = 15) -> np.ndarray:
    """(20, 30): class 1 in a square of rows 5 to 14, from column `left` on, in class 0."""
    found = np.zeros((20, 30), np.uint8)
    found[5:15, left:right] = 1
    return found


def test_the_reach_is_a_share_of_the_diagonal() -> None:
    assert reach_of((1024, 2048)) == 46 and reach_of((3, 4)) == 1 and reach_of((20, 30), WIDTH) == 2


def test_a_band_is_what_erosion_takes_away() -> None:
    """As in the paper's own code: the mask less its erosion by as many steps of 3x3, outside of the image nothing."""
    mask = np.random.default_rng(0).random((40, 50)) < 0.9
    mask[:15, 10:40] = True
    for reach in (1, 3):
        around = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        inner = cv2.erode(around, np.ones((3, 3), np.uint8), iterations=reach)[1:-1, 1:-1]
        assert (band(mask, reach) == (mask & (inner == 0))).all()
    assert band(np.ones((9, 9), bool), 2).sum() == 81 - 25  # the border of the image is a contour


def test_the_same_map_has_all_of_its_bands() -> None:
    both, either = boundary_counts(label(), label(), 3, width=WIDTH)
    assert both.tolist() == either.tolist()
    assert both[1] == 100 - 36 and both[2] == 0  # a band of 2 pixels in a square of 10


def test_a_square_beside_its_place_by_hand() -> None:
    both, either = boundary_counts(label(6, 16), label(), 2, width=WIDTH)
    # Of rows 5, 6, 13, 14 nine columns are shared; of the six rows between columns 6 and 14, and 5 + 9 of no other.
    assert (both[1], either[1]) == (4 * 9 + 6 * 2, 2 * 64 - 48)
    assert 0 < both[1] / either[1] < 0.7  # where the IoU of the squares is 90 / 110


def test_ignored_pixels_are_in_no_band_and_make_no_contour() -> None:
    truth = label(5, 25)
    truth[:, 15:] = 255
    both, either = boundary_counts(label(5, 15), truth, 2, width=WIDTH)
    # The truth goes on beneath the ignored pixels, and so does the prediction: three sides have a band.
    assert both[1] == either[1] == 4 * 10 + 6 * 2
    assert not boundary_counts(label(), np.full((20, 30), 255, np.uint8), 2).any()


@pytest.mark.parametrize("share", [0.005, 0.02])
def test_outlines_count_more_than_in_the_iou(share: float) -> None:
    truth, found = np.zeros((200, 300), np.uint8), np.zeros((200, 300), np.uint8)
    truth[50:150, 50:250] = 1
    found[52:152, 52:252] = 1
    both, either = boundary_counts(found, truth, 2, width=share)
    iou = ((truth == 1) & (found == 1)).sum() / ((truth == 1) | (found == 1)).sum()
    assert both[1] / either[1] < iou - 0.1
