"""Names in files find their images."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from datasets.own.contract import Picture
from datasets.own.matching import key_of, matched
from datasets.own.shapes import Remarks
from utils.errors import UserError


def pictures(*places: str) -> list[Picture]:
    return [Picture(f"/data/images/{place}", place) for place in places]


def named(*names: str) -> list[Any]:
    return [SimpleNamespace(name=name, where=f"file {k}", file="") for k, name in enumerate(names)]


def pairs(names: list[Any], images: list[Picture], remarks: Remarks | None = None) -> dict[str, str]:
    found = matched(names, images, remarks or Remarks())
    return {path.removeprefix("/data/images/"): one.name for path, one in found.items()}


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a.jpg", "a.jpg"),
        ("a", "a.jpg"),
        ("a.png", "deep/a.jpg"),
        ("images/x/a.jpg", "x/a.jpg"),
        ("C:\\data\\x\\a.jpg", "x/a.jpg"),
        ("ulm_gtFine_polygons", "ulm/ulm_leftImg8bit.png"),
        ("a.b.jpg", "a.b.png"),
    ],
)
def test_a_name_fits(name: str, place: str) -> None:
    assert pairs(named(name), pictures(place)) == {place: name}


def test_most_folders_in_common_then_the_suffix() -> None:
    names = named("x/a.jpg", "y/a.jpg", "a.jpg", "y/b.png", "y/b.jpg")
    places = ("x/a.jpg", "y/a.jpg", "a.jpg", "y/b.jpg", "y/b.png")
    assert pairs(names, pictures(*places)) == {place: place for place in places}


def test_what_fits_worse_is_said() -> None:
    remarks = Remarks()
    assert pairs(named("val/a.jpg", "train/a.jpg", "c.jpg"), pictures("train/a.jpg"), remarks) == {
        "train/a.jpg": "train/a.jpg"
    }
    assert remarks.counts["annotations have no image here: left out"] == 2
    remarks = Remarks()
    assert pairs(named("val/a.jpg"), pictures("train/a.jpg"), remarks) == {"train/a.jpg": "val/a.jpg"}
    assert remarks.lines() == (
        "annotations fit an image of another folder, by its name alone (1; the first: val/a.jpg, file 0)",
    )


def test_two_of_one() -> None:
    with pytest.raises(UserError, match="'a.jpg' may be x/a.jpg or y/a.jpg"):
        pairs(named("a.jpg"), pictures("x/a.jpg", "y/a.jpg"))
    with pytest.raises(UserError, match="/data/images/a.jpg is annotated twice: file 0 and file 1"):
        pairs(named("a.jpg", "a.jpg"), pictures("a.jpg"))


def test_keys() -> None:
    assert key_of("x/a.JPG") == key_of("a") == "a" and key_of("a.v2") == "a.v2"


def test_the_folders_of_the_file_tell_images_of_one_name_apart() -> None:
    ones = [
        SimpleNamespace(name="1", where=site, file=f"/data/{site}/labels/1.txt") for site in ("north", "south", "east")
    ]
    found = [Picture(f"/data/{site}/images/1.jpg", f"{site}/images/1.jpg") for site in ("south", "north")]
    remarks = Remarks()
    pairs_of = {path: one.where for path, one in matched(ones, found[:1], remarks).items()}
    assert pairs_of == {"/data/south/images/1.jpg": "south"}
    assert remarks.counts == {"annotations have no image here: left out": 2}
    with pytest.raises(UserError, match="'1' may be south/images/1.jpg or north/images/1.jpg"):
        matched(ones, found, Remarks())
    pairs_of = {path: one.where for path, one in matched(ones[:2], found, Remarks()).items()}
    assert pairs_of == {"/data/south/images/1.jpg": "south", "/data/north/images/1.jpg": "north"}
