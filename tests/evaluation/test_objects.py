"""Connected parts of a value."""

from __future__ import annotations

import numpy as np

from evaluation.objects import numbered


def test_parts_of_eight_neighbors_by_value() -> None:
    values = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [3, 3, 0, 1]])
    numbers, sizes = numbered(values, [1, 3])
    assert numbers.tolist() == [[0, -1, 0, 0], [-1, 0, -1, -1], [2, 2, -1, 1]]
    assert sizes.tolist() == [4, 1, 2]


def test_what_is_not_there_has_no_part() -> None:
    numbers, sizes = numbered(np.zeros((2, 3), np.uint8), [5])
    assert (numbers == -1).all() and sizes.tolist() == []
