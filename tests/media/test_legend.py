"""The legend: shares of classes over several pictures, those above 0.1 % alone, the largest first."""

from __future__ import annotations

import numpy as np
import torch

from media.legend import Legend
from utils.contracts import DatasetSpec

SPEC = DatasetSpec("shore", ("sea", "sand", "gull", "whale"), ((0, 0, 255), (250, 220, 90), (9, 9, 9), (1, 2, 3)))


def legend() -> Legend:
    """10000 pixels: 3000 of sea, 6980 of sand, 20 of gull (0.2 %) in two pictures; whales are never seen."""
    made = Legend(SPEC)
    first = np.ones((50, 100), np.uint8)
    first[:30] = 0
    second = torch.ones(100, 50, dtype=torch.uint8)
    second[0, :20] = 2
    made.add(first)
    made.add(second)
    return made


def test_shares() -> None:
    found = [(entry.name, entry.share) for entry in legend().entries()]
    assert found == [("sand", 0.698), ("sea", 0.3), ("gull", 0.002)]
    assert legend().lines()[1] == " 30.00 %  #0000ff  sea"


def test_a_thousandth_is_left_out() -> None:
    made = Legend(SPEC)
    made.pixels[:] = (998, 1, 0, 1)
    assert [entry.name for entry in made.entries()] == ["sea"]


def test_picture() -> None:
    picture = legend().picture()
    assert picture.dtype == np.uint8 and picture.shape[0] == 3 * 28
    assert [tuple(picture[14 + 28 * row, 20]) for row in range(3)] == [SPEC.palette[k] for k in (1, 0, 2)]
    assert (picture[:28, 48:].min() < 100) and (picture[0] == 255).all()  # there is a text, on white


def test_nothing_counted() -> None:
    assert Legend(SPEC).lines() == [] and Legend(SPEC).picture().shape[2] == 3
