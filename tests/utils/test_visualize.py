"""Pictures: colors where they belong, files that read back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from utils import visualize as v

PALETTE = ((10, 20, 30), (40, 50, 60))


def read(data: bytes) -> np.ndarray:
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(array, cv2.COLOR_BGR2RGB) if array.ndim == 3 else array


def test_colors_by_class_and_black_for_ignored() -> None:
    got = v.colorize(torch.tensor([[0, 1, 255]], dtype=torch.uint8), PALETTE)
    assert got.tolist() == [[[10, 20, 30], [40, 50, 60], [0, 0, 0]]]


def test_overlay_weighs_image_and_colors() -> None:
    image = np.full((1, 1, 3), 100, np.uint8)
    assert v.overlay(image, np.zeros((1, 1), np.uint8), PALETTE, alpha=0.25).tolist() == [[[78, 80, 82]]]
    assert v.overlay(image, np.zeros((1, 1), np.uint8), PALETTE, alpha=1).tolist() == [[[10, 20, 30]]]


def test_error_map_marks_wrong_pixels_and_leaves_ignored_ones_black() -> None:
    image = np.full((1, 3, 3), 200, np.uint8)
    got = v.error_map(image, np.array([[0, 1, 1]]), np.array([[0, 0, 255]]), 255)
    assert got.tolist() == [[[70, 70, 70], list(v.WRONG), [0, 0, 0]]]


def test_an_error_map_dims_as_the_product_does() -> None:
    image = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
    got = v.error_map(image, np.zeros((1, 256), np.uint8), np.zeros((1, 256), np.uint8), 255)
    assert np.array_equal(got, (image * v.RIGHT_DIM).astype(np.uint8))


def test_heat_of_a_large_map_is_that_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((7, 5))
    want = v.heat(values)
    monkeypatch.setattr(v, "_AT_ONCE", 10)
    assert np.array_equal(v.heat(values), want)


def test_heat_goes_from_dark_to_yellow_and_clips() -> None:
    got = v.heat(torch.tensor([[[-1.0, 0.0, 0.5, 1.0, 9.0]]]))
    assert got.shape == (1, 5, 3)
    assert (got[0, 0] == got[0, 1]).all() and (got[0, 3] == got[0, 4]).all()
    assert got[0, 4, 0] > 200 and got[0, 4, 1] > 200 and got[0, 4, 2] < 80  # yellow, in RGB order
    assert got[0, 0].sum() < got[0, 2].sum() < got[0, 4].sum()
    for size in ((5, 1), (1, 1)):
        assert v.heat(torch.zeros(1, *size)).shape == v.heat(torch.zeros(size)).shape == (*size, 3)


def test_shrinking_keeps_the_shape_and_invents_no_colors() -> None:
    colors = np.random.default_rng(0).choice(np.array([[0, 0, 0], [200, 0, 0]], np.uint8), (40, 100))
    got = v.shrink(colors, 50, smooth=False)
    assert got.shape == (20, 50, 3) and set(np.unique(got)) <= {0, 200}
    assert v.shrink(colors, 100) is colors


def test_encoded_pictures_read_back() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    assert np.array_equal(read(v.encode_png(image)), image)
    assert np.array_equal(read(v.encode_png(image[..., 0])), image[..., 0])
    smooth = np.full((8, 12, 3), (200, 30, 90), np.uint8)
    assert np.abs(read(v.encode_jpeg(smooth)).astype(int) - smooth).max() < 6  # red stays red


@pytest.mark.parametrize(
    ("name", "stem"),
    [("city/a_000019.png", "city__a_000019"), ("img.v2", "img.v2"), ("../x/y.JPG", "x__y"), ("plain", "plain")],
)
def test_file_stems(name: str, stem: str) -> None:
    assert v.file_stem(name) == stem
