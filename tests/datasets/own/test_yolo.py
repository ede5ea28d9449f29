"""YOLO's text files of polygons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from annotations import box, classes, classes_of, found, image, label, labels, rules

from datasets.own import yolo
from utils.errors import UserError

SQUARE = "0.25 0.166666667 0.625 0.166666667 0.625 0.666666667 0.25 0.666666667"
ROAD = "0 0 1 0 1 1 0 1"


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def drawn(tmp_path: Path, *lines: str, **more: object) -> np.ndarray:
    write(tmp_path / "labels/train/a.txt", *lines)
    return label(rules("yolo", tmp_path / "labels", **more), image(tmp_path / "images", "train/a.png"))


def test_polygons_in_shares_of_the_sides(tmp_path: Path) -> None:
    assert (drawn(tmp_path, f"1 {SQUARE}") == box(1, 2, 4, 5)).all()
    assert (drawn(tmp_path, f"0 {ROAD}", f"1 {SQUARE}", "") == box(1, 2, 4, 5, around=0)).all()
    assert (drawn(tmp_path, f"1 {SQUARE}", f"0 {ROAD}") == 0).all()


def test_classes_by_number_or_by_the_names_of_data_yaml(tmp_path: Path) -> None:
    assert (drawn(tmp_path, f"7 {SQUARE}", own=classes("road", "car", ids=(0, 7))) == box(1, 2, 4, 5)).all()
    write(tmp_path / "data.yaml", "train: images/train", "names: [car, road]")
    assert (drawn(tmp_path, f"0 {SQUARE}") == box(1, 2, 4, 5)).all()
    write(tmp_path / "data.yaml", "names:", "  0: road", "  3: car")
    assert (drawn(tmp_path, f"3 {SQUARE}") == box(1, 2, 4, 5)).all()
    # A file that gives ids goes by them.
    assert (drawn(tmp_path, f"3 {SQUARE}", own=classes("x", "y", ids=(0, 3))) == box(1, 2, 4, 5)).all()
    assert (drawn(tmp_path, f"3 {SQUARE}", own=classes("road"), ignored=("car",)) == 255).all()


def test_labels_of_the_same_name_in_two_folders(tmp_path: Path) -> None:
    for k, part in enumerate(("train", "val")):
        write(tmp_path / f"labels/{part}/a.txt", f"{k} {ROAD}")
    pictures = [image(tmp_path / "images", f"{part}/a.png") for part in ("train", "val")]
    one, other = labels(rules("yolo", tmp_path / "labels"), *pictures)
    assert (one == 0).all() and (other == 1).all()


def test_what_is_said(tmp_path: Path) -> None:
    write(tmp_path / "labels/a.txt", "0 0.5 0.5 0.2 0.2", "0 0.1 0.1 0.2 0.2 0.1 0.1", "0 -0.5 0 0.5 0 0.5 1 0 1")
    write(tmp_path / "labels/b.txt", "")
    write(tmp_path / "labels/c.txt", f"0 {ROAD}")
    write(tmp_path / "labels/classes.txt", "road", "car")
    pictures = [image(tmp_path / "images", name) for name in ("a.png", "b.png", "d.png")]
    sources = found(rules("yolo", tmp_path / "labels"), *pictures)
    notes = "\n".join(sources.notes)
    assert [Path(path).name for path in sources] == ["a.png", "b.png"]
    for line in (
        "objects of the kind box (5 numbers) give no exact area: left out (1; the first: ",
        "outlines have under 3 different points: left out (1;",
        "objects reach out of their image: cut at its border (1;",
        "images have an annotation without objects: all of them is background (1; the first: ",
        "annotations have no image here: left out (1; the first: c",
    ):
        assert line in notes, line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("car 0.1 0.1 0.2 0.2 0.3 0.3", "line 2: 'car 0.1 0.1 0.2 0.2 0.3 0.3' is not 'class x y x y ...'"),
        ("0 0.1 0.1 0.2 0.2 0.3", "line 2: 6 numbers: a class and pairs of x and y are an odd count"),
        ("0.5 0.1 0.1 0.2 0.2 0.3 0.3", "line 2: 0.5 is no number of a class"),
        ("-1 0.1 0.1 0.2 0.2 0.3 0.3", "line 2: -1 is no number of a class"),
        ("nan 0.1 0.1 0.2 0.2 0.3 0.3", "line 2: nan is no number of a class"),
        ("0 0.1 0.1 0.2 nan 0.3 0.3", "line 2: nan is no coordinate"),
        ("0 10 10 200 10 200 200", "line 2: 200 is no share of a side"),
        ("5 0.1 0.1 0.2 0.2 0.3 0.1", "labels have what is no class: id 5 .1 object in 1 image"),
    ],
)
def test_a_malformed_line_is_one_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        drawn(tmp_path, f"0 {ROAD}", line)
    assert "\n" not in str(error.value)


def test_boxes_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no object covers pixels, .*: objects of the kind box .5 numbers."):
        drawn(tmp_path, "0 0.5 0.5 0.2 0.2")


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    write(tmp_path / "data.yaml", "names: [car, road]")
    with pytest.raises(UserError, match="class 2 is not among the 2 names of data.yaml"):
        drawn(tmp_path, f"2 {ROAD}")
    for text, line in (("names: [a, a]", "a name stands twice"), ("names: 5", "no list"), ("names: {a: b}", "no list")):
        write(tmp_path / "data.yaml", text)
        with pytest.raises(UserError, match=line):
            drawn(tmp_path, f"0 {ROAD}")


def test_names_stand_in_any_yaml_file_of_the_tree(tmp_path: Path) -> None:
    labels = tmp_path / "mine/labels/train"
    write(labels / "a.txt", f"0 {ROAD}")
    write(tmp_path / "mine/broken.yaml", "names: [a")
    write(tmp_path / "mine/other.yaml", "name: mine")

    def names() -> tuple[list[str], tuple[str, ...]]:
        found = yolo.EXPORT.read([str(labels)], "here")
        return [*found.declared], found.remarks.lines()

    assert names() == ([], ())
    write(tmp_path / "coco8.yaml", "path: ../coco8", "train: images/train", "names: [person]")
    assert names() == ([], ())  # that of another set beside it
    write(tmp_path / "all.yaml", "path: /content/mine", "names: [road]")
    assert names()[0] == ["road"]
    write(tmp_path / "mine/your.yml", "names: {0: street, 1: auto}")
    assert names()[0] == ["street", "auto"]
    assert names()[1][0].startswith("names of classes are those of your.yml (1; the first: ")
    write(tmp_path / "mine/my.yaml", "names: {0: road, 1: car}")
    assert names()[0] == ["road", "car"]
    assert names()[1][0].startswith("names of classes are those of my.yaml, not of your.yml beside it (1;")
    write(tmp_path / "mine/mine.yaml", "names: [lane, car]")
    assert names()[0] == ["lane", "car"]  # it is called as the folder is
    write(tmp_path / "mine/data.yaml", "names: [way, car]")
    assert names()[0] == ["way", "car"] and "data.yaml, not of mine.yaml, my.yaml, your.yml" in names()[1][0]
    (labels / "a.txt").write_text(f"2 {ROAD}\n")
    (tmp_path / "mine/data.yaml").unlink()
    with pytest.raises(UserError, match="class 2 is not among the 2 names of mine.yaml"):
        label(rules("yolo", labels), image(tmp_path / "mine/images/train", "a.png"))


@pytest.mark.parametrize("place", ["labels/classes.txt", "labels/train/classes.txt", "classes.txt", "obj.names"])
def test_names_stand_in_a_list_where_no_yaml_file_has_them(place: str, tmp_path: Path) -> None:
    write(tmp_path / "labels/train/a.txt", f"0 {ROAD}", f"1 {SQUARE}")
    write(tmp_path / place, "road", "car", "")
    write(tmp_path.parent / "classes.txt", "of", "others")
    given, picture = rules("yolo", tmp_path / "labels/train"), image(tmp_path / "images/train", "a.png")
    assert (label(given, picture) == box(1, 2, 4, 5, around=0)).all()
    said = f"names of classes are those of {Path(place).name} (1; the first: {tmp_path / place})"
    assert said in found(given, picture).notes
    write(tmp_path / "data.yaml", "names: [car, road]")
    assert (label(given, picture) == box(1, 2, 4, 5, value=0, around=1)).all()


def test_recognized(tmp_path: Path) -> None:
    write(tmp_path / "README.txt", "a text")
    write(tmp_path / "boxes/labels/a.txt", "0 0.5 0.5 0.2 0.2")
    assert yolo.looks_like(str(tmp_path)) is None
    write(tmp_path / "labels/train/a.txt", f"1 {SQUARE}")
    assert yolo.looks_like(str(tmp_path)) == (
        "labels",
        None,
        "labels/train/a.txt has a class and points in each line: YOLO",
    )
    image(tmp_path / "images", "train/a.png")
    evidence = yolo.looks_like(str(tmp_path))
    assert evidence and evidence.images == "images"
    assert [tuple(one) for one in classes_of(yolo.EXPORT, str(tmp_path / "labels"))] == [("", 1, None, 1)]
    write(tmp_path / "data.yaml", "names: [road, car]")
    listed = classes_of(yolo.EXPORT, str(tmp_path / "labels"))
    assert [tuple(one) for one in listed] == [("road", 0, None, 0), ("car", 1, None, 1)]
