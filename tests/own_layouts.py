"""Small data sets in the layouts that people and tools have: two classes on ground, drawn the same again each time."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
from annotations import brush
from pictures import write_image
from PIL import Image

NAMES = ("ground", "road", "car")
COLORS = ((70, 70, 70), (128, 64, 128), (0, 0, 142))
HEIGHT, WIDTH = 48, 64
STEMS = tuple(f"street {drive}_{frame:03d}" for drive in "abcdef" for frame in range(2))

Box = tuple[int, int, int, int]


def boxes(seed: int) -> tuple[Box, Box]:
    """Place a road and a car on it: (x, y, width, height) each."""
    random = np.random.default_rng(seed)
    x, y = (int(v) for v in random.integers(4, 20, 2))
    return (x, y, 32, 24), (x + 8, y + 8, 12, 8)


def label(seed: int) -> np.ndarray:
    """Draw ids 0 to 2, (48, 64) uint8."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (x, y, width, height) in enumerate(boxes(seed), 1):
        ids[y : y + height, x : x + width] = number
    return ids


def image(seed: int) -> np.ndarray:
    """Draw what a camera would see of a label: colors with noise, (48, 64, 3) uint8."""
    noise = np.random.default_rng(seed).normal(0, 12, (HEIGHT, WIDTH, 3))
    return np.clip(np.array(COLORS)[label(seed)] + 40 + noise, 0, 255).astype(np.uint8)


def colors(seed: int) -> np.ndarray:
    """Paint a label."""
    return np.array(COLORS, np.uint8)[label(seed)]


def write_palette(path: Path, ids: np.ndarray, palette: Sequence[Sequence[int]] = COLORS) -> None:
    """Write a picture with a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(ids, "P")
    picture.putpalette([part for color in palette for part in color])
    picture.save(path)


def write_images(folder: Path, stems: Sequence[str] = STEMS, suffix: str = ".png", ending: str = "") -> None:
    """Write an image for each stem."""
    for seed, stem in enumerate(stems):
        write_image(folder / f"{stem}{ending}{suffix}", image(seed))


def write_json(path: Path, tree: Any) -> None:
    """Write a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree))


def gray(root: Path) -> None:
    """images and masks of ids, whose names stand in classes.txt."""
    write_images(root / "images")
    for seed, stem in enumerate(STEMS):
        write_image(root / "masks" / f"{stem}.png", label(seed))
    (root / "classes.txt").write_text("\n".join(NAMES))


def palette(root: Path) -> None:
    """Train and val with masks that have a palette."""
    for split, seeds in (("train", range(8)), ("val", range(8, 12))):
        for seed in seeds:
            write_image(root / split / "images" / f"{STEMS[seed]}.jpg", image(seed))
            write_palette(root / split / "masks" / f"{STEMS[seed]}.png", label(seed))


def rgb(root: Path) -> None:
    """train and train_labels, val and val_labels, colors in class_dict.csv."""
    for split, seeds in (("train", range(8)), ("val", range(8, 12))):
        for seed in seeds:
            write_image(root / split / f"{STEMS[seed]}.png", image(seed))
            write_image(root / f"{split}_labels" / f"{STEMS[seed]}_L.png", colors(seed))
    rows = [f"{name},{red},{green},{blue}" for name, (red, green, blue) in zip(NAMES, COLORS, strict=True)]
    (root / "class_dict.csv").write_text("\n".join(["name,r,g,b", *rows]))


def binary(root: Path) -> None:
    """A mask for each class that is in an image: masks/<class>/<image>.png."""
    write_images(root / "images")
    for seed, stem in enumerate(STEMS):
        for number, name in enumerate(NAMES[1:], 1):
            write_image(root / "masks" / name / f"{stem}.png", np.where(label(seed) == number, 255, 0).astype(np.uint8))


def corners(box: Box) -> list[list[float]]:
    """List the corners of a box."""
    x, y, width, height = box
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]


def coco(root: Path) -> None:
    """One JSON file of polygons for each split, as COCO has them."""
    for split, seeds in (("train", range(8)), ("val", range(8, 12))):
        images, annotations = [], []
        for seed in seeds:
            name = f"{STEMS[seed]}.jpg"
            write_image(root / f"{split}2017" / name, image(seed))
            images.append({"id": seed, "file_name": name, "height": HEIGHT, "width": WIDTH})
            for number, box in enumerate(boxes(seed), 1):
                flat = [value for corner in corners(box) for value in corner]
                row = {"id": 10 * seed + number, "image_id": seed, "category_id": number, "segmentation": [flat]}
                annotations.append({**row, "bbox": list(box), "area": box[2] * box[3], "iscrowd": 0})
        categories = [{"id": number, "name": name} for number, name in enumerate(NAMES[1:], 1)]
        tree = {"images": images, "annotations": annotations, "categories": categories}
        write_json(root / "annotations" / f"instances_{split}2017.json", tree)


def labelme(root: Path) -> None:
    """A JSON file beside each image."""
    for seed, stem in enumerate(STEMS):
        write_image(root / f"{stem}.jpg", image(seed))
        shapes = [
            {"label": name, "points": corners(box), "shape_type": "polygon", "flags": {}, "group_id": None}
            for name, box in zip(NAMES[1:], boxes(seed), strict=True)
        ]
        tree = {"version": "5.2.1", "flags": {}, "shapes": shapes, "imagePath": f"{stem}.jpg", "imageData": None}
        write_json(root / f"{stem}.json", {**tree, "imageHeight": HEIGHT, "imageWidth": WIDTH})


def cvat(root: Path) -> None:
    """annotations.xml and images, as "CVAT for images 1.1" has them."""
    write_images(root / "images", suffix=".jpg")
    rows = []
    for seed, stem in enumerate(STEMS):
        rows.append(f'<image id="{seed}" name="{stem}.jpg" width="{WIDTH}" height="{HEIGHT}">')
        for number, (name, box) in enumerate(zip(NAMES[1:], boxes(seed), strict=True)):
            points = ";".join(f"{x}.0,{y}.0" for x, y in corners(box))
            rows.append(f'<polygon label="{name}" occluded="0" points="{points}" z_order="{number}"></polygon>')
        rows.append("</image>")
    body = "".join(rows)
    labels = "".join(f"<label><name>{name}</name><color>#ff00ff</color></label>" for name in NAMES[1:])
    head = f"<version>1.1</version><meta><task><labels>{labels}</labels></task></meta>"
    (root / "annotations.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?><annotations>{head}{body}</annotations>'
    )


def yolo(root: Path) -> None:
    """train and valid with images and labels, names in data.yaml."""
    for split, seeds in (("train", range(8)), ("valid", range(8, 12))):
        for seed in seeds:
            write_image(root / split / "images" / f"{STEMS[seed]}.jpg", image(seed))
            lines = []
            for number, box in enumerate(boxes(seed)):
                points = " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in corners(box))
                lines.append(f"{number} {points}")
            path = root / split / "labels" / f"{STEMS[seed]}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n")
    names = "[" + ", ".join(NAMES[1:]) + "]"
    (root / "data.yaml").write_text(f"train: ../train/images\nval: ../valid/images\nnc: 2\nnames: {names}\n")


def cityscapes(root: Path) -> None:
    """The tree of Cityscapes, with its ids."""
    ids = np.array([4, 7, 26], np.uint8)
    for split, city, seeds in (("train", "aachen", range(8)), ("val", "lindau", range(8, 12))):
        for seed in seeds:
            stem = f"{city}_000000_{seed:06d}"
            write_image(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", image(seed))
            values = np.where(label(seed) == 0, 8, ids[label(seed)])
            write_image(root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png", values.astype(np.uint8))


def voc(root: Path) -> None:
    """The tree of Pascal VOC."""
    for seed in range(12):
        write_image(root / "JPEGImages" / f"2007_{seed:06d}.jpg", image(seed))
        ids = np.where(label(seed) == 2, 7, label(seed)).astype(np.uint8)
        ids[:2] = 255
        write_palette(root / "SegmentationClass" / f"2007_{seed:06d}.png", ids, [[i, 0, 255 - i] for i in range(256)])
    write_image(root / "JPEGImages/2008_000001.jpg", image(99))  # it has boxes alone
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, seeds in (("train", range(8)), ("val", range(8, 12))):
        (lists / f"{split}.txt").write_text("".join(f"2007_{seed:06d}\n" for seed in seeds))


def runs(mask: np.ndarray) -> list[int]:
    """Give COCO's lengths of runs of a mask whose first pixel is 0, by columns."""
    flat = mask.T.ravel().astype(int)
    ends = (np.flatnonzero(np.diff(flat)) + 1).tolist()
    return np.diff(np.array([0, *ends, flat.size])).tolist()


def letters(lengths: Sequence[int]) -> str:
    """Compress COCO's lengths: five bits a letter, differences from the third on."""
    text = ""
    for place, length in enumerate(lengths):
        left = length - lengths[place - 2] if place > 2 else length
        more = True
        while more:
            digit, left = left & 31, left >> 5
            more = left != (-1 if digit & 16 else 0)
            text += chr(48 + digit + 32 * more)
    return text


def coco_rle(root: Path) -> None:
    """COCO's files with masks: roads compressed, cars as numbers."""
    coco(root)
    for path in (root / "annotations").iterdir():
        tree = json.loads(path.read_text())
        for row in tree["annotations"]:
            x, y, width, height = row["bbox"]
            mask = np.zeros((HEIGHT, WIDTH), bool)
            mask[y : y + height, x : x + width] = True
            counts = letters(runs(mask)) if row["category_id"] == 1 else runs(mask)
            row["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": counts}
        write_json(path, tree)


def supervisely(root: Path) -> None:
    """A project: meta.json, a dataset with img and ann; roads are polygons, cars bitmaps."""
    classes = [{"title": name, "shape": "any", "color": "#FF0000"} for name in NAMES[1:]]
    write_json(root / "meta.json", {"classes": classes, "tags": []})
    write_images(root / "ds0/img", suffix=".jpg")
    for seed, stem in enumerate(STEMS):
        (x, y, width, height), (left, top, *car) = boxes(seed)
        exterior = corners((x, y, width - 1, height - 1))  # points are pixels
        png = cv2.imencode(".png", np.full(car[::-1], 255, np.uint8))[1].tobytes()
        bitmap = {"data": base64.b64encode(zlib.compress(png)).decode(), "origin": [left, top]}
        road = {"classTitle": "road", "geometryType": "polygon", "points": {"exterior": exterior, "interior": []}}
        objects = [road, {"classTitle": "car", "geometryType": "bitmap", "bitmap": bitmap}]
        tree = {"description": "", "tags": [], "size": {"height": HEIGHT, "width": WIDTH}, "objects": objects}
        write_json(root / f"ds0/ann/{stem}.jpg.json", tree)


def labelstudio(root: Path) -> None:
    """The JSON export: roads are polygons in percent, cars brushes."""
    write_images(root / "images", suffix=".jpg")
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    tasks = []
    for seed, stem in enumerate(STEMS):
        points = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in corners(boxes(seed)[0])]
        car = brush((label(seed) == 2).astype(int))
        values = [
            ("polygonlabels", {"points": points, "closed": True, "polygonlabels": ["road"]}),
            ("brushlabels", {"format": "rle", "rle": car, "brushlabels": ["car"]}),
        ]
        result = [
            {"id": f"r{k}", "type": kind, "from_name": "label", "to_name": "image", "value": value, **size}
            for k, (kind, value) in enumerate(values)
        ]
        address = f"/data/upload/1/{seed:08x}-{quote(stem)}.jpg"
        tasks.append({"id": seed, "data": {"image": address}, "annotations": [{"id": seed, "result": result}]})
    write_json(root / "export.json", tasks)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "gray": gray, "palette": palette, "rgb": rgb, "binary": binary, "coco": coco, "labelme": labelme, "cvat": cvat,
    "yolo": yolo, "cityscapes": cityscapes, "voc": voc,
}  # fmt: skip
# Kept apart from the ten, each of which a slow test trains on.
FURTHER = {"coco_rle": coco_rle, "supervisely": supervisely, "labelstudio": labelstudio}
