"""COCO's objects and panoptic segments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotations import HEIGHT, WIDTH, box, classes, classes_of, found, image, label, labels, rules, write_json
from pictures import write_image

from datasets.own import coco
from utils.errors import UserError


def tree(*annotations: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A file of one image, a.png, with categories road (3) and car (7)."""
    return {
        "info": {"year": 2026},
        "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
        "annotations": [{"id": k, "image_id": 1, "category_id": 7, **a} for k, a in enumerate(annotations, 1)],
        "categories": [{"id": 3, "name": "road", "color": [1, 2, 3]}, {"id": 7, "name": "car"}],
        **more,
    }


SQUARE = [[2, 1, 5, 1, 5, 4, 2, 4]]


def drawn(tmp_path: Path, content: dict[str, Any], **more: Any) -> np.ndarray:
    return label(rules("coco", write_json(tmp_path / "a.json", content), **more), image(tmp_path, "a.png"))


def test_polygons(tmp_path: Path) -> None:
    two = {"segmentation": [[0, 0, 2, 0, 2, 2, 0, 2], [6, 4, 8, 4, 8, 6, 6, 6]]}
    expected = box(1, 2, 4, 5)
    expected[:2, :2] = expected[4:, 6:] = 1
    assert (drawn(tmp_path, tree({"segmentation": SQUARE}, two)) == expected).all()


@pytest.mark.parametrize("packed", [True, False])
def test_masks(tmp_path: Path, packed: bool) -> None:
    pixels = box(1, 2, 4, 5, around=0).astype(np.uint8)
    if packed:
        mask = pytest.importorskip("pycocotools.mask").encode(np.asfortranarray(pixels))
        form = {"size": mask["size"], "counts": mask["counts"].decode()}
    else:
        flat = pixels.T.ravel()
        ends = np.flatnonzero(np.diff(flat.astype(int))) + 1
        form = {"size": [HEIGHT, WIDTH], "counts": np.diff([0, *ends, flat.size]).tolist()}
    assert (drawn(tmp_path, tree({"segmentation": form})) == box(1, 2, 4, 5)).all()


def test_the_later_object_is_on_top_and_a_crowd_below_all(tmp_path: Path) -> None:
    wide, small = [[0, 0, 8, 0, 8, 6, 0, 6]], SQUARE
    road = {"category_id": 3, "segmentation": wide}
    assert (drawn(tmp_path, tree(road, {"segmentation": small})) == box(1, 2, 4, 5, around=0)).all()
    assert (drawn(tmp_path, tree({"segmentation": small}, road)) == 0).all()
    by_area = drawn(tmp_path, tree({"segmentation": small}, road), overlap="smallest")
    assert (by_area == box(1, 2, 4, 5, around=0)).all()
    by_class = drawn(tmp_path, tree({"segmentation": small}, road), overlap="classes")
    assert (by_class == by_area).all()
    crowd = {**road, "iscrowd": 1}
    assert (drawn(tmp_path, tree({"segmentation": small}, crowd)) == box(1, 2, 4, 5, around=0)).all()


def test_classes_by_id_by_name_and_by_alias(tmp_path: Path) -> None:
    content = tree({"segmentation": SQUARE})
    assert (drawn(tmp_path, content, own=classes("vehicle", ids=[7])) == box(1, 2, 4, 5, 0)).all()
    assert (drawn(tmp_path, content, own=classes("road"), ignored=("car",)) == 255).all()
    assert (drawn(tmp_path, content, own=classes("road", ids=[3]), ignored=("car",)) == 255).all()
    assert (drawn(tmp_path, content, own=classes("road", ids=[3]), ignored=(7,)) == 255).all()
    assert (drawn(tmp_path, content, own=classes("road", ids=[3]), unknown="ignore") == 255).all()


def test_background_may_be_a_class(tmp_path: Path) -> None:
    assert (drawn(tmp_path, tree({"segmentation": SQUARE}), background=0) == box(1, 2, 4, 5, around=0)).all()


def test_unknown_classes_are_counted_with_the_nearest_name(tmp_path: Path) -> None:
    content = tree({"segmentation": SQUARE}, {"segmentation": SQUARE})
    content["categories"][1]["name"] = "carr"
    with pytest.raises(UserError) as error:
        drawn(tmp_path, content)
    assert "my.yaml, labels" in str(error.value) and "'carr'" in str(error.value)
    assert "(2 objects in 1 image); did you mean 'car'?" in str(error.value)
    with pytest.raises(UserError, match="id 7, 'carr', .2 objects"):
        drawn(tmp_path, content, own=classes("road", ids=[3]))


def test_several_files_and_folders_of_images(tmp_path: Path) -> None:
    for k, part in enumerate(("train", "val")):
        content = tree({"segmentation": SQUARE, "category_id": (3, 7)[k]})
        content["images"][0]["file_name"] = f"{part}/a.png"
        write_json(tmp_path / f"json/{part}.json", content)
    pictures = [image(tmp_path / "images", f"{part}/a.png") for part in ("train", "val")]
    one, other = labels(rules("coco", tmp_path / "json"), *pictures)
    assert one[2, 3] == 0 and other[2, 3] == 1
    sources = found(rules("coco", tmp_path / "json"), pictures[0])
    assert any("annotations have no image here: left out (1; the first: val/a.png" in note for note in sources.notes)


def test_a_name_that_may_be_two_images(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", tree({"segmentation": SQUARE}))
    pictures = [image(tmp_path / "images", f"{part}/a.png") for part in ("train", "val")]
    with pytest.raises(UserError, match="'a.png' may be train/a.png or val/a.png: write the folder"):
        found(rules("coco", path), *pictures)


def test_an_image_in_two_files(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write_json(tmp_path / f"json/{name}.json", tree({"segmentation": SQUARE}))
    with pytest.raises(UserError, match="a.png is annotated twice: .*x.json, a.png and .*y.json, a.png"):
        found(rules("coco", tmp_path / "json"), image(tmp_path, "a.png"))


def test_what_is_said(tmp_path: Path) -> None:
    content = tree(
        {"bbox": [0, 0, 4, 4], "segmentation": []},
        {"segmentation": [[0, 0, 4, 4]]},
        {"segmentation": [[0, 0, 4, 4, 0, 0, 4, 4]]},
        {"segmentation": [[-9, -9, 4, 0, 4, 4]]},
        {"segmentation": [[50, 50, 60, 50, 60, 60]]},
        {"segmentation": SQUARE, "image_id": 99},
    )
    content["images"] += [{"id": 2, "file_name": "b.png"}, {"id": 3, "file_name": "c.png"}]
    pictures = [image(tmp_path, name) for name in ("a.png", "b.png")]
    sources = found(rules("coco", write_json(tmp_path / "a.json", content)), *pictures)
    said = "\n".join(sources.notes)
    for line in (
        "objects of the kind box without segmentation give no exact area: left out (1; the first: ",
        "outlines have under 3 different points: left out (2;",
        "objects reach out of their image: cut at its border (1;",
        "objects lie outside of their image: left out (1;",
        "annotations are of an image that the file does not list: left out (1; the first: image_id 99",
        "annotations have no image here: left out (1; the first: c.png",
        "images have an annotation without objects: all of them is background (1;",
    ):
        assert line in said, line
    assert {Path(path).name for path in sources} == {"a.png", "b.png"}


def test_a_change_of_one_image_changes_its_content_alone(tmp_path: Path) -> None:
    content = tree({"segmentation": SQUARE}, {"segmentation": SQUARE, "image_id": 2})
    content["images"].append({"id": 2, "file_name": "b.png"})
    pictures = [image(tmp_path, name) for name in ("a.png", "b.png")]
    before = found(rules("coco", write_json(tmp_path / "a.json", content)), *pictures)
    content["annotations"][1]["segmentation"] = [[0, 0, 4, 0, 4, 4]]
    after = found(rules("coco", write_json(tmp_path / "a.json", content)), *pictures)
    same = [before[picture.path].content == after[picture.path].content for picture in pictures]
    assert same == [True, False]


def test_a_file_is_parsed_once_however_many_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = tree(images=[{"id": k, "file_name": f"{k}.png", "height": 6, "width": 8} for k in range(20)])
    content["annotations"] = [{"id": k, "image_id": k, "category_id": 3, "segmentation": SQUARE} for k in range(20)]
    read = []
    monkeypatch.setattr(coco, "Index", lambda path, index=coco.Index: read.append(path) or index(path))
    pictures = [image(tmp_path, f"{k}.png") for k in range(20)]
    assert all(one[2, 3] == 0 for one in labels(rules("coco", write_json(tmp_path / "a.json", content)), *pictures))
    assert len(read) == 1


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"segmentation": [[1, 2, 3]]}, "no list of points of two numbers"),
        ({"segmentation": [["a", 2, 3, 4, 5, 6]]}, "no list of points of two numbers"),
        ({"segmentation": [[1, 2, float("nan"), 4, 5, 6]]}, "nan is no coordinate"),
        ({"segmentation": [[1, 2, 1e300, 4, 5, 6]]}, "1e.300 is no coordinate"),
        ({"segmentation": "abc"}, "neither a list of polygons nor a mask"),
        ({"segmentation": {"counts": [1]}}, "its mask has no size"),
        ({"segmentation": {"size": [6], "counts": [1]}}, "its mask has no size"),
        ({"segmentation": {"size": [99999999, 99999999], "counts": [1]}}, "pixels are more than"),
        ({"segmentation": {"size": [8, 6], "counts": [48]}}, "its mask is for 6x8 pixels, the image has 8x6"),
        ({"segmentation": {"size": [-6, -8], "counts": [48]}}, "no size of a picture"),
        ({"segmentation": SQUARE, "category_id": 9}, "category_id 9 is none of the file's categories"),
        ({"segmentation": SQUARE, "category_id": "7"}, "category_id is not a whole number, but '7'"),
        ({"segmentation": SQUARE, "image_id": None}, "image_id is not a number"),
    ],
)
def test_a_malformed_annotation_is_one_line(tmp_path: Path, change: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        drawn(tmp_path, tree(change))
    assert "annotation 1" in str(error.value) and "\n" not in str(error.value)


def test_a_damaged_mask_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="annotation 1: its mask has 5 pixels instead of 48"):
        drawn(tmp_path, tree({"segmentation": {"size": [6, 8], "counts": [5]}}))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "object {...} outermost"),
        ("[]", "object {...} outermost"),
        ('{"images": [] 5', "line 1: no valid JSON: ',' is missing"),
        ('{"images":\n []', "line 2: no valid JSON: it is cut off, after 14 bytes: copy or export it again$"),
        ('{"info": [1,\n]}', "line 2: no valid JSON: a value is missing"),
        ('{"images": [{"id": 1 2}]}', "line 1: no valid JSON"),
        ('{"images": [], "annotations": []}', "no list 'categories'"),
        ('{"images": [5]}', "image 5: file_name is not a text"),
        ('{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]}', "the id stands at two images"),
        ('{"categories": [{"id": 1, "name": 5}]}', "name is not a text, but 5"),
        ('{"annotations": ' + "[" * 100_000, "too many lists"),
        ('{"images": [{"id": ' + "9" * 10_000 + "}]}", "no valid JSON"),
        ("{5: 6}", "no valid JSON: a name is missing"),
    ],
)
def test_a_malformed_file_is_one_line(tmp_path: Path, content: str, line: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(UserError, match=line) as error:
        coco.read([str(path)], "my.yaml, labels")
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_declared_sizes_are_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    content = tree({"segmentation": SQUARE})
    content["images"][0].update(height=10**9, width=10**9)
    with pytest.raises(UserError, match="1000000000 x 1000000000 pixels are more than"):
        drawn(tmp_path, content)
    content["images"][0].update(height=7, width=8)
    with pytest.raises(UserError, match="a.json, a.png: the annotation is for 8x7 pixels, the image has 8x6"):
        drawn(tmp_path, content)


def test_a_file_with_a_mark_and_any_order(tmp_path: Path) -> None:
    content = dict(reversed(tree({"segmentation": SQUARE}).items()))
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(content, indent=1, ensure_ascii=False).encode())
    assert (label(rules("coco", path), image(tmp_path, "a.png")) == box(1, 2, 4, 5)).all()


def panoptic(tmp_path: Path, numbers: np.ndarray, *segments: dict[str, Any]) -> Path:
    """A file of segments with its PNG file."""
    colors = np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], -1).astype(np.uint8)
    write_image(tmp_path / "json/panoptic_val/a.png", colors)
    content = tree()
    content["annotations"] = [{"image_id": 1, "file_name": "a.png", "segments_info": list(segments)}]
    return write_json(tmp_path / "json/panoptic_val.json", content)


def test_panoptic(tmp_path: Path) -> None:
    numbers = np.zeros((HEIGHT, WIDTH), np.int64)
    numbers[:2], numbers[3:, :4], numbers[3:, 4:] = 5, 70_000, 300
    path = panoptic(tmp_path, numbers, *({"id": n, "category_id": c} for n, c in ((5, 3), (70_000, 7), (300, 7))))
    made = label(rules("coco", path), image(tmp_path / "images", "a.jpg"))
    assert (made[:2] == 0).all() and (made[2] == 255).all() and (made[3:] == 1).all()
    (source,) = found(rules("coco", path), image(tmp_path / "images", "a.jpg")).values()
    assert source.files == (str(tmp_path / "json/panoptic_val/a.png"),)


def test_panoptic_mistakes(tmp_path: Path) -> None:
    numbers = np.full((HEIGHT, WIDTH), 5)
    path, picture = panoptic(tmp_path, numbers, {"id": 6, "category_id": 3}), image(tmp_path / "images", "a.jpg")
    with pytest.raises(UserError, match="the segment 5 is not among those of"):
        label(rules("coco", path), picture)
    path = panoptic(tmp_path, numbers[:3], {"id": 5, "category_id": 3})
    with pytest.raises(UserError, match="has 8x3 pixels, its image 8x6"):
        label(rules("coco", path), picture)
    (tmp_path / "json/panoptic_val/a.png").unlink()
    with pytest.raises(UserError, match="its segments .*a.png are not there"):
        label(rules("coco", path), picture)


def test_recognized(tmp_path: Path) -> None:
    assert coco.looks_like(str(tmp_path)) is None
    write_json(tmp_path / "annotations/instances.json", tree({"segmentation": SQUARE}))
    write_json(tmp_path / "package.json", {"name": "x"})
    evidence = coco.looks_like(str(tmp_path))
    assert evidence and evidence.path == "annotations/instances.json" and "COCO" in evidence.why
    listed = classes_of(coco.EXPORT, str(tmp_path / evidence.path))
    assert [tuple(one) for one in listed] == [("road", 3, (1, 2, 3), 0), ("car", 7, None, 1)]
