"""Splits by percent: groups stay together, and images that are added move no other."""

from __future__ import annotations

import pytest

from datasets.own.percent import Percent, even_seed, share
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


def test_what_no_group_matches_and_one_alone_are_groups_by_themselves() -> None:
    """Singles fall one by one, as without a group; they do not go with each other."""
    singles = [
        *(f"images/photo {i}" for i in "abcdefghijklmnopqrst"),
        *(f"images/drive_{i}/0" for i in range(100, 120)),
    ]
    modes = share([*PLACES, *singles], BY_DRIVE, "set").modes[len(PLACES) :]
    assert len({*modes[:20]}) > 1 and len({*modes[20:]}) > 1
    assert modes[:20] == share(singles[:20], Percent(BY_DRIVE.shares, 0, ""), "set").modes


def test_a_seed_is_chosen_by_which_shares_are_near() -> None:
    shares = {"train": 80, "val": 20}
    for name in "abcdefghij":
        places = [*(f"{name}_{i}" for i in range(70)), *(f"photo {i}x" for i in range(30))]
        seed = even_seed(places, shares, "^(.*)_[0-9]+$")
        modes = share(places, Percent(shares, seed, "^(.*)_[0-9]+$"), "set").modes
        assert 10 <= modes.count("val") <= 40
    halves = [f"{name}_{i}" for name in "ab" for i in range(50)]
    seed = even_seed(halves, shares, "^(.*)_[0-9]+$")
    assert share(halves, Percent(shares, seed, "^(.*)_[0-9]+$"), "set").modes.count("val") == 50
    assert even_seed(PLACES, shares, "") == 0 and even_seed(["a_1"], shares, "^(.*)_") == 0


def test_too_few_groups_are_one_line() -> None:
    with pytest.raises(UserError, match=r"^set: 1 group of 2 images cannot make 3 splits \(train, val, test\)$"):
        share(["drive_1/a", "drive_1/b"], BY_DRIVE, "set")
