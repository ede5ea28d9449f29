"""Lists of splits: which are used, and what is said of the others and of images in none."""

from __future__ import annotations

from pathlib import Path

import own_layouts as drawn
import pytest

from tests.datasets.own.recognize.test_exports import coco_of
from tests.datasets.own.recognize.test_layouts import described, look

STEMS = drawn.STEMS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "set"
    place.mkdir()
    drawn.gray(place)
    return place


def write(folder: Path, **lists: list[str]) -> None:
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


def test_lists_of_other_names_are_named_with_their_reason(folder: Path) -> None:
    write(folder, train=[*STEMS[:8]], val=[*STEMS[8:10], "far_away", "nowhere"])
    found = described(folder)
    assert "percent" in found.tree["splits"]
    (note,) = found.draft.notes
    assert note.startswith("2 lists of images not used: train.txt (beside it no list is of train")
    assert "val.txt (2 of 4 lines name labeled images here, 'far_away' not)" in note


def test_a_list_alone_and_an_empty_one(folder: Path) -> None:
    write(folder, train=[*STEMS])
    assert "1 list of images not used: train.txt (beside it" in look(folder).notes[0]
    write(folder, val=[])
    assert "val.txt (it is empty, or cannot be read)" in look(folder).notes[0]


def test_images_in_no_list_and_lines_without_image_are_said(folder: Path) -> None:
    write(folder, train=[*STEMS[:7], "gone"], val=[*STEMS[8:]])
    notes = look(folder).notes
    assert (
        notes == ("train.txt (7 of 8 lines name labeled images here, 'gone' not)",) or "7 of 8" in notes[0]
    )  # below nine tenths
    write(folder, train=[*(f"{stem}.png" for stem in STEMS), "gone"], val=[*STEMS[9:11]])
    draft = look(folder)
    assert draft.notes == ("train.txt: 1 line left out, which name no labeled image here, 'gone' first",)
    write(folder, train=[*STEMS[:8]], val=[*STEMS[9:]])
    assert look(folder).notes == (f"1 labeled image in no list, left out: images/{STEMS[8]}.png",)


def test_folders_come_before_lists(tmp_path: Path) -> None:
    drawn.palette(tmp_path)
    write(tmp_path, train=[*STEMS[:8]], val=[*STEMS[8:]])
    (note,) = look(tmp_path).notes
    assert note == "lists that are not used, since folders divide the images: train.txt, val.txt"


def test_lists_of_another_machine_beside_an_export(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    coco_of(folder, "all.json", range(6))
    write(folder, train=[f"/home/me/x/{n}.jpg" for n in range(4)], val=["C:\\data\\4.jpg", "C:\\data\\5.jpg"])
    found = described(folder)
    assert {mode: len(names) for mode, names in found.read.items()} == {"train": 4, "val": 2}
    assert "Their lines name images by paths of another place: written anew here." in found.text.replace("\n# ", " ")
