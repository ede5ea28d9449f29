"""Exports of several folders or files become one data set where they fit, and each that does not is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import own_layouts as drawn
import pytest
from pictures import write_image

from tests.datasets.own.recognize.test_layouts import described, look
from tests.datasets.own.recognize.test_objects import labelme
from utils.errors import UserError

SHAPES = [("road", drawn.corners((4, 4, 20, 20))), ("car", drawn.corners((30, 10, 12, 8)))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "set"
    place.mkdir()
    return place


def coco_of(folder: Path, name: str, seeds: range, image: str = "images/{}.jpg", categories: int = 1) -> None:
    """Write images of some seeds and a COCO file of their cars, whose category has the number `categories`."""
    rows = []
    for seed in seeds:
        write_image(folder / image.format(seed), drawn.image(seed))
        flat = [value for corner in drawn.corners(drawn.boxes(seed)[1]) for value in corner]
        rows.append({"id": seed, "image_id": seed, "category_id": categories, "segmentation": [flat]})
    images = [{"id": s, "file_name": f"{s}.jpg", "height": drawn.HEIGHT, "width": drawn.WIDTH} for s in seeds]
    tree = {"images": images, "annotations": rows, "categories": [{"id": categories, "name": "car"}]}
    drawn.write_json(folder / name, tree)


def yolo_of(folder: Path, names: str = "[road, car]") -> None:
    for seed in range(3):
        write_image(folder / f"images/{seed}.jpg", drawn.image(seed))
        points = [
            " ".join(f"{x / drawn.WIDTH} {y / drawn.HEIGHT}" for x, y in drawn.corners(b)) for b in drawn.boxes(seed)
        ]
        (folder / "labels").mkdir(exist_ok=True)
        (folder / f"labels/{seed}.txt").write_text("".join(f"{k} {text}\n" for k, text in enumerate(points)))
    (folder / "data.yaml").write_text(f"names: {names}\n")


def test_folders_of_labelme_are_one_set(folder: Path) -> None:
    """The same names in each of them."""
    for place in ("b0", "b1"):
        for seed in range(3):
            labelme(folder / place, seed, SHAPES)
    found = described(folder)
    assert sum(map(len, found.read.values())) == 6 and not found.draft.notes
    assert found.tree["labels"] == {"kind": "labelme", "path": "set"}


def test_other_files_beside_them_leave_a_list_of_folders(folder: Path) -> None:
    for place in ("b0", "b1"):
        labelme(folder / place, 0, SHAPES)
        labelme(folder / place, 1, SHAPES)
    drawn.write_json(folder / "package.json", {"name": "tool"})
    assert described(folder).tree["labels"]["path"] == ["set/b0", "set/b1"]


def test_parts_of_coco_are_one_set(folder: Path) -> None:
    for part in range(3):
        coco_of(folder, f"part{part}.json", range(3 * part, 3 * part + 3))
    found = described(folder)
    assert found.tree["labels"]["path"] == [f"set/part{part}.json" for part in range(3)]
    assert sum(map(len, found.read.values())) == 9 and "(and 2 more places)" in found.draft.what


def test_parts_of_each_split(folder: Path) -> None:
    for site, seeds in (("a", range(3)), ("b", range(3, 6))):
        coco_of(folder, f"{site}/train.json", seeds, f"{site}/train/{{}}.jpg")
        coco_of(folder, f"{site}/val.json", range(seeds.start + 6, seeds.stop + 6), f"{site}/val/{{}}.jpg")
    found = described(folder)
    assert {mode: len(names) for mode, names in found.read.items()} == {"train": 6, "val": 6}
    assert found.tree["splits"]["train"]["labels"] == ["set/a/train.json", "set/b/train.json"]


def test_sites_with_the_same_names_of_files(folder: Path) -> None:
    for site in ("north", "south"):
        coco_of(folder, f"{site}/labels.json", range(3), f"{site}/images/{{}}.jpg")
    assert sum(map(len, described(folder).read.values())) == 6
    for site in ("north", "south"):
        (folder / site / "labels.json").unlink()
        yolo_of(folder / site)
    found = described(folder)
    assert found.tree["labels"]["path"] == ["set/north/labels", "set/south/labels"]
    assert sum(map(len, found.read.values())) == 6 and found.classes == ("background", "road", "car")
    assert all(values == {0, 1, 2} for names in found.read.values() for values in names.values())


def test_tasks_of_cvat_and_projects_of_a_folder_each(folder: Path) -> None:
    for task in ("task 1", "task 2"):
        (folder / task).mkdir()
        drawn.cvat(folder / task)
    found = described(folder)
    assert sum(map(len, found.read.values())) == 24
    assert found.tree["labels"]["path"] == ["set/task 1/annotations.xml", "set/task 2/annotations.xml"]


def test_another_table_of_classes_is_named_and_left_out(folder: Path) -> None:
    coco_of(folder, "one.json", range(3))
    coco_of(folder, "other.json", range(3, 6), categories=7)
    found = described(folder)
    assert found.tree["labels"]["path"] == "set/one.json" and sum(map(len, found.read.values())) == 3
    (note,) = found.draft.notes
    assert "not used: labels in other.json (class 'car' has the number 7, in others 1)" in note
    assert "one of `sets`" in note
    for site, names in (("a", "[road, car]"), ("b", "[car, road]")):
        yolo_of(folder.parent / "yolo" / site, names)
    note = look(folder.parent / "yolo").notes[0]
    assert "labels in b/labels (class 'car' has the number 0, in others 1)" in note


def test_images_that_are_annotated_twice_are_taken_once(folder: Path) -> None:
    coco_of(folder, "instances.json", range(4))
    shutil.copy(folder / "instances.json", folder / "a_copy.json")
    found = described(folder)
    assert found.tree["labels"]["path"] == "set/instances.json"
    assert "a_copy.json (images/0.jpg is annotated twice" in found.draft.notes[0]


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    coco_of(folder, "a.json", range(3))
    (folder / "b.json").write_text((folder / "a.json").read_text()[:-20])
    (note,) = look(folder).notes
    assert "b.json (b.json, line 1: no valid JSON" in note


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("order", ["images annotations categories", "categories annotations images"])
def test_a_file_that_is_cut_off_anywhere_is_named_with_its_end(folder: Path, order: str, indent: int | None) -> None:
    coco_of(folder, "all.json", range(3))
    tree = json.loads((folder / "all.json").read_text())
    text = json.dumps({"info": {"year": 2026}, **{name: tree[name] for name in order.split()}}, indent=indent)
    first = text.index("file_name" if order.startswith("images") else "segmentation") + 13
    for end in range(first, len(text) - 1, 29):
        (folder / "all.json").write_text(text[:end] + "\n")
        line = 1 + text[:end].rstrip().count("\n")
        said = f"all.json, line {line}: no valid JSON: it is cut off, after {end + 1:,} bytes: copy or export it again"
        with pytest.raises(UserError) as error:
            look(folder)
        assert str(error.value).endswith(said), (str(error.value), text[:end][-40:])


def test_a_cut_file_of_a_split_is_not_passed_over(folder: Path) -> None:
    """Without its last key nothing else says what it is."""
    coco_of(folder, "train.json", range(3), "train/{}.jpg")
    coco_of(folder, "val.json", range(3, 6), "val/{}.jpg")
    text = (folder / "val.json").read_text()
    (folder / "val.json").write_text(text[: text.index('"categories"') - 9])
    with pytest.raises(UserError, match=r"val.json, line 1: no valid JSON: it is cut off, after [\d,]+ bytes"):
        look(folder)


def test_what_has_some_words_of_coco_is_none(folder: Path) -> None:
    """Lists of images without annotations lie beside COCO's; a file of one image may have a segmentation."""
    coco_of(folder, "all.json", range(3))
    drawn.write_json(folder / "test.json", {"images": [{"id": 9, "file_name": "9.jpg"}], "categories": []})
    drawn.write_json(folder / "a.json", {"image": {}, "annotations": [{"segmentation": []}]})
    assert described(folder).tree["labels"]["path"] == "set/all.json"


def test_labels_of_another_kind_are_named(folder: Path) -> None:
    coco_of(folder, "all.json", range(3))
    labelme(folder / "more", 5, SHAPES)
    assert "labelme: more/street5.json has shapes" in look(folder).notes[0]


@pytest.mark.parametrize("masks", [False, True])
def test_boxes_alone_are_no_labels(folder: Path, masks: bool) -> None:
    """Masks beside them are."""
    drawn.gray(folder)
    coco_of(folder, "boxes.json", range(3))
    tree = json.loads((folder / "boxes.json").read_text())
    for row in tree["annotations"]:
        row |= {"segmentation": [], "bbox": [1, 2, 3, 4]}
    (folder / "boxes.json").write_text(json.dumps(tree))
    if masks:
        draft = look(folder)
        assert "no object covers pixels" in draft.notes[-1] and draft.what.startswith("gray ids")
        return
    shutil.rmtree(folder / "masks")
    with pytest.raises(UserError, match="COCO, objects, but no object covers pixels.*box without segmentation.*3;"):
        look(folder)


def test_boxes_beside_polygons_are_said(folder: Path) -> None:
    coco_of(folder, "all.json", range(3))
    tree = json.loads((folder / "all.json").read_text())
    tree["annotations"].append({"id": 99, "image_id": 0, "category_id": 1, "segmentation": [], "bbox": [1, 2, 3, 4]})
    (folder / "all.json").write_text(json.dumps(tree))
    (note,) = look(folder).notes
    assert "box without segmentation give no exact area: left out (1;" in note


def test_pictures_beside_an_export_are_named(folder: Path) -> None:
    drawn.gray(folder)
    (folder / "lm").mkdir()
    drawn.labelme(folder / "lm")
    assert look(folder).notes == ("not used: 24 pictures in images, masks",)


def test_boxes_of_yolo_are_named(folder: Path) -> None:
    yolo_of(folder)
    for path in (folder / "labels").iterdir():
        path.write_text("0 0.5 0.5 0.25 0.25\n")
    with pytest.raises(UserError, match=r"images without labels; labels/0.txt has boxes \(YOLO\).*export polygons"):
        look(folder)


def test_images_beside_folders_of_splits_are_said(folder: Path) -> None:
    """One file for images in train, in val, and beside them."""
    for place, seeds in (("train/{}.jpg", range(3)), ("val/{}.jpg", range(3, 6)), ("{}.jpg", range(6, 8))):
        coco_of(folder, "all.json", seeds, place)
    coco_of(folder, "all.json", range(8), "more/{}.jpg")
    shutil.rmtree(folder / "more")
    found = described(folder)
    assert {mode: len(names) for mode, names in found.read.items()} == {"train": 3, "val": 3}
    assert "2 labeled images in no folder of a split, left out: 6.jpg, 7.jpg" in found.draft.notes
