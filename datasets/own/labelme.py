"""LabelMe's JSON files, one for each image: polygons, rectangles, circles, masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from datasets.collecting import each
from datasets.own.bitmap import inside_of, letters, size_of
from datasets.own.jsonfile import ends, field, read_tree, search
from datasets.own.objects import Annotated, Annotations, Evidence, Export, of_files
from datasets.own.shapes import Mask, Remarks, Shape, declared_size, ellipse, numbers, outline, rectangle
from media.files import EXTENSIONS
from utils.errors import UserError


def read(paths: Sequence[str], where: str) -> Annotations:
    """Read the heads of all files; one without an image's size or shapes is a UserError."""
    return of_files(paths, ".json", where, _annotated)


def _annotated(path: Path, place: str) -> Annotated:
    tree, where = read_tree(path), str(path)
    field(tree, "shapes", list, where)
    height, width = tree.get("imageHeight"), tree.get("imageWidth")
    size = None if height is None and width is None else declared_size(height, width, where)
    return Annotated(_image_name(tree, place), where, size, where, files=(where,), file=where)


def _image_name(tree: dict[str, Any], place: str) -> str:
    """Name the image as its file, with the suffix that the file says where it says the same name."""
    own = PurePosixPath(place[: -len(".json")])
    said = PurePosixPath(str(tree.get("imagePath") or "").replace("\\", "/"))
    return str(own.with_name(said.name)) if said.stem == own.name else str(own)


def shapes(data: str, size: tuple[int, int] | None, where: str, remarks: Remarks) -> list[Shape]:
    """Read the objects of an image."""
    del size  # points are pixels
    values = field(read_tree(data), "shapes", list, where)
    return each(values, lambda k, value: _shape(value, f"{where}, shape {k}", remarks))


def _shape(value: Any, where: str, remarks: Remarks) -> Shape | None:
    name, kind = field(value, "label", str, where), value.get("shape_type") or "polygon"
    points = numbers(value.get("points"), where)
    if kind == "polygon":
        ring = outline(points, where, remarks)
    elif kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        ring = outline(rectangle(x0, y0, x1, y1), where, remarks)
    elif kind == "circle" and len(points) == 2:
        (x, y), radius = points[0], float(np.hypot(*(points[1] - points[0])))
        ring = outline(ellipse(x, y, radius, radius), where, remarks)
    elif kind == "mask" and len(points) == 2:
        return Shape(name, mask=_mask(value, points, where))
    else:
        remarks.skipped(kind if kind in _NO_AREA else f"{kind} of {len(points)} points", where)
        return None
    return Shape(name, rings=(ring,)) if ring is not None else None


_NO_AREA = ("point", "points", "line", "linestrip")


def _mask(value: dict[str, Any], points: np.ndarray, where: str) -> Mask:
    """Read a mask: a PNG file in letters, over the pixels from the first point to the second, both included."""
    (left, top), (right, bottom) = (np.round(end).astype(int).tolist() for end in (points.min(0), points.max(0)))
    content = letters(field(value, "mask", str, where), where)
    size = size_of(content, where)
    if size != (bottom - top + 1, right - left + 1):
        raise UserError(
            f"{where}: its mask has {size[1]}x{size[0]} pixels, its points span {right - left + 1}x{bottom - top + 1}"
        )
    return Mask(left, top, size, partial(inside_of, content, where))


def looks_like(folder: str) -> Evidence | None:
    """Recognize a folder by its first JSON files, in any depth up to 3."""
    for path in search(Path(folder), most=5, depth=3):
        text = ends(path)
        if b'"shapes"' in text and b'"imagePath"' in text:
            place = path.relative_to(folder)
            beside = any(other.suffix.lower() in EXTENSIONS for other in path.parent.glob(f"{path.stem}.*"))
            images = str(place.parent) if beside else None
            return Evidence(str(place.parent), images, f"{place} has shapes and imagePath: LabelMe")
    return None


EXPORT = Export(read, shapes, looks_like)
