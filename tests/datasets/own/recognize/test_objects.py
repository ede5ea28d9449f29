"""Exports of annotation tools: what lies around objects, names and numbers of classes, files of splits."""

from __future__ import annotations

import json
from pathlib import Path

import own_layouts as drawn
import pytest
from pictures import write_image

from tests.datasets.own.recognize.test_layouts import described, look
from utils.errors import UserError


def whole() -> list[list[float]]:
    return drawn.corners((0, 0, drawn.WIDTH, drawn.HEIGHT))


def labelme(folder: Path, seed: int, shapes: list[tuple[str, list]]) -> None:
    """Write an image with a LabelMe file beside it."""
    write_image(folder / f"street{seed}.jpg", drawn.image(seed))
    found = [{"label": name, "points": points, "shape_type": "polygon"} for name, points in shapes]
    tree = {"shapes": found, "imagePath": f"street{seed}.jpg", "imageHeight": drawn.HEIGHT, "imageWidth": drawn.WIDTH}
    drawn.write_json(folder / f"street{seed}.json", tree)


def test_where_all_of_an_image_is_labeled_the_rest_is_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for seed in range(6):
        road, car = drawn.boxes(seed)
        shapes = [("ground", whole()), ("road", drawn.corners(road)), ("Void", drawn.corners(car))]
        labelme(folder, seed, shapes)
    found = described(folder)
    assert found.tree["background"] == "ignore" and found.classes == ("ground", "road")
    assert found.tree["ignore"] == ["Void"] and "drawn, but not a class by its name" in found.text
    assert all(values == {0, 1, 255} for names in found.read.values() for values in names.values())


def test_a_class_without_objects_is_a_comment_and_background_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    drawn.coco(folder)
    for path in (folder / "annotations").iterdir():
        tree = json.loads(path.read_text())
        tree["categories"] += [{"id": 9, "name": "tram"}, {"id": 0, "name": "background"}]
        path.write_text(json.dumps(tree))
    found = described(folder)
    assert "# - {name: tram}" in found.text and "tram" not in found.classes
    assert found.tree["background"] == "background" and found.classes == ("road", "car", "background")


def test_captions_and_key_points_beside_instances(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    drawn.coco(folder)
    for split in ("train", "val"):
        tree = json.loads((folder / f"annotations/instances_{split}2017.json").read_text())
        (folder / f"annotations/captions_{split}2017.json").write_text(json.dumps({"images": [], "annotations": []}))
        (folder / f"annotations/a_person_keypoints_{split}2017.json").write_text(json.dumps(tree))
    found = described(folder)
    assert found.tree["splits"]["val"]["labels"] == "set/annotations/instances_val2017.json"
    assert len(found.read["train"]) == 8


def test_one_file_for_images_of_two_folders(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    drawn.coco(folder)
    trees = [json.loads(path.read_text()) for path in sorted((folder / "annotations").iterdir())]
    both = {key: trees[0][key] + trees[1][key] for key in ("images", "annotations")}
    for path in (folder / "annotations").iterdir():
        path.unlink()
    (folder / "annotations/all.json").write_text(json.dumps({**both, "categories": trees[0]["categories"]}))
    found = described(folder)
    assert {mode: len(names) for mode, names in found.read.items()} == {"train": 8, "val": 4}


def test_numbers_without_names(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    drawn.yolo(folder)
    (folder / "data.yaml").unlink()
    found = described(folder)
    assert len(found.classes) == 3 and found.classes[0] == "background"
    assert all(values == {0, 1, 2} for names in found.read.values() for values in names.values())


def test_names_of_a_yaml_file_called_otherwise(tmp_path: Path) -> None:
    """As Ultralytics has them; two of them: the one that is taken is said."""
    folder = tmp_path / "set"
    drawn.yolo(folder)
    (folder / "data.yaml").unlink()
    (folder / "my.yaml").write_text("names: {0: road, 1: car}\n")
    (folder / "old.yaml").write_text("names: {0: lane, 1: auto}\n")
    found = described(folder)
    assert found.classes == ("background", "road", "car")
    assert found.draft.notes[0].startswith("names of classes are those of my.yaml, not of old.yaml beside it")
    assert all(values == {0, 1, 2} for names in found.read.values() for values in names.values())


def test_supervisely(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for seed in range(8):
        write_image(folder / f"ds 1/img/a{seed}.jpg", drawn.image(seed))
        objects = [
            {"classTitle": name, "geometryType": "polygon", "points": {"exterior": drawn.corners(box), "interior": []}}
            for name, box in zip(("road", "car"), drawn.boxes(seed), strict=True)
        ]
        tree = {"size": {"height": drawn.HEIGHT, "width": drawn.WIDTH}, "objects": objects}
        drawn.write_json(folder / f"ds 1/ann/a{seed}.jpg.json", tree)
    classes = [{"title": "road", "color": "#804080"}, {"title": "car", "color": "#00008E"}]
    drawn.write_json(folder / "meta.json", {"classes": classes, "tags": []})
    found = described(folder)
    assert found.tree["labels"]["kind"] == "supervisely" and found.classes == ("background", "road", "car")
    assert sum(map(len, found.read.values())) == 8 and "color: [128, 64, 128]" in found.text


def test_label_studio(tmp_path: Path) -> None:
    folder, tasks = tmp_path / "set", []
    for seed in range(8):
        write_image(folder / f"images/a{seed}.jpg", drawn.image(seed))
        results = []
        for name, box in zip(("road", "car"), drawn.boxes(seed), strict=True):
            points = [[100 * x / drawn.WIDTH, 100 * y / drawn.HEIGHT] for x, y in drawn.corners(box)]
            value = {"points": points, "polygonlabels": [name]}
            size = {"original_width": drawn.WIDTH, "original_height": drawn.HEIGHT}
            results.append({"type": "polygonlabels", "from_name": "label", "to_name": "image", "value": value, **size})
        place = f"/data/upload/1/0a1b2c3d-a{seed}.jpg"
        tasks.append({"id": seed, "data": {"image": place}, "annotations": [{"id": seed, "result": results}]})
    drawn.write_json(folder / "export.json", tasks)
    found = described(folder)
    assert found.tree["labels"] == {"kind": "labelstudio", "path": "set/export.json"}
    assert sum(map(len, found.read.values())) == 8 and found.classes == ("background", "road", "car")


def test_polygons_as_cityscapes_has_them(tmp_path: Path) -> None:
    """A set of one's own in its layout: no label images, other names."""
    folder = tmp_path / "set"
    for seed in range(8):
        split = "train" if seed < 6 else "val"
        write_image(folder / f"leftImg8bit/{split}/town/a{seed}_leftImg8bit.png", drawn.image(seed))
        objects = [
            {"label": "ground", "polygon": whole()},
            {"label": "tram", "polygon": drawn.corners(drawn.boxes(seed)[0])},
        ]
        tree = {"imgHeight": drawn.HEIGHT, "imgWidth": drawn.WIDTH, "objects": objects}
        drawn.write_json(folder / f"gtFine/{split}/town/a{seed}_gtFine_polygons.json", tree)
    found = described(folder)
    assert found.tree["labels"]["kind"] == "cityscapes" and found.classes == ("ground", "tram")
    assert {mode: len(names) for mode, names in found.read.items()} == {"train": 6, "val": 2}


def test_annotations_without_images(tmp_path: Path) -> None:
    drawn.coco(tmp_path / "set")
    for folder in ("train2017", "val2017"):
        for path in (tmp_path / "set" / folder).iterdir():
            path.unlink()
    write_image(tmp_path / "set/instances/logo.png", drawn.image(0))
    with pytest.raises(UserError, match="COCO.*but there is no picture: put the images beside it"):
        look(tmp_path / "set")


def test_classes_that_differ_in_capitals_alone_are_said(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for seed in range(4):
        labelme(folder, seed, [("road" if seed else "Road", drawn.corners((4, 4, 20, 20)))])
    assert "classes called almost alike: 'road' and 'Road'; if they are one, `merge` them" in look(folder).notes
