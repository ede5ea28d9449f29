"""Which images names and folders keep together, and that a division by percent does so."""

from __future__ import annotations

import re
from pathlib import Path

import own_layouts as drawn
import pytest
from pictures import write_image

from datasets.own.percent import Percent, share
from datasets.own.recognize.grouping import NO_GROUPS, SHARES, group_of
from tests.datasets.own.recognize.test_layouts import described

DRIVE = [f"drive_{frame:04d}.png" for frame in range(70)]
PHOTOS = [f"{word}.png" for word in ("xa", "xb", "xc", "xd", "xe")]


def photos(count: int) -> list[str]:
    """Names that show nothing."""
    return [f"photo {chr(97 + n // 26)}{chr(97 + n % 26)}.png" for n in range(count)]


def test_groups_are_guessed_by_names_and_folders() -> None:
    pattern, why = group_of([f"a/drive{d}_{frame:04d}.png" for d in "abcde" for frame in range(4)])
    assert "5 groups" in why and pattern
    pattern, why = group_of([f"images/place {p}/{n}.png" for p in range(5) for n in "xyz"])
    assert "folder for each" in why and pattern
    pattern, why = group_of([f"city{c}_{x}_{y}.png" for c in "abcde" for x in range(2) for y in range(2)])
    assert "two numbers" in why
    assert group_of([f"IMG_{n}.jpg" for n in range(20)])[0] == ""
    pattern, why = group_of([f"{s}_{n:03d}.jpg" for s in ("0001TP", "0006R0", "0016E5") for n in range(9)])
    assert pattern and "3 groups of 27 images (0001TP, 0006R0, 0016E5), each kept together; val may be far" in why


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ([*DRIVE, *photos(30)], "1 group of 70 images (drive), each kept together, and 30 single images"),
        (
            [*(f"d{n}_{k}.png" for n in "abcde" for k in range(2)), "other.png"],
            "5 groups of 10 images (da, db, dc and 2 more), each kept together, and 1 single image",
        ),
        (
            [*(f"drive {n}x_{k}.png" for n in range(40) for k in range(5)), *photos(45)],
            "40 groups of 200 images (drive 0x, drive 1x, drive 2x and 37 more), each kept together, and 45 single",
        ),
        ([*(f"a_{k}.png" for k in range(50)), *(f"b_{k}.png" for k in range(50))], "2 groups of 100 images (a, b)"),
        # Names are the same in each drive, but for a few: the folders tell drives apart.
        (
            [f"{d}/{'frame' if k else 'still'}_{k:03d}.png" for d in "abcdef" for k in range(12)],
            "folder for each sequence or place: 6 groups of 72 images",
        ),
        # A few tiles do not decide for the others.
        (
            [*(f"{d}/{k}.png" for d in "abcdef" for k in "uvwxyz"), "a/t_1_1.png", "a/t_1_2.png"],
            "6 groups of 38 images",
        ),
    ],
)
def test_groups_are_kept_together_wherever_some_are_shown(paths: list[str], said: str) -> None:
    pattern, why = group_of(paths)
    assert pattern and said in why
    places = [path.removesuffix(".png") for path in paths]
    modes = dict(zip(places, share(places, Percent(SHARES, 0, pattern), "set").modes, strict=True))
    for group in {found[1] for place in places if (found := re.search(pattern, place))}:
        together = {mode for place, mode in modes.items() if (m := re.search(pattern, place)) and m[1] == group}
        assert len(together) == 1
    assert {*modes.values()} == {"train", "val"}


@pytest.mark.parametrize("paths", [[f"IMG_{n}.jpg" for n in range(100)], [*DRIVE, *PHOTOS]])
def test_one_group_of_nearly_all_is_said_with_what_it_means(paths: list[str]) -> None:
    pattern, why = group_of(paths)
    assert not pattern and "1 group of" in why and "makes scores too high" in why


def test_numbers_alone_and_one_folder_show_nothing() -> None:
    assert group_of([f"set/{name}" for name in photos(9)]) == ("", NO_GROUPS)
    pattern, why = group_of([f"set/{n:04d}.png" for n in range(3000)])
    assert not pattern and why.startswith(NO_GROUPS) and "names are numbers: as frames of one drive" in why


def test_one_mask_that_is_missing_changes_no_group(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    drawn.gray(folder)
    (folder / f"masks/{drawn.STEMS[0]}.png").unlink()
    found = described(folder)
    assert found.tree["splits"]["group"] and "5 groups of 10 images" in found.text.replace("\n# ", " ")
    assert "and 1 single image" in found.text.replace("\n# ", " ")


@pytest.mark.parametrize("name", "efgh")
def test_the_seed_leaves_the_large_group_to_training(tmp_path: Path, name: str) -> None:
    """By seed 0 one of these would validate."""
    folder = tmp_path / "set"
    stems = [*(f"{name}_{frame}" for frame in range(14)), *(f"photo {x}" for x in "uvwxyz")]
    for stem in stems:
        write_image(folder / f"images/{stem}.png", drawn.image(1))
        write_image(folder / f"masks/{stem}.png", drawn.label(1))
    found = described(folder)
    assert 2 <= len(found.read["val"]) <= 6 and len(found.read["train"]) >= 14
    assert not found.draft.notes


def test_what_is_not_kept_together_is_a_line_on_the_screen(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for seed in range(6):
        write_image(folder / f"images/IMG_{seed}.png", drawn.image(seed))
        write_image(folder / f"masks/IMG_{seed}.png", drawn.label(seed))
    found = described(folder)
    assert found.tree["splits"] == {"percent": SHARES, "seed": 0}
    (note,) = found.draft.notes
    assert note.startswith("sequences or places are not kept together: names are a sequence and a number: 1 group of 6")
