"""Exports of annotation tools as a run reads them: through a dataset's file, its rules and the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from annotations import HEIGHT, WIDTH, box, image, write_json
from datasets_own import dataset_of, split_of, written

from utils.errors import UserError

SQUARE = [[2, 1], [5, 1], [5, 4], [2, 4]]
HEAD = "images: images\nsplits: {percent: {train: 100}}\n"


def labelme(name: str = "car", size: tuple[int, int] = (HEIGHT, WIDTH)) -> dict[str, Any]:
    shape = {"label": name, "points": SQUARE, "shape_type": "polygon"}
    return {"shapes": [shape], "imagePath": "", "imageHeight": size[0], "imageWidth": size[1]}


def two(tmp_path: Path) -> None:
    """Two images, of which the first has a car."""
    for name in ("a", "b"):
        image(tmp_path / "images", f"{name}.png")
    write_json(tmp_path / "json/a.json", labelme())


def file(tmp_path: Path, *lines: str, kind: str = "labelme", path: str = "json") -> Path:
    return written(tmp_path, HEAD + f"labels: {{kind: {kind}, path: {path}}}\n" + "\n".join(lines))


def test_images_without_annotation(tmp_path: Path) -> None:
    two(tmp_path)
    with pytest.raises(UserError, match="b.png"):
        split_of(file(tmp_path, "classes: [road, car]"))
    assert len(split_of(file(tmp_path, "classes: [road, car]", "missing: skip")).items) == 1
    data = dataset_of(file(tmp_path, "classes: [road, car]", "background: road", "missing: background"))
    assert (data.label(0) == box(1, 2, 4, 5, around=0)).all() and (data.label(1) == 0).all()


def test_merged_and_ignored_classes(tmp_path: Path) -> None:
    two(tmp_path)
    write_json(tmp_path / "json/b.json", labelme("bus"))
    data = dataset_of(file(tmp_path, "classes: [road, car, bus]", "merge: {vehicle: [car, bus]}", "background: road"))
    assert (data.label(0) == box(1, 2, 4, 5, around=0)).all() and (data.label(1) == data.label(0)).all()
    data = dataset_of(file(tmp_path, "classes: [road, car]", "ignore: [bus]", "background: road"))
    assert (data.label(1) == box(1, 2, 4, 5, value=255, around=0)).all()


def test_unknown_classes_name_the_file_and_count(tmp_path: Path) -> None:
    two(tmp_path)
    for name in ("a", "b"):
        write_json(tmp_path / f"json/{name}.json", labelme("kar"))
    with pytest.raises(UserError) as error:
        split_of(file(tmp_path, "classes: [road, car]"))
    said = str(error.value)
    assert "set.yaml" in said and "'kar' (2 objects in 2 images); did you mean 'car'?" in said and "\n" not in said


def test_remarks_are_in_the_log_at_every_start(tmp_path: Path) -> None:
    two(tmp_path)
    write_json(tmp_path / "json/c.json", labelme())
    for _ in range(2):
        notes = split_of(file(tmp_path, "classes: [road, car]", "missing: skip")).notes
        assert any("annotations have no image here: left out (1; the first: c" in note for note in notes)


def test_other_names_of_numbers_draw_anew(tmp_path: Path) -> None:
    image(tmp_path / "images", "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 0 0 1 0 1 1 0 1\n")
    lines = ("classes: [road, car]",)
    for name, train in (("car", 1), ("road", 0)):
        (tmp_path / "data.yaml").write_text(f"names: [{name}]\n")
        assert (dataset_of(file(tmp_path, *lines, kind="yolo", path="labels")).label(0) == train).all()


def test_images_are_read_as_their_tag_turns_them(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "images").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((WIDTH, HEIGHT, 3), np.uint8)).save(tmp_path / "images/a.jpg", exif=exif)
    assert cv2.imread(str(tmp_path / "images/a.jpg")).shape[:2] == (HEIGHT, WIDTH)
    write_json(tmp_path / "json/a.json", labelme())
    data = dataset_of(file(tmp_path, "classes: [road, car]"))
    sample = data[0]
    assert sample.image.shape[:2] == (HEIGHT, WIDTH) and (sample.label == box(1, 2, 4, 5)).all()
