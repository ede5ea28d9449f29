"""Objects by their size, and sequences by names."""

from __future__ import annotations

import numpy as np

from evaluation.objects import connected, found_by_size, numbered
from evaluation.sequences import sequences
from utils.contracts import DatasetSpec

SPEC = DatasetSpec("two", ("a", "b"), ((0, 0, 0), (9, 9, 9)))


def test_objects_are_connected_parts_and_found_by_their_share() -> None:
    label = np.full((50, 100), 255, np.uint8)
    label[:10, :10] = 0  # 2 % of the image: large
    label[20:22, :4] = 0  # 0.16 %: medium
    label[30, 30] = 1  # 0.02 %: small
    label[40, 40] = 1
    numbers, sizes = numbered(label, SPEC)
    assert sorted(sizes.tolist()) == [1, 1, 8, 100] and (numbers == -1).sum() == 5000 - 110
    classes = np.zeros((50, 100), np.uint8)
    classes[:5], classes[30, 30] = 1, 1
    found = found_by_size(classes, label, numbers, sizes)
    assert found[1].tolist() == [2, 1, 1] and found[0].tolist() == [1, 1, 0.5]
    assert not found_by_size(classes, np.full_like(label, 255), *numbered(np.full_like(label, 255), SPEC)).any()


def test_parts_of_eight_neighbors_by_value() -> None:
    values = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [3, 3, 0, 1]])
    numbers, sizes = connected(values, [1, 3])
    assert numbers.tolist() == [[0, -1, 0, 0], [-1, 0, -1, -1], [2, 2, -1, 1]]
    assert sizes.tolist() == [4, 1, 2]


def test_what_is_not_there_has_no_part() -> None:
    numbers, sizes = connected(np.zeros((2, 3), np.uint8), [5])
    assert (numbers == -1).all() and sizes.tolist() == []


def test_names_that_differ_in_their_last_number_are_frames() -> None:
    names = [f"city/seq_000_{i:06d}_leftImg8bit" for i in (40, 20, 60, 80, 100)] + ["city/seq_001_000020_leftImg8bit"]
    assert dict(sequences(names)) == {"city/seq_000": [(20, 1), (40, 0), (60, 2), (80, 3), (100, 4)]}
    assert not sequences(["a1", "b2", "c3", "street", *(f"x{i}" for i in range(3))])
    assert not sequences([*(f"f{i}" for i in range(5)), *"abcdefgh"])  # most are in none
    assert list(sequences([f"{i:03d}" for i in range(5)])) == ["frames"]
