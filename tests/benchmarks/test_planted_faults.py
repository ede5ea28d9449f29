"""Planted faults: where they are, what they change, and that they come again."""

from __future__ import annotations

import random

import numpy as np
import pytest

from benchmarks.planted_faults import DROPPED, KINDS, SHIFTED, SWAPPED, places, plant, plant_all, surrounding

IGNORE = 255


def label() -> np.ndarray:
    """A road with two cars and a person, a sky above, a border that is ignored, and a speck."""
    out = np.zeros((100, 200), np.uint8)
    out[:40] = 1
    out[60:80, 20:50], out[60:80, 120:150] = 2, 2
    out[50:90, 90:100] = 3
    out[5, 5] = 2
    out[95:] = IGNORE
    return out


def test_neither_ground_nor_specks_are_objects() -> None:
    found = places([label(), label()], IGNORE)
    assert [(place.image, len(place.pixels)) for place in found] == [(i, n) for i in (0, 1) for n in (600, 600, 400)]


def car() -> np.ndarray:
    mask = np.zeros((100, 200), bool)
    mask[60:80, 20:50] = True
    return mask


def test_dropped_and_swapped() -> None:
    one, mask = label(), car()
    assert surrounding(one, mask, IGNORE) == 0
    dropped = plant(one, mask, DROPPED, IGNORE, random.Random(0))
    assert dropped is not None and (dropped[mask] == 0).all() and (dropped == one)[~mask].all()
    swapped = [plant(one, mask, SWAPPED, IGNORE, random.Random(seed)) for seed in range(9)]
    assert {int(s[70, 30]) for s in swapped if s is not None} == {1, 3}


@pytest.mark.parametrize("seed", range(4))
def test_shifted(seed: int) -> None:
    one, mask = label(), car()
    out = plant(one, mask, SHIFTED, IGNORE, random.Random(seed))
    assert out is not None and (out[one == IGNORE] == IGNORE).all()
    changed = out != one
    assert 0.2 < changed.sum() / mask.sum() < 1.2 and set(np.unique(out[mask])) == {0, 2}


def test_what_cannot_be_planted_is_left_out() -> None:
    alone = np.full((20, 20), IGNORE, np.uint8)
    alone[5:8, 5:8] = 1
    assert plant(alone, alone == 1, DROPPED, IGNORE, random.Random(0)) is None
    two = np.zeros((20, 20), np.uint8)
    two[5:8, 5:8] = 1
    assert plant(two, two == 1, SWAPPED, IGNORE, random.Random(0)) is None


def test_faults_are_recorded_and_come_again() -> None:
    labels = [label() for _ in range(20)]
    where = places(labels, IGNORE)
    planted = plant_all(labels, where, 0.2, IGNORE, 7)
    assert len(planted.kinds) == 12 and set(planted.kinds) == set(KINDS)
    for place, numbers in planted.faults.items():
        np.testing.assert_array_equal(numbers >= 0, planted.labels[place] != labels[place])
    assert {int(n) for numbers in planted.faults.values() for n in np.unique(numbers)} == {*range(-1, 12)}
    again, other = plant_all(labels, where, 0.2, IGNORE, 7), plant_all(labels, where, 0.2, IGNORE, 8)
    assert again.kinds == planted.kinds and all((again.labels[i] == planted.labels[i]).all() for i in planted.labels)
    assert any(i not in other.labels or (other.labels[i] != planted.labels[i]).any() for i in planted.labels)
    assert (labels[0] == label()).all()
