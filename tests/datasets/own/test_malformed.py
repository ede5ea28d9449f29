"""Whatever stands at any place of an export, the answer is a label or one line."""

from __future__ import annotations

import base64
import copy
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from annotations import HEIGHT, WIDTH, found, image, rules, write_json

from datasets.own.kinds import KINDS
from datasets.reading import size_of
from utils.errors import UserError

JUNK = (None, -1, float("nan"), "\ud800", [[1, 2]], {"a": 1})
SQUARE = [[2, 1], [5, 1], [5, 4], [2, 4]]
_PNG = cv2.imencode(".png", np.ones((1, 1), np.uint8))[1].tobytes()
PNG, PACKED = base64.b64encode(_PNG).decode(), base64.b64encode(zlib.compress(_PNG)).decode()
_BITS = f"{HEIGHT * WIDTH * 4:032b}{7:05b}" + "0111" * 4 + "100" + f"{HEIGHT * WIDTH * 4 - 1:08b}{255:08b}"
BRUSH = [int(_BITS[at : at + 8], 2) for at in range(0, len(_BITS), 8)]
SIZE = {"original_height": HEIGHT, "original_width": WIDTH, "image_rotation": 0}

COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 7, "segmentation": [[2, 1, 5, 1, 5, 4]], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 7, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [8, 3, 37]}},
    ],
    "categories": [{"id": 7, "name": "car", "color": [1, 2, 3]}],
}
LABELME = {
    "imageHeight": HEIGHT,
    "imageWidth": WIDTH,
    "imagePath": "a.png",
    "shapes": [
        {"label": "car", "points": SQUARE, "shape_type": "polygon"},
        {"label": "car", "points": [[1, 1], [3, 3]], "shape_type": "circle"},
        {"label": "car", "points": [[1, 1], [3, 3]], "shape_type": "rectangle"},
        {"label": "car", "points": [[1, 1], [1, 1]], "shape_type": "mask", "mask": PNG},
    ],
}
SUPERVISELY = {
    "size": {"height": HEIGHT, "width": WIDTH},
    "objects": [
        {"classTitle": "car", "geometryType": "polygon", "points": {"exterior": SQUARE, "interior": [SQUARE]}},
        {"classTitle": "car", "geometryType": "rectangle", "points": {"exterior": [[1, 1], [3, 3]], "interior": []}},
        {"classTitle": "car", "geometryType": "bitmap", "bitmap": {"data": PACKED, "origin": [1, 1]}},
    ],
}
LABELSTUDIO = [
    {
        "id": 1,
        "data": {"image": "/data/upload/1/0a1b2c3d-a.png"},
        "annotations": [
            {
                "result": [
                    {"type": "polygonlabels", "value": {"points": SQUARE, "polygonlabels": ["car"]}, **SIZE},
                    {"type": "brushlabels", "value": {"rle": BRUSH, "brushlabels": ["car"]}, **SIZE},
                    {
                        "type": "ellipselabels",
                        "value": {"x": 1, "y": 1, "radiusX": 5, "radiusY": 5, "rotation": 9, "ellipselabels": ["car"]},
                        **SIZE,
                    },
                ]
            }
        ],
    }
]
CITYSCAPES = {"imgHeight": HEIGHT, "imgWidth": WIDTH, "objects": [{"label": "car", "polygon": SQUARE, "deleted": 0}]}
TREES = {
    "coco": COCO,
    "labelme": LABELME,
    "supervisely": SUPERVISELY,
    "labelstudio": LABELSTUDIO,
    "cityscapes": CITYSCAPES,
}


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values below a tree's top; of numbers and points the first of their list."""
    values = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in values:
        if not key or isinstance(key, str) or isinstance(value, dict):
            yield (*path, key)
            yield from places(value, (*path, key))


def with_junk(tree: Any, path: tuple[Any, ...], junk: Any) -> Any:
    """The tree with another value at a path."""
    changed = part = copy.deepcopy(tree)
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = junk
    return changed


@pytest.mark.parametrize("kind", TREES)
def test_junk_at_any_place(tmp_path: Path, kind: str) -> None:
    picture, failed = image(tmp_path / "images", "a.png"), 0
    name = "a_polygons.json" if kind == "cityscapes" else "a.json"
    given = rules(kind, tmp_path / "labels", overlap="smallest")
    draw = KINDS[kind].draw
    assert draw is not None
    write_json(tmp_path / "labels" / name, TREES[kind])
    assert (draw(found(given, picture)[picture.path], size_of(picture.path), given) == 1).any()
    for place in places(TREES[kind]):
        for junk in JUNK:
            write_json(tmp_path / "labels" / name, with_junk(TREES[kind], place, junk))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    sources = found(given, picture)
                    if picture.path in sources:
                        draw(sources[picture.path], size_of(picture.path), given)
            except UserError as error:
                failed += 1
                str(error).encode()
                assert "\n" not in str(error), (place, junk)
            except Exception as error:
                pytest.fail(f"{place} = {junk!r}: {error!r}")
    assert failed > 30
