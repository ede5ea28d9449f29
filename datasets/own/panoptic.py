"""COCO's panoptic segments: a PNG file for each image whose colors are numbers of segments, their classes in JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from datasets.collecting import OtherSizeError, each
from datasets.own.jsonfile import Entry, field
from datasets.own.objects import Annotated
from datasets.own.shapes import Mask, Remarks, Shape, declared_size
from media.decoding import decode, head_of
from media.files import read_complete
from utils.errors import UserError
from utils.names import shown


class Segments(NamedTuple):
    """The PNG file of an image, and (number, category, its name) of its segments."""

    path: str
    classes: tuple[tuple[int, int, str], ...]


def images(file: Any, remarks: Remarks) -> list[Annotated]:
    """List the images of a file (see `coco._File`), each with its PNG file."""
    names = {number: name for number, (name, _) in file.categories.items()}

    def annotated(_: int, one: tuple[dict[str, Any], tuple[int, int] | None, list[Entry]]) -> Annotated | None:
        head, size, entries = one
        if not entries:
            return None
        where, value = f"{file.path}, {shown(head['file_name'])}", file.index.value(entries[0])
        path = _png(Path(file.path), field(value, "file_name", str, where), where)
        segments = tuple(_segment(one, names, where) for one in field(value, "segments_info", list, where))
        data, content = Segments(str(path), segments), repr(segments).encode("utf-8", "replace")
        return Annotated(head["file_name"], where, size, data, content, (str(path),), file.path)

    return each(file.entries(remarks), annotated)


def _png(file: Path, name: str, where: str) -> Path:
    """Find a PNG file: in the folder that is called as the JSON file, or beside that."""
    tried = [file.with_suffix("") / name, file.parent / name]
    for path in tried:
        if path.is_file() and ".." not in Path(name).parts:
            return path
    raise UserError(f"{where}: its segments {shown(str(tried[0]))} are not there")


def _segment(value: Any, names: dict[int, str], where: str) -> tuple[int, int, str]:
    number, category = field(value, "id", int, where), field(value, "category_id", int, where)
    if category not in names:
        raise UserError(f"{where}, segment {number}: category_id {category} is none of the file's categories")
    return number, category, names[category]


def shapes(data: Segments, size: tuple[int, int] | None, where: str) -> list[Shape]:
    """Read the segments, those of one class together: they do not overlap. Without a size they are only listed."""
    found = []
    numbers: dict[tuple[int, str], list[int]] = {}
    for number, category, name in data.classes:
        numbers.setdefault((category, name), []).append(number)
    of_pixels = _Pixels(data, size, where)
    for (category, name), own in numbers.items():
        mask = Mask(0, 0, size or (1, 1), lambda own=own: np.isin(of_pixels.read(), own))
        found.append(Shape(name, category, mask=mask))
    return found


class _Pixels:
    """The number of each pixel, read once and when asked for."""

    def __init__(self, data: Segments, size: tuple[int, int] | None, where: str) -> None:
        self.data, self.size, self.where = data, size, where
        self.numbers: np.ndarray | None = None

    def read(self) -> np.ndarray:
        """Give (H, W) uint32; UserError for another size, and for numbers that the JSON file does not list."""
        if self.numbers is None:
            self.numbers = self._decoded()
            present = np.unique(self.numbers)
            unknown = np.setdiff1d(present, [0, *(number for number, _, _ in self.data.classes)])
            if unknown.size:
                raise UserError(f"{self.data.path}: the segment {unknown[0]} is not among those of {self.where}")
        return self.numbers

    def _decoded(self) -> np.ndarray:
        content = read_complete(self.data.path)
        head = head_of(content)
        if head is None:
            raise UserError(f"cannot decode {self.data.path} ({len(content)} bytes): damaged, or no image")
        declared_size(head.height, head.width, self.data.path)
        if self.size is not None and (head.height, head.width) != self.size:
            sizes = f"{head.width}x{head.height} pixels, its image {self.size[1]}x{self.size[0]}"
            raise OtherSizeError(f"{self.data.path} has {sizes}")
        bgr = decode(content, cv2.IMREAD_COLOR)
        if bgr is None:
            raise UserError(f"cannot decode {self.data.path} ({len(content)} bytes): damaged, or no image")
        blue, green, red = (bgr[..., channel].astype(np.uint32) for channel in range(3))
        return red | green << 8 | blue << 16
