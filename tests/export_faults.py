"""Faults that are planted into drawn exports of annotation tools, and where and as what they have to be found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from own_layouts import STEMS
from pictures import write_image

Plants = list[tuple[str, str, str]]  # file, kind of its fault, some of what is said


def cut(path: Path) -> None:
    """Leave the first part of a file, its head among it."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])


def change(path: Path, how: Callable[[Any], object]) -> None:
    """Change what a JSON file holds."""
    tree = json.loads(path.read_text())
    how(tree)
    path.write_text(json.dumps(tree))


def _no_image(path: Path) -> None:
    path.write_bytes(b"\xff\xd8")


def in_labelme(root: Path) -> Plants:
    cut(root / f"{STEMS[2]}.json")
    change(root / f"{STEMS[5]}.json", lambda tree: tree["shapes"][0].update(label="truk"))
    change(root / f"{STEMS[6]}.json", lambda tree: tree["shapes"][1].update(points="x"))
    change(root / f"{STEMS[7]}.json", lambda tree: tree.update(imageHeight=50))
    _no_image(root / f"{STEMS[8]}.jpg")
    return [
        (f"{STEMS[2]}.json", "unreadable-label", "line 1: no valid JSON: it is cut off"),
        (f"{STEMS[5]}.json", "unmapped-value", "'truk'"),
        (f"{STEMS[6]}.json", "unreadable-label", "no list of points"),
        (f"{STEMS[7]}.json", "size-differs", "64x50 pixels, the image has 64x48"),
        (f"{STEMS[8]}.jpg", "unreadable-image", ""),
    ]


def in_coco(root: Path) -> Plants:
    train, val = (f"annotations/instances_{split}2017.json" for split in ("train", "val"))

    def spoil(tree: Any) -> None:
        tree["annotations"][2]["segmentation"] = "x"
        tree["annotations"][5]["category_id"] = 9
        tree["images"][6]["height"] = 50

    change(root / train, spoil)
    change(root / val, lambda tree: tree["annotations"][0].pop("image_id"))
    _no_image(root / "train2017" / f"{STEMS[7]}.jpg")
    return [
        (train, "unreadable-label", f"{STEMS[1]}.jpg, annotation 11: segmentation is neither"),
        (train, "unreadable-label", f"{STEMS[2]}.jpg, annotation 22: category_id 9"),
        (train, "size-differs", f"{STEMS[6]}.jpg: the annotation is for 64x50 pixels"),
        (val, "unreadable-label", "annotation 81: image_id is not a number"),
        (f"train2017/{STEMS[7]}.jpg", "unreadable-image", ""),
    ]


def in_coco_rle(root: Path) -> Plants:
    train, val = (f"annotations/instances_{split}2017.json" for split in ("train", "val"))

    def spoil(tree: Any) -> None:
        masks = [row["segmentation"] for row in tree["annotations"]]
        masks[2]["counts"] = masks[2]["counts"][:-3]
        masks[5]["counts"].pop()
        masks[6]["counts"] += " "
        masks[8]["size"] = [50, 64]
        masks[11]["counts"] = {"x": 1}

    change(root / train, spoil)
    change(root / val, lambda tree: tree["annotations"][1]["segmentation"]["counts"].insert(0, -1))
    cut(root / "val2017" / f"{STEMS[9]}.jpg")
    return [
        (train, "unreadable-label", f"{STEMS[1]}.jpg, annotation 11: its mask"),
        (train, "unreadable-label", f"{STEMS[2]}.jpg, annotation 22: its mask has"),
        (train, "unreadable-label", f"{STEMS[3]}.jpg, annotation 31: its compressed mask is damaged"),
        (train, "unreadable-label", f"{STEMS[4]}.jpg, annotation 41: its mask is for 64x50 pixels"),
        (train, "unreadable-label", f"{STEMS[5]}.jpg, annotation 52: its mask is no list of lengths"),
        (val, "unreadable-label", f"{STEMS[8]}.jpg, annotation 82: its mask has a run of -1 pixels"),
        (f"val2017/{STEMS[9]}.jpg", "unreadable-image", ""),
    ]


def in_yolo(root: Path) -> Plants:
    first, second = (f"train/labels/{stem}.txt" for stem in STEMS[1:3])
    (root / first).write_text((root / first).read_text() + "9 0 0 1 0 1 1\n0 a b\n")
    (root / second).write_text("0 0 0 1 0 1 1 1\n")
    cut(root / f"valid/images/{STEMS[8]}.jpg")
    return [
        (first, "unreadable-label", "line 3"),
        (first, "unreadable-label", "line 4"),
        (second, "unreadable-label", "line 1"),
        (f"valid/images/{STEMS[8]}.jpg", "unreadable-image", ""),
    ]


def in_cvat(root: Path) -> Plants:
    """Line by line, as the tool writes them."""
    path = root / "annotations.xml"
    lines = path.read_text().replace("<image ", "\n<image ").replace("<polygon ", "\n<polygon ").split("\n")

    def spoil(image: int, element: int, old: str, new: str) -> None:
        place = 1 + 3 * image + element  # behind the head; the image itself, then its polygons
        assert old in lines[place]
        lines[place] = lines[place].replace(old, new)

    spoil(2, 1, 'points="', 'points="x,')
    spoil(3, 2, 'z_order="1"', 'z_order="top"')
    spoil(5, 1, "road", "raod")
    spoil(6, 0, 'height="48"', 'height="50"')
    spoil(7, 0, 'width="64"', 'width="wide"')
    path.write_text("\n".join(lines))
    _no_image(root / f"images/{STEMS[8]}.jpg")
    return [
        ("annotations.xml", "unreadable-label", "line 9: points are not"),
        ("annotations.xml", "unreadable-label", "line 13: z_order is no number"),
        ("annotations.xml", "unmapped-value", "'raod'"),
        ("annotations.xml", "size-differs", f"{STEMS[6]}.jpg: the annotation is for 64x50 pixels"),
        ("annotations.xml", "unreadable-label", "line 23: width is no number"),
        (f"images/{STEMS[8]}.jpg", "unreadable-image", ""),
    ]


def in_supervisely(root: Path) -> Plants:
    files = {number: f"ds0/ann/{stem}.jpg.json" for number, stem in enumerate(STEMS)}
    cut(root / files[1])
    change(root / files[2], lambda tree: tree["objects"][0]["points"].update(exterior="x"))
    change(root / files[3], lambda tree: tree["objects"][1]["bitmap"].update(data="%%%"))
    change(root / files[5], lambda tree: tree["objects"][1].update(classTitle="cra"))
    change(root / files[6], lambda tree: tree["size"].update(height=50))
    cut(root / f"ds0/img/{STEMS[8]}.jpg")
    return [
        (files[1], "unreadable-label", "line 1: no valid JSON: it is cut off"),
        (files[2], "unreadable-label", "object 1: 'x' is no list of points"),
        (files[3], "unreadable-label", "object 2: its mask is damaged"),
        (files[5], "unmapped-value", "'cra'"),
        (files[6], "size-differs", "64x50 pixels, the image has 64x48"),
        (f"ds0/img/{STEMS[8]}.jpg", "unreadable-image", ""),
    ]


def in_labelstudio(root: Path) -> Plants:
    def spoil(tree: Any) -> None:
        results = [task["annotations"][0]["result"] for task in tree]
        results[1][0]["value"]["points"] = [[1, 2, 3]] * 3
        results[2][1]["value"]["rle"] = results[2][1]["value"]["rle"][:-20]
        results[3][0]["value"]["polygonlabels"] = ["raod"]
        for one in results[5]:
            one["original_height"] = 50
        del results[5][1]
        results[6][0]["original_height"] = 50
        tree[7]["data"] = {"image": 5}

    change(root / "export.json", spoil)
    _no_image(root / f"images/{STEMS[8]}.jpg")
    return [
        ("export.json", "unreadable-label", f"task 1, {STEMS[1]}.jpg, result 1: "),
        ("export.json", "unreadable-label", f"task 2, {STEMS[2]}.jpg, result 2: its brush is cut off"),
        ("export.json", "unmapped-value", "'raod'"),
        ("export.json", "size-differs", f"{STEMS[5]}.jpg: the annotation is for 64x50 pixels"),
        ("export.json", "unreadable-label", "task 6: its results are for images of different sizes"),
        ("export.json", "unreadable-label", "task 7: data names no image"),
        (f"images/{STEMS[8]}.jpg", "unreadable-image", ""),
    ]


def in_binary(root: Path) -> Plants:
    cut(root / f"masks/car/{STEMS[1]}.png")
    write_image(root / f"masks/road/{STEMS[2]}.png", np.zeros((20, 64), np.uint8))
    write_image(root / f"masks/truk/{STEMS[4]}.png", np.full((48, 64), 255, np.uint8))
    cut(root / f"images/{STEMS[3]}.png")
    return [
        (f"masks/car/{STEMS[1]}.png", "unreadable-label", ""),
        (f"masks/road/{STEMS[2]}.png", "size-differs", "64x20"),
        (f"masks/truk/{STEMS[4]}.png", "unmapped-value", "truk"),
        (f"images/{STEMS[3]}.png", "unreadable-image", ""),
    ]


PLANTS: dict[str, Callable[[Path], Plants]] = {
    "labelme": in_labelme, "coco": in_coco, "coco_rle": in_coco_rle, "yolo": in_yolo, "binary": in_binary,
    "cvat": in_cvat, "supervisely": in_supervisely, "labelstudio": in_labelstudio,
}  # fmt: skip
