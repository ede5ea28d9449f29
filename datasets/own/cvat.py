"""CVAT's XML, "CVAT for images 1.1": polygons, masks, boxes and ellipses, by their z_order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets.collecting import each
from datasets.own.jsonfile import ends, files_of, search
from datasets.own.objects import Annotated, Annotations, Color, Evidence, Export
from datasets.own.rle import from_runs
from datasets.own.shapes import (
    Mask,
    Remarks,
    Shape,
    declared_size,
    ellipse,
    hex_color,
    numbers,
    outline,
    placed,
    rectangle,
    turned,
)
from datasets.own.xmlfile import parse
from utils.errors import UserError
from utils.names import shown

_PARTS = ("polygon", "mask", "box", "ellipse", "polyline", "points", "cuboid", "skeleton", "tag")


class Element(NamedTuple):
    """An object as it stands in the file."""

    kind: str
    values: dict[str, str]
    line: int


def read(paths: Sequence[str], where: str) -> Annotations:
    """Read all files; each is parsed once."""
    found = Annotations([])
    for path, _ in files_of(paths, ".xml", where):
        file = _File(path)
        with found.reading(path):
            parse(path, file.begin, file.end)
            if not file.is_cvat:
                raise UserError(f"{path} is no file of CVAT: <annotations> with <image> in it is missing")
        found.images += file.images
        found.declared.update({name: what for name, what in file.labels.items() if name not in found.declared})
    return found


class _File:
    """Collects the images and labels of a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.is_cvat = path, False
        self.images: list[Annotated] = []
        self.labels: dict[str, tuple[int | None, Color | None]] = {}
        self.label: dict[str, str] = {}
        self.elements: list[Element] = []
        self.head: tuple[dict[str, str], int] = ({}, 0)

    def begin(self, names: list[str], values: dict[str, str], line: int) -> None:
        """Take the beginning of an element."""
        if len(names) == 1:
            self.is_cvat = names == ["annotations"]
        elif names == ["annotations", "track"]:
            raise UserError(
                f"{self.path}, line {line}: tracks of a video; export as 'CVAT for images 1.1', which has all frames"
            )
        elif names == ["annotations", "image"]:
            self.head, self.elements = (values, line), []
        elif names[:-1] == ["annotations", "image"] and names[-1] in _PARTS:
            self.elements.append(Element(names[-1], values, line))

    def end(self, names: list[str], text: str) -> None:
        """Take the end of an element with its text."""
        if names == ["annotations", "image"]:
            self.images += each([self.head], lambda _, head: self._image(*head))
        elif names[-2:-1] == ["label"] and names[1] == "meta":
            self.label[names[-1]] = text.strip()
        elif names[-1] == "label" and names[1] == "meta":
            if self.label.get("name"):
                self.labels[self.label["name"]] = (None, hex_color(self.label.get("color")))
            self.label = {}

    def _image(self, values: dict[str, str], line: int) -> Annotated:
        name, where = values.get("name", ""), f"{self.path}, line {line}"
        if not name:
            raise UserError(f"{where}: the image has no name")
        size = declared_size(_whole(values, "height", where), _whole(values, "width", where), where)
        content = repr([(one.kind, sorted(one.values.items())) for one in self.elements]).encode("utf-8", "replace")
        data = str(self.path), tuple(self.elements)
        return Annotated(name, f"{where}, {shown(name)}", size, data, content, file=str(self.path))


def _number(values: dict[str, str], name: str, where: str, default: float | None = None) -> float:
    """Take a number; UserError for what is none."""
    text = values.get(name)
    try:
        number = float(text) if text is not None else default
    except ValueError:
        number = None
    if number is None or not abs(number) < 1e9:
        raise UserError(f"{where}: {name} is no number, but {shown(f'{text!r:.40}')}")
    return number


def _whole(values: dict[str, str], name: str, where: str, default: float | None = None) -> int:
    number = _number(values, name, where, default)
    if number != int(number):
        raise UserError(f"{where}: {name} is no whole number, but {number:g}")
    return int(number)


def shapes(data: Any, size: tuple[int, int] | None, where: str, remarks: Remarks) -> list[Shape]:
    """Read the objects of an image."""
    del size, where  # points are pixels; each object has its line
    path, elements = data
    return each(elements, lambda _, one: _shape(one, f"{path}, line {one.line}", remarks))


def _shape(one: Element, where: str, remarks: Remarks) -> Shape | None:
    kind, values = one.kind, one.values
    if kind not in _OUTLINES and kind != "mask":
        remarks.skipped(kind, where)
        return None
    name, order = values.get("label", ""), _whole(values, "z_order", where, 0)
    if kind == "mask":
        return Shape(name, mask=_mask(values, where), order=order)
    ring = outline(_OUTLINES[kind](values, where), where, remarks)
    return Shape(name, rings=(ring,), order=order) if ring is not None else None


def _polygon(values: dict[str, str], where: str) -> np.ndarray:
    try:
        points = [
            [float(v) for v in point.split(",")] for point in values.get("points", "").split(";") if point.strip()
        ]
    except ValueError:
        raise UserError(f"{where}: points are not 'x,y;x,y;...'") from None
    return numbers(points, where)


def _box(values: dict[str, str], where: str) -> np.ndarray:
    corners = rectangle(*(_number(values, name, where) for name in ("xtl", "ytl", "xbr", "ybr")))
    return turned(corners, _number(values, "rotation", where, 0))


def _ellipse(values: dict[str, str], where: str) -> np.ndarray:
    x, y, rx, ry = (_number(values, name, where) for name in ("cx", "cy", "rx", "ry"))
    return turned(ellipse(x, y, rx, ry), _number(values, "rotation", where, 0), (x, y))


_OUTLINES = {"polygon": _polygon, "box": _box, "ellipse": _ellipse}


def _mask(values: dict[str, str], where: str) -> Mask:
    """Read a mask: lengths of runs by rows, of pixels outside and inside in turns, within a box."""
    left, top = placed(_whole(values, "left", where), _whole(values, "top", where), where)
    size = declared_size(_whole(values, "height", where), _whole(values, "width", where), where)
    try:
        runs = [int(run) for run in values.get("rle", "").split(",")]
    except ValueError:
        raise UserError(f"{where}: rle is no list of whole numbers") from None
    return Mask(left, top, size, partial(from_runs, runs, size, where))


def is_file(path: Path) -> bool:
    """Say whether a file is of this format, by its beginning and its end."""
    text = ends(path)
    return b"<annotations>" in text and b"<image " in text


def looks_like(folder: str) -> Evidence | None:
    """Recognize a folder by an XML file with images of CVAT, in it or two levels below; its images lie beside it."""
    for path in search(Path(folder), ".xml", most=20, depth=2):
        if is_file(path):
            place = path.relative_to(folder)
            images = place.parent / "images"
            beside = str(images) if (Path(folder) / images).is_dir() else None
            return Evidence(str(place), beside, f"{place} has annotations with images: CVAT for images")
    return None


EXPORT = Export(read, shapes, looks_like)
