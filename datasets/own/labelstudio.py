"""Label Studio's JSON export: polygons and ellipses in percent of the image, brushes as runs of its own kind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from datasets.collecting import each
from datasets.own.jsonfile import ends, field, files_of, read_tree, search
from datasets.own.objects import Annotated, Annotations, Evidence, Export
from datasets.own.rle import from_label_studio
from datasets.own.shapes import Mask, Remarks, Shape, declared_size, ellipse, numbers, outline, turned
from utils.errors import UserError
from utils.names import shown

_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")  # what an upload puts in front of a file's name


def read(paths: Sequence[str], where: str) -> Annotations:
    """Read all files."""
    found = Annotations([])
    for path, _ in files_of(paths, ".json", where):
        with found.reading(path):
            tasks = each(read_tree(path, list), lambda k, task, path=path: _task(task, k, path, found.remarks))
            found.images += [replace(one, file=str(path)) for one in tasks]
    return found


def _task(task: Any, number: int, path: Path, remarks: Remarks) -> Annotated | None:
    where = f"{path}, task {shown(str(task.get('id', number))[:40]) if isinstance(task, dict) else number}"
    return _annotated(task, where, remarks)


def _annotated(task: Any, where: str, remarks: Remarks) -> Annotated | None:
    """Read a task; None, noted, for one that nobody has annotated."""
    if isinstance(task, dict) and "annotations" not in task and "data" not in task:
        raise UserError(f"{where}: neither annotations nor data: export as JSON, not as JSON-MIN")
    name = _image_name(field(task, "data", dict, where), where)
    done = [
        one for one in field(task, "annotations", list, where) if isinstance(one, dict) and not one.get("was_cancelled")
    ]
    if not done:
        remarks.add("tasks have no annotation: left out", f"{where}, {shown(name)}")
        return None
    if len(done) > 1:
        remarks.add("tasks have several annotations: the ground truth counts, or else the newest", where)
    best = max(done, key=lambda one: (bool(one.get("ground_truth")), str(one.get("updated_at") or "")))
    results = _labeled([one for one in field(best, "result", list, where) if isinstance(one, dict) and "value" in one])
    sizes = {declared_size(one.get("original_height"), one.get("original_width"), where) for one in results}
    if len(sizes) > 1:
        raise UserError(f"{where}: its results are for images of different sizes")
    content = repr([(one.get("type"), one["value"], one.get("image_rotation")) for one in results])
    return Annotated(
        name, f"{where}, {shown(name)}", next(iter(sizes), None), results, content.encode("utf-8", "replace")
    )


def _labeled(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out shapes without a label that stand there with it as well, as some interfaces export them."""
    named = {str(one.get("id")) for one in results if one.get("id") is not None and _names(one)}
    return [one for one in results if _names(one) or str(one.get("id")) not in named]


def _names(one: dict[str, Any]) -> Any:
    value = one["value"]
    return value.get(str(one.get("type")), value.get("labels")) if isinstance(value, dict) else None


def _image_name(data: dict[str, Any], where: str) -> str:
    """Name the image of a task: the path of an address, without what an upload puts in front of the name."""
    texts = [data["image"]] if isinstance(data.get("image"), str) else [v for v in data.values() if isinstance(v, str)]
    if not texts:
        raise UserError(f"{where}: data names no image")
    address = urlsplit(texts[0])
    local = parse_qs(address.query).get("d")
    path = PurePosixPath(local[0] if local else unquote(address.path))
    if "upload" in path.parts:
        return _UPLOADED.sub("", path.name, count=1)
    return str(path).lstrip("/")


def shapes(data: Any, size: tuple[int, int] | None, where: str, remarks: Remarks) -> list[Shape]:
    """Read the objects of an image."""
    return each(data, lambda k, one: _shape(one, size or (1, 1), f"{where}, result {k}", remarks))


def _shape(one: dict[str, Any], size: tuple[int, int], where: str, remarks: Remarks) -> Shape | None:
    value, kind = field(one, "value", dict, where), str(one.get("type"))
    names = _names(one)
    if degrees := one.get("image_rotation"):
        by = shown(str(degrees)[:20])
        raise UserError(f"{where}: the image was turned by {by} degrees in Label Studio: turn its file")
    if "rle" not in value and "points" not in value and "radiusX" not in value:
        if kind not in ("choices", "textarea", "rating"):  # they are about the image
            remarks.skipped(kind, where)
        return None
    if not isinstance(names, list) or not names or not isinstance(names[0], str):
        remarks.add("objects have no label: left out", where)
        return None
    if len(names) > 1:
        remarks.add("objects have several labels: the first counts", where)
    if "rle" in value:
        return Shape(names[0], mask=Mask(0, 0, size, partial(from_label_studio, value["rle"], size, where)))
    ring = outline(_points(value, size, where), where, remarks)
    return Shape(names[0], rings=(ring,)) if ring is not None else None


def _points(value: dict[str, Any], size: tuple[int, int], where: str) -> np.ndarray:
    """Read an outline, in pixels."""
    scale = np.array([size[1], size[0]]) / 100
    if "points" in value:
        return numbers(value["points"], where) * scale
    names = ("x", "y", "radiusX", "radiusY", "rotation")
    given = [[field({"rotation": 0, **value}, name, (int, float), where), 0] for name in names]
    x, y, rx, ry, degrees = numbers(given, where)[:, 0].tolist()
    center = (x * scale[0], y * scale[1])
    return turned(ellipse(*center, rx * scale[0], ry * scale[1]), degrees, center)


def is_file(path: Path) -> bool:
    """Say whether a file is of this format, by its beginning and its end."""
    text = ends(path)
    return b'"annotations"' in text and b'"result"' in text and b'"from_name"' in text


def looks_like(folder: str) -> Evidence | None:
    """Recognize a folder by a JSON file of tasks, in it or one level below."""
    for path in search(Path(folder), most=20, depth=1):
        if is_file(path):
            place = path.relative_to(folder)
            return Evidence(str(place), None, f"{place} has tasks with annotations and results: Label Studio")
    return None


EXPORT = Export(read, shapes, looks_like)
