"""Label Studio's JSON export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import annotations
import numpy as np
import pytest
from annotations import HEIGHT, WIDTH, box, classes_of, found, image, label, rules, write_json

from datasets.collecting import collecting
from datasets.own import labelstudio
from utils.errors import UserError

SQUARE = [[25, 100 / 6], [62.5, 100 / 6], [62.5, 400 / 6], [25, 400 / 6]]


def polygon(name: str = "car", points: Any = SQUARE, **more: Any) -> dict[str, Any]:
    value = {"points": points, "closed": True, "polygonlabels": [name]}
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {
        "id": "x",
        "type": "polygonlabels",
        "from_name": "label",
        "to_name": "image",
        "value": value,
        **size,
        **more,
    }


def brush(name: str, mask: np.ndarray) -> dict[str, Any]:
    value = {"format": "rle", "rle": annotations.brush(mask), "brushlabels": [name]}
    return {**polygon(), "type": "brushlabels", "value": value}


def task(*results: dict[str, Any], place: str = "/data/upload/1/0a1b2c3d-a.png", **more: Any) -> dict[str, Any]:
    return {"id": 41, "data": {"image": place}, "annotations": [{"id": 1, "result": list(results)}], **more}


def drawn(tmp_path: Path, content: Any, **more: Any) -> np.ndarray:
    return label(rules("labelstudio", write_json(tmp_path / "x.json", content), **more), image(tmp_path, "a.png"))


def test_polygons_in_percent(tmp_path: Path) -> None:
    assert (drawn(tmp_path, [task(polygon())]) == box(1, 2, 4, 5)).all()
    whole = polygon("road", [[0, 0], [100, 0], [100, 100], [0, 100]])
    assert (drawn(tmp_path, [task(whole, polygon())]) == box(1, 2, 4, 5, around=0)).all()
    generic = polygon(type="polygon")
    generic["value"] = {"points": SQUARE, "labels": ["car"]}
    assert (drawn(tmp_path, [task(generic)]) == box(1, 2, 4, 5)).all()


def test_shapes_and_labels_apart_are_one_object(tmp_path: Path) -> None:
    shape, named = polygon(type="polygon"), polygon(type="labels")
    shape["value"], named["value"] = {"points": SQUARE}, {"points": SQUARE, "labels": ["car"]}
    write_json(tmp_path / "x.json", [task(shape, named)])
    assert found(rules("labelstudio", tmp_path / "x.json"), image(tmp_path, "a.png")).notes == []
    assert (drawn(tmp_path, [task(shape, named)]) == box(1, 2, 4, 5)).all()


def test_brushes(tmp_path: Path) -> None:
    mask = box(1, 2, 4, 5, around=0)
    assert (drawn(tmp_path, [task(brush("car", mask))]) == box(1, 2, 4, 5)).all()


def test_ellipses(tmp_path: Path) -> None:
    value = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 100 / 3, "rotation": 0, "ellipselabels": ["car"]}
    made = drawn(tmp_path, [task({**polygon(), "type": "ellipselabels", "value": value})])
    assert (made == 1).sum() == 12 and (made[1:5, 3:5] == 1).all()


@pytest.mark.parametrize(
    "place",
    [
        "/data/upload/1/0a1b2c3d-a.png",
        "/data/local-files/?d=deep/folder/a.png",
        "s3://bucket/folder/a.png",
        "https://host:80/folder/a.png?token=5",
        "a.png",
    ],
)
def test_addresses_of_images(tmp_path: Path, place: str) -> None:
    assert (drawn(tmp_path, [task(polygon(), place=place)]) == box(1, 2, 4, 5)).all()


def test_of_several_annotations_the_ground_truth_counts_then_the_newest(tmp_path: Path) -> None:
    def annotation(name: str, **more: Any) -> dict[str, Any]:
        return {"result": [polygon(name)], **more}

    old, new = (annotation(name, updated_at=f"{year}-01-01") for name, year in (("road", 2024), ("car", 2025)))
    for given in ([old, new], [new, old], [new, annotation("road", was_cancelled=True)]):
        assert drawn(tmp_path, [task(annotations=given)])[2, 3] == 1
    assert drawn(tmp_path, [task(annotations=[{**old, "ground_truth": True}, new])])[2, 3] == 0
    sources = found(
        rules("labelstudio", write_json(tmp_path / "x.json", [task(annotations=[old, new])])), image(tmp_path, "a.png")
    )
    assert any("tasks have several annotations: the ground truth counts" in note for note in sources.notes)


def test_what_is_said(tmp_path: Path) -> None:
    rectangle = {
        **polygon(),
        "type": "rectanglelabels",
        "value": {"x": 1, "y": 1, "width": 5, "height": 5, "rectanglelabels": ["car"]},
    }
    two, none = polygon(), polygon(id="y")
    two["value"]["polygonlabels"], none["value"]["polygonlabels"] = ["car", "road"], []
    choice = {**polygon(), "type": "choices", "value": {"choices": ["x"]}}
    content = [task(rectangle, two, none, choice), {**task(place="b.png"), "annotations": []}]
    notes = "\n".join(
        found(rules("labelstudio", write_json(tmp_path / "x.json", content)), image(tmp_path, "a.png")).notes
    )
    for line in (
        "objects of the kind rectanglelabels give no exact area: left out (1;",
        "objects have several labels: the first counts (1;",
        "objects have no label: left out (1;",
        "tasks have no annotation: left out (1;",
    ):
        assert line in notes, line
    assert "choices" not in notes


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({}, "an object .* is outermost, where annotations have a list"),
        ([{"id": 5, "image": "a.png", "label": []}], "task 5: neither annotations nor data: export as JSON"),
        ([task(data={"image": 5})], "task 41: data names no image"),
        ([task(polygon(points=[[1, 2, 3]] * 3))], "result 1: .*no list of points"),
        ([task(polygon(image_rotation=90))], "the image was turned by 90 degrees"),
        ([task(polygon(original_width=9))], "the annotation is for 9x6 pixels, the image has 8x6"),
        ([task(polygon(original_width=10**9, original_height=10**9))], "pixels are more than"),
        ([task(polygon(), polygon(original_width=9))], "results are for images of different sizes"),
        ([task({**brush("car", np.zeros((2, 2), int))})], "its brush has 16 values"),
        ([task(polygon("cars"))], "'cars' .1 object in 1 image.; did you mean 'car'"),
    ],
)
def test_a_malformed_file_is_one_line(tmp_path: Path, content: Any, line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        drawn(tmp_path, content)
    assert "\n" not in str(error.value)


def test_recognized(tmp_path: Path) -> None:
    write_json(tmp_path / "other.json", [{"annotations": []}])
    assert labelstudio.looks_like(str(tmp_path)) is None
    write_json(tmp_path / "project-1.json", [task(polygon()), task(polygon())])
    evidence = labelstudio.looks_like(str(tmp_path))
    assert evidence and evidence.path == "project-1.json"
    assert [tuple(one) for one in classes_of(labelstudio.EXPORT, str(tmp_path / evidence.path))] == [
        ("car", None, None, 2)
    ]


def test_bad_tasks_and_results_are_gathered_and_their_images_left_out(tmp_path: Path) -> None:
    places = [f"/data/upload/1/0a1b2c3d-{name}.png" for name in "abc"]
    tasks = [task(polygon(), place=places[0]), {"id": 42, "annotations": []}, task(place=places[1])]
    tasks[2]["annotations"][0]["result"] = [polygon(points="x"), polygon("truk")]
    file = write_json(tmp_path / "x.json", tasks)
    with collecting() as gathered:
        sources = found(rules("labelstudio", file), *(image(tmp_path, f"{name}.png") for name in "abc"))
    assert [Path(path).name for path in sources] == ["a.png"]
    assert {Path(path).name for path in gathered.images} == {"b.png", "c.png"}  # c may be that of the task without data
    assert [(bad.kind, bad.file, bad.what.partition(",")[0]) for bad in gathered.bad] == [
        ("unreadable-label", str(file), "task 42: data is not an object"),
        ("unreadable-label", str(file), "task 41"),
        ("unmapped-value", str(file), "task 41"),
    ]
