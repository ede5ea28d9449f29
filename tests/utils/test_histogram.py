"""Counting by runs and by pixels gives the same."""

import numpy as np
import pytest

from utils import histogram
from utils.histogram import pair_counts, value_counts


def maps(smooth: bool, height: int = 37, width: int = 53) -> tuple[np.ndarray, np.ndarray]:
    """Draw two maps of the same size: areas, or noise; a column of a larger array, so that rows do not touch."""
    rng = np.random.default_rng(1)
    size = (2, height, 2 * width)
    both = rng.integers(0, 256, size, np.uint8)
    if smooth:
        both = np.repeat(np.repeat(both[:, ::20, ::20], 20, 1), 20, 2)[:, :height, : 2 * width]
    return both[0, :, :width], both[1, :, :width]


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("band", [1 << 18, 100])
def test_counts_equal_a_plain_loop(smooth: bool, band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histogram, "_BAND", band)
    monkeypatch.setattr(histogram, "_EXACT", 1 << 24 if band > 100 else 200)
    one, two = maps(smooth)
    assert histogram._is_smooth(one, two) == smooth
    assert value_counts(one).tolist() == np.bincount(one.ravel(), minlength=256).tolist()
    expected = np.zeros((256, 256), np.int64)
    np.add.at(expected, (one.ravel(), two.ravel()), 1)
    assert np.array_equal(pair_counts(one, two), expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_narrow_maps(shape: tuple[int, int]) -> None:
    ones = np.ones(shape, np.uint8)
    assert value_counts(ones)[1] == ones.size == pair_counts(ones, 2 * ones)[1, 2]
