"""Miniature datasets of every kind, six images for training and two for validation: what bad files are planted into."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import own_layouts as drawn
from pictures import write_image

from datasets import DATASETS, camvid

SPLITS = {"train": range(6), "val": range(6, 8)}
OBJECTS = drawn.NAMES[1:]
Tree = Callable[[Path], list[str]]  # draws into a folder; gives the words of the command line


def label_of(dataset: str, seed: int) -> np.ndarray:
    """Draw a label in a built-in dataset's own values, (48, 64) uint8."""
    spec, ids = DATASETS[dataset.replace("acdc", "cityscapes")].spec, drawn.label(seed)  # whose ids ACDC has
    values = list(spec.train_to_id) or [*range(spec.num_classes)]
    return np.array(values[:3], np.uint8)[ids]


def _built_in(dataset: str, image: str, label: str, **folders: str) -> Tree:
    """A tree by patterns of paths; `{split}` becomes that of `folders`."""

    def make(root: Path) -> list[str]:
        for split, seeds in SPLITS.items():
            for seed in seeds:
                given = {"split": folders.get(split, split), "n": seed}
                write_image(root / image.format(**given), drawn.image(seed))
                write_image(root / label.format(**given), label_of(dataset, seed))
        return ["--dataset", dataset, "--data_root", str(root)]

    return make


def _acdc(root: Path) -> list[str]:
    """ACDC in fog."""
    tree = _built_in("acdc", "rgb_anon/fog/{split}/G/G_{n}_rgb_anon.png", "gt/fog/{split}/G/G_{n}_gt_labelIds.png")
    return [*tree(root), "--conditions", "fog"]


def _kitti(root: Path) -> list[str]:
    """200 frames, links to eight but for them."""
    words = _built_in("kitti", "eight/{n}.png", "eight/{n}_label.png")(root)
    for folder, ending in (("image_2", ""), ("semantic", "_label")):
        (root / "training" / folder).mkdir(parents=True)
        for number in range(200):
            (root / f"training/{folder}/{number:06d}_10.png").symlink_to(f"../../eight/{number % 8}{ending}.png")
    return words


def _camvid_colors(root: Path) -> list[str]:
    """CamVid's original, its labels in colors."""
    colors = np.array(list(camvid.ALL_SPEC.color_to_id), np.uint8)[:3]
    names = [*(f"0006R0_f{n:05d}" for n in range(930, 936)), "0016E5_07959", "0016E5_07961"]
    for seed, name in enumerate(names):
        write_image(root / f"701_StillsRaw_full/{name}.png", drawn.image(seed))
        write_image(root / f"LabeledApproved_full/{name}_L.png", colors[drawn.label(seed)])
    return ["--dataset", "camvid", "--data_root", str(root)]


def _mapillary(root: Path) -> list[str]:
    """Vistas 1.2."""
    root.mkdir(parents=True, exist_ok=True)
    names = [*(f"Class {i}" for i in range(65)), "Unlabeled"]
    entries = [{"readable": name, "color": [i, 255 - i, 7], "name": name} for i, name in enumerate(names)]
    (root / "config.json").write_text(json.dumps({"labels": entries, "version": "1.1"}))
    for split, seeds in SPLITS.items():
        place = {"train": "training", "val": "validation"}[split]
        for seed in seeds:
            write_image(root / place / "images" / f"{seed}.jpg", drawn.image(seed))
            palette = [entry["color"] for entry in entries]
            drawn.write_palette(root / place / "labels" / f"{seed}.png", drawn.label(seed), palette)
    return ["--dataset", "mapillary", "--data_root", str(root), "--pre_size", "64"]


def _lists(root: Path) -> list[str]:
    """Two lists of files."""
    words = []
    for split, seeds in SPLITS.items():
        lines = []
        for seed in seeds:
            write_image(root / f"i/{seed}.png", drawn.image(seed))
            write_image(root / f"l/{seed}.png", drawn.label(seed))
            lines.append(f"i/{seed}.png\tl/{seed}.png\n")
        (root / f"{split}.lst").write_text("".join(lines))
        words += [f"--list_{split}", str(root / f"{split}.lst")]
    (root / "classes.yaml").write_text("names: [ground, road, car]\n")
    return ["--dataset", "list", "--data_root", str(root), "--classes", str(root / "classes.yaml"), *words]


def _folder(root: Path) -> list[str]:
    """Two folders of images and labels."""
    for split, seeds in SPLITS.items():
        for seed in seeds:
            write_image(root / f"{split}/images/{seed}.png", drawn.image(seed))
            write_image(root / f"{split}/labels/{seed}.png", drawn.label(seed))
    (root / "classes.yaml").write_text("names: [ground, road, car]\n")
    return ["--dataset", "folder", "--data_root", str(root), "--classes", str(root / "classes.yaml")]


# Datasets that a YAML file describes ------------------------------------------------------------------------------


def _own(text: str, draw: Callable[[Path], object], classes: Sequence[str] = OBJECTS, ids: bool = False) -> Tree:
    def make(root: Path) -> list[str]:
        draw(root)
        rows = ""
        for k, (name, color) in enumerate(zip(classes, drawn.COLORS[-len(classes) :], strict=True), 1):
            rows += f"  - {{name: {name}, {f'id: {k}, ' * ids}color: {[*color]}}}\n"
        (root / "set.yaml").write_text(f"classes:\n{rows}{text}splits: {{percent: {{train: 75, val: 25}}}}\n")
        return ["--dataset", str(root / "set.yaml")]

    return make


def _stored(kind: str) -> Tree:
    """Labels that are pictures: ids as gray or palette, colors, a mask for each class."""

    def draw(root: Path) -> None:
        colors = np.array(drawn.COLORS, np.uint8)
        for seed in range(8):
            ids = drawn.label(seed)
            write_image(root / f"images/{seed}.png", drawn.image(seed))
            if kind == "palette":
                drawn.write_palette(root / f"labels/{seed}.png", ids + np.uint8(1))
            elif kind == "binary":
                for k, name in enumerate(drawn.NAMES):
                    write_image(root / f"labels/{name}/{seed}.png", np.uint8(255) * (ids == k))
            else:
                write_image(root / f"labels/{seed}.png", colors[ids] if kind == "rgb" else ids + np.uint8(1))

    text = f"images: images\nlabels: {{path: labels, kind: {kind}}}\n"
    return _own(text, draw, drawn.NAMES, kind in ("gray", "palette"))


def _exported(kind: str, write: Callable[[Path], object], path: str, images: str = "images") -> Tree:
    return _own(f"images: {images}\nlabels: {{path: {path}, kind: {kind}}}\n", write)


def _pictures(root: Path) -> None:
    for seed in range(8):
        write_image(root / f"images/{seed}.png", drawn.image(seed))


def _coco(root: Path) -> None:
    _pictures(root)
    images, rows = [], []
    for seed in range(8):
        images.append({"id": seed, "file_name": f"{seed}.png", "height": drawn.HEIGHT, "width": drawn.WIDTH})
        for number, box in enumerate(drawn.boxes(seed), 1):
            flat = [value for corner in drawn.corners(box) for value in corner]
            rows.append({"id": 9 * seed + number, "image_id": seed, "category_id": number, "segmentation": [flat]})
    categories = [{"id": number, "name": name} for number, name in enumerate(OBJECTS, 1)]
    drawn.write_json(root / "coco.json", {"images": images, "annotations": rows, "categories": categories})


def _labelme(root: Path) -> None:
    _pictures(root)
    for seed in range(8):
        shapes = [{"label": name, "points": drawn.corners(box), "shape_type": "polygon"}
                  for name, box in zip(OBJECTS, drawn.boxes(seed), strict=True)]  # fmt: skip
        tree = {"shapes": shapes, "imagePath": f"{seed}.png", "imageHeight": drawn.HEIGHT, "imageWidth": drawn.WIDTH}
        drawn.write_json(root / f"json/{seed}.json", tree)


def _cvat(root: Path) -> None:
    _pictures(root)
    rows = []
    for seed in range(8):
        rows.append(f'<image id="{seed}" name="{seed}.png" width="{drawn.WIDTH}" height="{drawn.HEIGHT}">')
        for number, (name, box) in enumerate(zip(OBJECTS, drawn.boxes(seed), strict=True)):
            points = ";".join(f"{x}.0,{y}.0" for x, y in drawn.corners(box))
            rows.append(f'<polygon label="{name}" occluded="0" points="{points}" z_order="{number}"></polygon>')
        rows.append("</image>")
    labels = "".join(f"<label><name>{name}</name></label>" for name in OBJECTS)
    head = f"<version>1.1</version><meta><task><labels>{labels}</labels></task></meta>"
    (root / "cvat.xml").write_text(f'<?xml version="1.0"?><annotations>{head}{"".join(rows)}</annotations>')


def _yolo(root: Path) -> None:
    _pictures(root)
    for seed in range(8):
        lines = []
        for number, box in enumerate(drawn.boxes(seed)):
            points = " ".join(f"{x / drawn.WIDTH} {y / drawn.HEIGHT}" for x, y in drawn.corners(box))
            lines.append(f"{number} {points}\n")
        (root / "labels").mkdir(exist_ok=True)
        (root / f"labels/{seed}.txt").write_text("".join(lines))
    (root / "data.yaml").write_text("names: [road, car]\n")


def _supervisely(root: Path) -> None:
    for seed in range(8):
        write_image(root / f"p/ds0/img/{seed}.png", drawn.image(seed))
        objects: list[dict[str, Any]] = [
            {"classTitle": name, "geometryType": "polygon", "points": {"exterior": drawn.corners(box), "interior": []}}
            for name, box in zip(OBJECTS, drawn.boxes(seed), strict=True)
        ]
        mask = zlib.compress(cv2.imencode(".png", np.full((4, 4), 255, np.uint8))[1].tobytes())
        bitmap = {"data": base64.b64encode(mask).decode(), "origin": [1, 1]}
        objects.append({"classTitle": "car", "geometryType": "bitmap", "bitmap": bitmap})
        size = {"height": drawn.HEIGHT, "width": drawn.WIDTH}
        drawn.write_json(root / f"p/ds0/ann/{seed}.png.json", {"size": size, "objects": objects, "tags": []})
    drawn.write_json(root / "p/meta.json", {"classes": [{"title": name, "shape": "any"} for name in OBJECTS]})


def _labelstudio(root: Path) -> None:
    _pictures(root)
    tasks = []
    for seed in range(8):
        results = []
        for name, box in zip(OBJECTS, drawn.boxes(seed), strict=True):
            points = [[100 * x / drawn.WIDTH, 100 * y / drawn.HEIGHT] for x, y in drawn.corners(box)]
            value = {"points": points, "closed": True, "polygonlabels": [name]}
            size = {"original_width": drawn.WIDTH, "original_height": drawn.HEIGHT}
            results.append({"id": "x", "type": "polygonlabels", "value": value, **size})
        tasks.append(
            {"id": seed, "data": {"image": f"/data/{seed}.png"}, "annotations": [{"id": 1, "result": results}]}
        )
    drawn.write_json(root / "studio.json", tasks)


# What each is drawn by; where labels are no pictures, the file that holds that of one image.
TREES: dict[str, Tree] = {
    "cityscapes": _built_in(
        "cityscapes", "leftImg8bit/{split}/u/u_0_{n}_leftImg8bit.png", "gtFine/{split}/u/u_0_{n}_gtFine_labelIds.png"
    ),
    "camvid": _built_in("camvid", "{split}/{n}.png", "{split}annot/{n}.png"),
    "camvid in colors": _camvid_colors,
    "kitti": _kitti,
    "mapillary": _mapillary,
    "ade20k": _built_in(
        "ade20k", "images/{split}/{n}.jpg", "annotations/{split}/{n}.png", train="training", val="validation"
    ),
    "acdc": _acdc,
    "list": _lists,
    "folder": _folder,
    "own gray": _stored("gray"),
    "own palette": _stored("palette"),
    "own colors": _stored("rgb"),
    "own binary": _stored("binary"),
    "own coco": _exported("coco", _coco, "coco.json"),
    "own labelme": _exported("labelme", _labelme, "json"),
    "own cvat": _exported("cvat", _cvat, "cvat.xml"),
    "own yolo": _exported("yolo", _yolo, "labels"),
    "own supervisely": _exported("supervisely", _supervisely, "p", "p/ds0/img"),
    "own labelstudio": _exported("labelstudio", _labelstudio, "studio.json"),
}  # fmt: skip
ANNOTATIONS = {
    "own coco": "coco.json",
    "own labelme": "json/*.json",
    "own cvat": "cvat.xml",
    "own yolo": "labels/*.txt",
    "own supervisely": "p/ds0/ann/*.json",
    "own labelstudio": "studio.json",
}
