"""Splits by percent: groups stay together, and images that are added move no other."""

from __future__ import annotations

import pytest

from datasets.own.percent import Percent, share
from utils.errors import UserError

PLACES = [f"images/drive_{i % 25}/{i:04d}" for i in range(1000)]
BY_DRIVE = Percent({"train": 70, "val": 20, "test": 10}, 0, "drive_([0-9]+)")


def chosen(places: list[str], percent: Percent) -> dict[str, str]:
    return dict(zip(places, share(places, percent, "set").modes, strict=True))


def test_groups_stay_together() -> None:
    found = chosen(PLACES, BY_DRIVE)
    for drive in range(25):
        assert len({mode for place, mode in found.items() if f"drive_{drive}/" in place}) == 1
    assert {*found.values()} == {"train", "val", "test"}


def test_shares_are_about_those_asked_for() -> None:
    found = [*chosen(PLACES, Percent({"train": 80, "val": 20}, 3, "")).values()]
    assert 160 <= found.count("val") <= 240


def test_what_is_added_or_removed_moves_no_other() -> None:
    percent = Percent({"train": 80, "val": 20}, 1, "")
    some, every = chosen(PLACES[::3], percent), chosen(PLACES, percent)
    assert all(every[place] == mode for place, mode in some.items())
    assert chosen(PLACES[::-1], percent) == every


def test_the_seed_decides() -> None:
    one, other = (chosen(PLACES, Percent({"train": 50, "val": 50}, seed, "")) for seed in (0, 1))
    assert 300 < sum(one[place] != other[place] for place in PLACES) < 700


@pytest.mark.parametrize("seed", range(8))
def test_no_split_is_empty(seed: int) -> None:
    assert {*chosen(PLACES[:3], Percent({"train": 90, "val": 5, "test": 5}, seed, "")).values()} == {
        "train",
        "val",
        "test",
    }


def test_the_line_for_the_log() -> None:
    note = share([*PLACES, "images/other"], BY_DRIVE, "set").note
    assert (
        note.startswith("set: train ")
        and " groups (" in note
        and note.endswith("by seed 0; group finds nothing in 1 image, each a group by itself")
    )
    assert "(80 %" not in share(PLACES[:10], Percent({"train": 100}, 0, ""), "set").note


def test_too_few_groups_are_one_line() -> None:
    with pytest.raises(UserError, match=r"^set: 1 group of 2 images cannot make 3 splits \(train, val, test\)$"):
        share(["drive_1/a", "drive_1/b"], BY_DRIVE, "set")
