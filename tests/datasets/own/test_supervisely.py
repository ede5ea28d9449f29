"""Supervisely's projects."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from annotations import HEIGHT, WIDTH, box, classes_of, found, image, label, labels, rules, write_json

from datasets.collecting import collecting
from datasets.own import bitmap, supervisely
from utils.errors import UserError

SQUARE = [[2, 1], [4, 1], [4, 3], [2, 3]]  # pixels that are corners


def shape(exterior: Any = SQUARE, interior: Any = (), **more: Any) -> dict[str, Any]:
    points = {"exterior": exterior, "interior": list(interior)}
    return {"classTitle": "car", "geometryType": "polygon", "points": points, **more}


def letters(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def tree(*objects: dict[str, Any], size: tuple[int, int] = (HEIGHT, WIDTH)) -> dict[str, Any]:
    return {"description": "", "tags": [], "size": {"height": size[0], "width": size[1]}, "objects": list(objects)}


def project(tmp_path: Path, content: Any, place: str = "ds0") -> Path:
    colors = [{"title": "car", "shape": "any", "color": "#FF0000", "id": 5}, {"title": "road", "shape": "polygon"}]
    write_json(tmp_path / "p/meta.json", {"classes": colors, "tags": []})
    write_json(tmp_path / f"p/{place}/ann/a.png.json", content)
    return tmp_path / "p"


def drawn(tmp_path: Path, content: Any, **more: Any) -> np.ndarray:
    home = project(tmp_path, content)
    return label(rules("supervisely", home, **more), image(home, "ds0/img/a.png"))


def test_polygons_name_pixels(tmp_path: Path) -> None:
    assert (drawn(tmp_path, tree(shape())) == box(1, 2, 4, 5)).all()
    hole = drawn(tmp_path, tree(shape([[0, 0], [7, 0], [7, 5], [0, 5]], [SQUARE])))
    expected = box(1, 2, 4, 5, value=255, around=1)
    assert (hole == expected).all()
    places = [[2.0, 1.2], [5.4, 1.2], [5.4, 4.0], [2.0, 4.0]]  # between pixels
    assert (drawn(tmp_path, tree(shape(places))) == box(1, 2, 4, 5)).all()
    corners = shape([[2, 1], [4, 3]], geometryType="rectangle")
    assert (drawn(tmp_path, tree(corners)) == box(1, 2, 4, 5)).all()


@pytest.mark.parametrize("channels", [1, 4])
def test_bitmaps(tmp_path: Path, channels: int) -> None:
    pixels = np.array([[255, 0, 255], [255, 255, 0]], np.uint8)
    stored = pixels if channels == 1 else np.stack([pixels * 0] * 3 + [pixels], -1)
    one = {"classTitle": "car", "geometryType": "bitmap", "bitmap": {"data": letters(png(stored)), "origin": [3, 2]}}
    expected = box(0, 0, 0, 0)
    expected[2:4, 3:6][pixels > 0] = 1
    assert (drawn(tmp_path, tree(one)) == expected).all()


def test_a_project_of_several_datasets_and_a_dataset_alone(tmp_path: Path) -> None:
    home = project(tmp_path, tree(shape()))
    project(tmp_path, tree(shape(classTitle="road")), "ds1")
    write_json(home / "obj_class_to_machine_color.json", {"car": [1, 1, 1]})
    write_json(home / "other.json", [1])
    pictures = [image(home, f"{part}/img/a.png") for part in ("ds0", "ds1")]
    one, other = labels(rules("supervisely", home), *pictures)
    assert one[2, 3] == 1 and other[2, 3] == 0
    alone = image(home / "ds1/img", "a.png")
    for path in (home / "ds1", home / "ds1/ann"):
        assert label(rules("supervisely", path), alone)[2, 3] == 0


def test_what_is_said(tmp_path: Path) -> None:
    content = tree(shape(), shape(geometryType="line"), shape(geometryType="point"), shape([[1, 1], [2, 2]]))
    home = project(tmp_path, content)
    notes = "\n".join(found(rules("supervisely", home), image(home, "ds0/img/a.png")).notes)
    assert "objects of the kind line give no exact area: left out (1;" in notes
    assert "objects of the kind point give no exact area: left out (1;" in notes
    assert "outlines have under 3 different points: left out (1;" in notes


def bitmap_of(data: Any, origin: Any = (0, 0)) -> dict[str, Any]:
    return {"classTitle": "car", "geometryType": "bitmap", "bitmap": {"data": data, "origin": list(origin)}}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (tree(bitmap_of("%%%")), "object 1: its mask is damaged"),
        (tree(bitmap_of(base64.b64encode(b"abc").decode())), "object 1: its mask is damaged"),
        (tree(bitmap_of(letters(b"abc"))), "object 1: its mask is no picture"),
        (tree(bitmap_of(letters(png(np.zeros((9, 9), np.uint8)))[:40])), "object 1: its mask is damaged"),
        (tree(bitmap_of(letters(png(np.zeros((2, 2), np.uint8))), ("a", 1))), r"\('a', 1\) is no place of a mask"),
        (tree(bitmap_of(5)), "data is not a text, but 5"),
        (tree({"classTitle": "car", "geometryType": "bitmap"}), "bitmap is not an object"),
        (tree(shape([[1, 1]], geometryType="rectangle")), "a rectangle has two points, not 1"),
        (tree(shape("abc")), "no list of points"),
        (tree(shape(classTitle="cars")), "'cars' .1 object in 1 image.; did you mean 'car'"),
        (tree(size=(10**8, 10**8)), "pixels are more than"),
        (tree(size=(7, 8)), "the annotation is for 8x7 pixels, the image has 8x6"),
        ({"objects": []}, "has size and objects, as those of Supervisely have"),
    ],
)
def test_a_malformed_file_is_one_line(tmp_path: Path, content: Any, line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        drawn(tmp_path, content)
    assert "\n" not in str(error.value)


def test_pictures_that_would_fill_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    head = bytearray(png(np.zeros((2, 2), np.uint8)))
    head[16:24] = (10**6).to_bytes(4, "big") * 2  # the size in its head, and its checksum
    head[29:33] = zlib.crc32(head[12:29]).to_bytes(4, "big")
    with pytest.raises(UserError, match="1000000 x 1000000 pixels are more than"):
        bitmap.size_of(bytes(head), "x")
    monkeypatch.setattr(bitmap, "_LARGEST", 1000)
    with pytest.raises(UserError, match="damaged"):
        bitmap.letters(letters(b"a" * 5000), "x", packed=True)


def test_recognized(tmp_path: Path) -> None:
    assert supervisely.looks_like(str(tmp_path)) is None
    home = project(tmp_path, tree(shape()))
    for folder, path, images in ((tmp_path, "p", "p"), (home, ".", "."), (home / "ds0", "ann", "img")):
        evidence = supervisely.looks_like(str(folder))
        assert evidence and (evidence.path, evidence.images) == (path, images)
    listed = [tuple(one) for one in classes_of(supervisely.EXPORT, str(home))]
    assert listed == [("car", 5, (255, 0, 0), 1), ("road", None, None, 0)]


def test_bad_files_and_objects_are_gathered_and_their_images_left_out(tmp_path: Path) -> None:
    home = project(tmp_path, tree(shape(), shape("x"), shape(**{"classTitle": 5})))
    write_json(home / "ds0/ann/b.png.json", tree(shape()))
    (home / "ds0/ann/c.png.json").write_text("{")
    with collecting() as gathered:
        sources = found(rules("supervisely", home), *(image(home, f"ds0/img/{name}.png") for name in "abc"))
    assert [Path(path).name for path in sources] == ["b.png"]
    assert [(Path(bad.file).name, Path(bad.image).name, bad.what.partition(":")[0]) for bad in gathered.bad] == [
        ("c.png.json", "c.png", "line 1"),
        ("a.png.json", "a.png", "object 2"),
        ("a.png.json", "a.png", "object 3"),
    ]
