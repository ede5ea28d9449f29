"""Some of many images: spread over the list, every condition with its share."""

from __future__ import annotations

from collections import Counter

import pytest

from datasets.base import Item
from datasets.subset import share
from utils.evenly import evenly


def images(**counts: int) -> list[Item]:
    names = [(kind, number) for kind, count in counts.items() for number in range(count)]
    return [Item(f"{kind}{n}", None, f"{kind}{n}", condition=kind.rstrip("_")) for kind, n in names]


@pytest.mark.parametrize(
    ("count", "wanted", "places"),
    [(10, 3, [0, 3, 6]), (39, 4, [0, 9, 19, 29]), (3, 5, [0, 1, 2]), (5, 5, [0, 1, 2, 3, 4]), (0, 2, [])],
)
def test_places_are_spread(count: int, wanted: int, places: list[int]) -> None:
    assert evenly(count, wanted) == places


@pytest.mark.parametrize(
    ("counts", "wanted", "taken"),
    [
        ({"fog": 100, "night": 106, "rain": 100, "snow": 100}, 4, {"fog": 1, "night": 1, "rain": 1, "snow": 1}),
        ({"fog": 100, "night": 106, "rain": 100, "snow": 100}, 200, {"fog": 50, "night": 52, "rain": 49, "snow": 49}),
        ({"fog": 2, "snow": 1000}, 2, {"fog": 1, "snow": 1}),
        ({"fog": 2, "snow": 1000}, 1, {"snow": 1}),
        ({"fog": 3, "night": 1, "snow": 5}, 9, {"fog": 3, "night": 1, "snow": 5}),
        ({"fog": 3, "night": 1, "snow": 5}, 100, {"fog": 3, "night": 1, "snow": 5}),
    ],
)
def test_every_condition_has_its_share(counts: dict[str, int], wanted: int, taken: dict[str, int]) -> None:
    items = images(**counts)
    some = share(items, wanted)
    assert Counter(item.condition for item in some) == taken
    assert len(some) == min(wanted, len(items)) and [item for item in items if item in some] == some
    assert share(items, wanted) == some


def test_one_list_without_conditions_is_spread() -> None:
    items = [item._replace(condition="") for item in images(a=50, b=50)]
    assert [item.name for item in share(items, 4)] == ["a0", "a25", "b0", "b25"]
