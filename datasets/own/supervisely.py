"""Supervisely's projects: a JSON file for each image below `ann`: polygons, bitmaps, rectangles; meta.json."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datasets.collecting import each
from datasets.own.bitmap import inside_of, letters, size_of
from datasets.own.jsonfile import ends, field, read_tree, search
from datasets.own.objects import Annotated, Annotations, Color, Evidence, Export, of_files
from datasets.own.shapes import Mask, Remarks, Shape, declared_size, hex_color, numbers, outline, placed, rectangle
from utils.errors import UserError

_META = "meta.json"
_FOLDERS = {"ann": "img"}  # of the files of a dataset, and of their images


def read(paths: Sequence[str], where: str) -> Annotations:
    """Read the heads of all files below folders `ann`, and the classes of meta.json, in a folder of them or above."""
    found = of_files(paths, ".json", where, _annotated)
    if not found.images and not found.bad:
        raise UserError(f"{where}: no file of {', '.join(paths)} has size and objects, as those of Supervisely have")
    for path in map(Path, paths):
        for folder in [path, *path.parents][:3]:
            if not found.declared and (folder / _META).is_file():
                found.declared = _classes(folder / _META)
    return found


def _annotated(path: Path, place: str) -> Annotated | None:
    tree = read_tree(path, (dict, list)) if path.name != _META else None
    if not isinstance(tree, dict) or not tree.keys() >= {"size", "objects"}:
        return None
    where, size = str(path), field(tree, "size", dict, str(path))
    of_image = declared_size(size.get("height"), size.get("width"), where)
    *folders, name = place[: -len(".json")].split("/")
    # The file may also have been found from the folder `ann` itself.
    folders = [_FOLDERS.get(folder, folder) for folder in folders or [path.parent.name]]
    return Annotated("/".join((*folders, name)), where, of_image, where, files=(where,), file=where)


def _classes(path: Path) -> dict[str, tuple[int | None, Color | None]]:
    """Read {name: (id, color)} of a project."""
    found: dict[str, tuple[int | None, Color | None]] = {}
    for value in field(read_tree(path), "classes", list, str(path)):
        number = value.get("id") if isinstance(value, dict) else None
        name = field(value, "title", str, str(path))
        found[name] = (number if isinstance(number, int) else None, hex_color(value.get("color")))
    return found


def shapes(data: str, size: tuple[int, int] | None, where: str, remarks: Remarks) -> list[Shape]:
    """Read the objects of an image."""
    del size
    values = field(read_tree(data), "objects", list, where)
    return each(values, lambda k, value: _shape(value, f"{where}, object {k}", remarks))


def _shape(value: Any, where: str, remarks: Remarks) -> Shape | None:
    name, kind = field(value, "classTitle", str, where), value.get("geometryType")
    if kind == "bitmap":
        return Shape(name, mask=_mask(field(value, "bitmap", dict, where), where))
    if kind not in ("polygon", "rectangle"):
        remarks.skipped(kind, where)
        return None
    points = field(value, "points", dict, where)
    outer = numbers(points.get("exterior"), where)
    if kind == "rectangle":
        if len(outer) != 2:
            raise UserError(f"{where}: a rectangle has two points, not {len(outer)}")
        outer = np.array(rectangle(*outer[0], *outer[1]))
    holes = [
        numbers(hole, where) for hole in (field(points, "interior", list, where) if points.get("interior") else ())
    ]
    # Whole numbers name pixels, whose centers they are; others are places between them.
    whole = all((ring == np.round(ring)).all() for ring in (outer, *holes))
    ring = outline(outer + whole / 2, where, remarks)
    if ring is None:
        return None
    inner = [hole for ring in holes if (hole := outline(ring + whole / 2, where, remarks)) is not None]
    return Shape(name, rings=(ring,), holes=tuple(inner), closed=whole)


def _mask(bitmap: dict[str, Any], where: str) -> Mask:
    """Read a bitmap: a PNG file, compressed once more and written in letters, at a place of the image."""
    origin = bitmap.get("origin")
    if not isinstance(origin, list) or len(origin) != 2:
        raise UserError(f"{where}: the bitmap has no origin [x, y]")
    left, top = placed(origin[0], origin[1], where)
    content = letters(field(bitmap, "data", str, where), where, packed=True)
    return Mask(left, top, size_of(content, where), partial(inside_of, content, where))


def looks_like(folder: str) -> Evidence | None:
    """Recognize a project by its meta.json, a dataset by its folders `ann` and `img`."""
    for path in search(Path(folder), _META, most=1, depth=1):
        if b'"classes"' in ends(path) and b'"title"' in ends(path):
            home = path.parent.relative_to(folder)
            return Evidence(str(home), str(home), f"{path.relative_to(folder)} has classes with titles: Supervisely")
    for path in search(Path(folder) / "ann", most=3, depth=0) if (Path(folder) / "ann").is_dir() else ():
        if b'"classTitle"' in ends(path):
            return Evidence("ann", "img", f"{path.relative_to(folder)} has objects with classTitle: Supervisely")
    return None


EXPORT = Export(read, shapes, looks_like)
