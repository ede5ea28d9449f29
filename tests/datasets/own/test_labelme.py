"""LabelMe's JSON files."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from annotations import HEIGHT, WIDTH, box, classes_of, found, image, label, labels, rules, write_json

from datasets.own import labelme
from utils.errors import UserError

SQUARE = [[2, 1], [5, 1], [5, 4], [2, 4]]


def tree(*shapes: dict[str, Any], **more: Any) -> dict[str, Any]:
    parts = {"label": "car", "shape_type": "polygon", "group_id": None, "flags": {}}
    size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    return {"version": "5.5", "imagePath": "a.png", "imageData": "AAAA", "shapes": [{**parts, **s} for s in shapes]} | (
        size | more
    )


def drawn(tmp_path: Path, content: dict[str, Any], **more: Any) -> np.ndarray:
    write_json(tmp_path / "json/a.json", content)
    return label(rules("labelme", tmp_path / "json", **more), image(tmp_path, "a.png"))


def test_outlines(tmp_path: Path) -> None:
    assert (drawn(tmp_path, tree({"points": SQUARE})) == box(1, 2, 4, 5)).all()
    assert (drawn(tmp_path, tree({"points": SQUARE, "shape_type": None})) == box(1, 2, 4, 5)).all()
    corners = {"points": [[5, 4], [2, 1]], "shape_type": "rectangle"}
    assert (drawn(tmp_path, tree(corners)) == box(1, 2, 4, 5)).all()
    circle = drawn(tmp_path, tree({"points": [[4, 3], [4, 5]], "shape_type": "circle"}))
    assert (circle == 1).sum() == 12  # of a radius of 2: all but the four corners of 4 x 4 pixels


def test_masks(tmp_path: Path) -> None:
    pixels = np.array([[1, 0, 1], [1, 1, 0]], np.uint8)
    letters = base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode()
    shape = {"points": [[2, 1], [4, 2]], "shape_type": "mask", "mask": letters}
    expected = box(0, 0, 0, 0)
    expected[1:3, 2:5][pixels > 0] = 1
    assert (drawn(tmp_path, tree(shape)) == expected).all()
    with pytest.raises(UserError, match="shape 1: its mask has 3x2 pixels, its points span 2x2"):
        drawn(tmp_path, tree({**shape, "points": [[2, 1], [3, 2]]}))
    for bad in ("?", letters[:-8], base64.b64encode(b"no picture").decode()):
        with pytest.raises(UserError, match="shape 1: its mask is"):
            drawn(tmp_path, tree({**shape, "mask": bad}))


def test_the_later_one_is_on_top(tmp_path: Path) -> None:
    road = {"label": "road", "points": [[0, 0], [8, 0], [8, 6], [0, 6]]}
    assert (drawn(tmp_path, tree(road, {"points": SQUARE})) == box(1, 2, 4, 5, around=0)).all()
    assert (drawn(tmp_path, tree({"points": SQUARE}, road)) == 0).all()
    assert (drawn(tmp_path, tree({"points": SQUARE}, road), overlap="smallest") == box(1, 2, 4, 5, around=0)).all()
    hidden = tree({"points": SQUARE}, {**road, "label": "hand"})
    assert (drawn(tmp_path, hidden, ignored=("hand",)) == 255).all()


def test_what_gives_no_area_is_said(tmp_path: Path) -> None:
    kinds = ("point", "line", "linestrip", "points", "ai")
    odd = [{"points": [[1, 1], [2, 2]], "shape_type": kind, "label": "odd"} for kind in kinds]
    content = tree({"points": SQUARE}, *odd)
    write_json(tmp_path / "a.json", content)
    sources = found(rules("labelme", tmp_path), image(tmp_path, "a.png"))
    for kind in (*kinds[:-1], "ai of 2 points"):
        assert any(f"objects of the kind {kind} give no exact area: left out (1;" in note for note in sources.notes)


def test_beside_images_of_several_folders(tmp_path: Path) -> None:
    for name, shape in (("x/a", "road"), ("y/a", "car")):
        write_json(tmp_path / f"{name}.json", tree({"points": SQUARE, "label": shape}))
    one, other = labels(rules("labelme", tmp_path), image(tmp_path, "x/a.png"), image(tmp_path, "y/a.png"))
    assert one[2, 3] == 0 and other[2, 3] == 1


def test_an_image_of_another_name_in_the_file_goes_by_the_files_own(tmp_path: Path) -> None:
    assert (drawn(tmp_path, tree({"points": SQUARE}, imagePath="..\\old\\other.png")) == box(1, 2, 4, 5)).all()
    assert (drawn(tmp_path, tree({"points": SQUARE}, imagePath=None)) == box(1, 2, 4, 5)).all()


def test_images_without_a_file_and_files_without_an_image(tmp_path: Path) -> None:
    for name in ("a", "c"):
        write_json(tmp_path / f"{name}.json", tree({"points": SQUARE}))
    pictures = [image(tmp_path, "a.png"), image(tmp_path, "b.png")]
    sources = found(rules("labelme", tmp_path), *pictures)
    assert [*sources] == [pictures[0].path]
    assert any("annotations have no image here: left out (1; the first: c" in note for note in sources.notes)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (tree({"points": [[1, 2], [3]]}), "shape 1: .*no list of points of two numbers"),
        (tree({"points": None}), "shape 1: None is no list of points"),
        (tree({"points": [[True, False]] * 3}), "no list of points"),
        (tree({"points": [[1, 2], [3, 4], [float("inf"), 4]]}), "shape 1: inf is no coordinate"),
        (tree({"points": SQUARE, "label": 5}), "shape 1: label is not a text, but 5"),
        (tree({"points": SQUARE}, imageHeight=-6), "8 x -6 is no size of a picture"),
        (tree({"points": SQUARE}, imageHeight=10**9, imageWidth=10**9), "pixels are more than"),
        (tree({"points": SQUARE}, imageWidth=9), "the annotation is for 9x6 pixels, the image has 8x6"),
        ({**tree(), "shapes": {}}, "shapes is not a list"),
        ([1], "a list .* is outermost"),
        (tree({"points": SQUARE, "label": "kar"}), "'kar' .1 object in 1 image.; did you mean 'car'"),
    ],
)
def test_a_malformed_file_is_one_line(tmp_path: Path, content: Any, line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        drawn(tmp_path, content)
    assert "\n" not in str(error.value)


def test_nesting_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"shapes": ' + "[" * 100_000)
    with pytest.raises(UserError, match="too many lists"):
        found(rules("labelme", tmp_path), image(tmp_path, "a.png"))


def test_recognized(tmp_path: Path) -> None:
    assert labelme.looks_like(str(tmp_path)) is None
    write_json(tmp_path / "part/a.json", tree({"points": SQUARE}, {"points": SQUARE, "label": "road"}))
    evidence = labelme.looks_like(str(tmp_path))
    assert evidence and (evidence.path, evidence.images) == ("part", None)
    image(tmp_path, "part/a.png")
    assert labelme.looks_like(str(tmp_path)) == ("part", "part", "part/a.json has shapes and imagePath: LabelMe")
    assert [(one.name, one.count) for one in classes_of(labelme.EXPORT, str(tmp_path / "part"))] == [
        ("car", 1),
        ("road", 1),
    ]
