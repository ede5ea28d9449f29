"""Cityscapes' polygons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotations import HEIGHT, WIDTH, box, classes, classes_of, found, image, label, rules, write_json

from datasets.own import cityscapes_polygons
from utils.errors import UserError

SQUARE = [[2, 1], [4, 1], [4, 3], [2, 3]]
STEM = "ulm_000000_000019"


def tree(*objects: dict[str, Any], size: tuple[int, int] = (HEIGHT, WIDTH)) -> dict[str, Any]:
    filled = [{"label": "car", "polygon": SQUARE, **one} for one in objects]
    return {"imgHeight": size[0], "imgWidth": size[1], "objects": filled}


def drawn(tmp_path: Path, content: Any, **more: Any) -> np.ndarray:
    write_json(tmp_path / f"gtFine/train/ulm/{STEM}_gtFine_polygons.json", content)
    picture = image(tmp_path / "leftImg8bit", f"train/ulm/{STEM}_leftImg8bit.png")
    return label(rules("cityscapes", tmp_path / "gtFine", **more), picture)


def test_later_objects_are_on_top(tmp_path: Path) -> None:
    wide = {"label": "road", "polygon": [[0, 0], [7, 0], [7, 5], [0, 5]]}
    assert (drawn(tmp_path, tree(wide, {})) == box(1, 2, 4, 5, around=0)).all()
    assert (drawn(tmp_path, tree({}, wide)) == 0).all()
    assert (drawn(tmp_path, tree({}, {**wide, "deleted": 1})) == box(1, 2, 4, 5)).all()


def test_groups_are_their_class_where_that_has_no_group_of_its_own(tmp_path: Path) -> None:
    group = {"label": "cargroup"}
    assert (drawn(tmp_path, tree(group)) == box(1, 2, 4, 5)).all()
    assert (drawn(tmp_path, tree(group), own=classes("car", "cargroup")) == box(1, 2, 4, 5)).all()
    assert (drawn(tmp_path, tree(group), ignored=("cargroup",)) == 255).all()
    with pytest.raises(UserError, match="'boatgroup' .1 object"):
        drawn(tmp_path, tree({"label": "boatgroup"}))


def test_as_the_published_script_draws_but_for_the_border(tmp_path: Path) -> None:
    """Its painter also fills pixels that an edge touches: one pixel around an object at most."""
    pytest.importorskip("cityscapesscripts")
    from cityscapesscripts.helpers.annotation import Annotation
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(0)
    content = {"imgHeight": 60, "imgWidth": 90, "objects": []}
    for k in range(6):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        ring = np.stack([45 + 35 * np.cos(angles + k), 30 + 25 * np.sin(angles)], 1).round().astype(int)
        content["objects"].append({"label": ("road", "car")[k % 2], "polygon": ring.tolist()})
    path = write_json(tmp_path / f"gtFine/{STEM}_gtFine_polygons.json", content)
    theirs = Image.new("L", (90, 60), 255)
    annotation = Annotation()
    annotation.fromJsonFile(str(path))
    for one in annotation.objects:
        ImageDraw.Draw(theirs).polygon([tuple(p) for p in one.polygon], fill=("road", "car").index(one.label))
    picture = image(tmp_path / "images", f"{STEM}_leftImg8bit.png", 60, 90)
    ours = label(rules("cityscapes", tmp_path / "gtFine"), picture)
    differ = ours != np.array(theirs)
    assert differ.mean() < 0.03
    near = np.zeros_like(differ)  # pixels beside a border of theirs
    for axis in (0, 1):
        step = np.diff(np.array(theirs), axis=axis) != 0
        for shift in (0, 1):
            near |= np.pad(step, [(shift, 1 - shift) if a == axis else (0, 0) for a in (0, 1)])
    assert not (differ & ~near).any()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (tree({"polygon": [[1, 2], [3]]}), "object 1: .*no list of points"),
        (tree({"label": None}), "object 1: label is not a text"),
        (tree(size=(7, 8)), "the annotation is for 8x7 pixels, the image has 8x6"),
        (tree(size=(10**8, 10**8)), "pixels are more than"),
        ({"imgHeight": 6, "objects": []}, "None x 6 is no size"),
        ({"imgHeight": 6, "imgWidth": 8}, "objects is not a list"),
    ],
)
def test_a_malformed_file_is_one_line(tmp_path: Path, content: Any, line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        drawn(tmp_path, content)
    assert "\n" not in str(error.value)


def test_what_is_said(tmp_path: Path) -> None:
    write_json(tmp_path / f"gtFine/{STEM}_gtFine_polygons.json", tree({"polygon": [[1, 2], [3, 4]]}))
    sources = found(rules("cityscapes", tmp_path), image(tmp_path, f"{STEM}_leftImg8bit.png"))
    assert any("outlines have under 3 different points: left out (1;" in note for note in sources.notes)


def test_recognized(tmp_path: Path) -> None:
    assert cityscapes_polygons.looks_like(str(tmp_path)) is None
    assert (drawn(tmp_path, tree({}, {"label": "cargroup"})) == box(1, 2, 4, 5)).all()
    evidence = cityscapes_polygons.looks_like(str(tmp_path))
    assert evidence and (evidence.path, evidence.images) == ("gtFine", "leftImg8bit")
    listed = classes_of(cityscapes_polygons.EXPORT, str(tmp_path / "gtFine"))
    assert [(one.name, one.count) for one in listed] == [("car", 1), ("cargroup", 1)]
