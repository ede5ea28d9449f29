"""COCO's JSON of objects (polygons, masks as runs, crowds), and of panoptic segments beside PNG files."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from datasets.collecting import each, take
from datasets.own import panoptic
from datasets.own.jsonfile import Entry, Index, ends, field, files_of, is_whole, search
from datasets.own.objects import Annotated, Annotations, Color, Evidence, Export
from datasets.own.rle import from_coco
from datasets.own.shapes import Mask, Remarks, Shape, declared_size, outline
from utils.errors import UserError
from utils.names import shown

_BELOW = -1  # the order of a crowd: below the objects that were drawn one by one


def read(paths: Sequence[str], where: str) -> Annotations:
    """Read all files; each is parsed once. UserError for categories that differ between files."""
    found = Annotations([])
    for path, _ in files_of(paths, ".json", where):
        with found.reading(path):
            file = _File(Index(path))
            for name, what in file.categories.values():
                if found.declared.setdefault(name, what) != what:
                    raise UserError(
                        f"{path}: the category {name!r} has another id than in another file: give one of both"
                    )
            found.images += panoptic.images(file, found.remarks) if file.segments else file.images(found.remarks)
    return found


class _File:
    """A file's images and categories, and where in its text the annotations of each image stand."""

    def __init__(self, index: Index) -> None:
        self.path, self.index = index.path, index
        self.heads: dict[Any, dict[str, Any]] = {}  # image id: its entry
        self.categories: dict[Any, tuple[str, tuple[int | None, Color | None]]] = {}  # id: name, (id, color)
        self.of_image: dict[Any, list[Entry]] = defaultdict(list)
        self.segments = False
        parts = {"images": self._add_image, "categories": self._add_category, "annotations": self._add_annotation}
        for name, value, entry in index.walk():
            if name in parts and value is not None:
                try:
                    parts[name](value, entry)
                except UserError as error:
                    take(error)
        if missing := [name for name in parts if name not in index.names]:
            raise UserError(f"{self.path} is no COCO file of objects: it has no list {missing[0]!r}; name one that has")

    def _add_image(self, value: Any, _: Entry) -> None:
        where = f"{self.path}, image {_short(value, 'id')}"
        field(value, "file_name", str, where)
        if (number := _key(value, "id", where)) in self.heads:
            raise UserError(f"{where}: the id stands at two images")
        self.heads[number] = value

    def _add_category(self, value: Any, _: Entry) -> None:
        where = f"{self.path}, category {_short(value, 'id')}"
        number, name = field(value, "id", int, where), field(value, "name", str, where)
        if number in self.categories:
            raise UserError(f"{where}: the id stands at two categories")
        color = value.get("color")
        whole = isinstance(color, list) and len(color) == 3 and all(type(v) is int and 0 <= v < 256 for v in color)
        self.categories[number] = name, (number, (color[0], color[1], color[2]) if whole else None)

    def _add_annotation(self, value: Any, entry: Entry) -> None:
        where = f"{self.path}, annotation {_short(value, 'id')}"
        self.of_image[_key(value, "image_id", where)].append(entry)
        self.segments = self.segments or "segments_info" in value

    def entries(self, remarks: Remarks) -> list[tuple[dict[str, Any], tuple[int, int] | None, list[Entry]]]:
        """List (image, its size, its annotations); annotations of no image are noted."""
        for number, entries in self.of_image.items():
            if number not in self.heads:
                where = f"image_id {number!r:.40} in {self.path}"
                remarks.add("annotations are of an image that the file does not list: left out", where, len(entries))
        return each(self.heads.items(), lambda _, item: (item[1], self._size(*item), self.of_image.get(item[0], [])))

    def _size(self, number: Any, head: dict[str, Any]) -> tuple[int, int] | None:
        height, width = head.get("height"), head.get("width")
        where = f"{self.path}, image {number!r:.40}"
        return None if height is None and width is None else declared_size(height, width, where)

    def images(self, remarks: Remarks) -> list[Annotated]:
        """List the images with the text of their objects, from which `shapes` reads them in any process."""
        names = {number: name for number, (name, _) in self.categories.items()}
        found = []
        for head, size, entries in self.entries(remarks):
            text = "[" + ",".join(self.index.text[entry.start : entry.end] for entry in entries) + "]"
            where = f"{self.path}, {shown(head['file_name'])}"
            content = sha256(f"{text}{names}".encode("utf-8", "replace")).digest()
            found.append(Annotated(head["file_name"], where, size, (text, names), content, file=self.path))
        return found


def _key(value: Any, name: str, where: str) -> int | str:
    found = value.get(name) if isinstance(value, dict) else None
    if isinstance(found, (int, str)):
        return found
    raise UserError(f"{where}: {name} is not a number, but {found!r:.60}")


def _short(value: Any, name: str) -> str:
    return shown(f"{value.get(name)!r:.40}") if isinstance(value, dict) else shown(f"{value!r:.40}")


def shapes(data: Any, size: tuple[int, int] | None, where: str, remarks: Remarks) -> list[Shape]:
    """Read the objects of an image."""
    if isinstance(data, panoptic.Segments):
        return panoptic.shapes(data, size, where)
    text, names = data
    return each(
        json.loads(text),
        lambda _, value: _shape(value, names, size, f"{where}, annotation {_short(value, 'id')}", remarks),
    )


def _shape(
    value: dict[str, Any], names: dict[int, str], size: tuple[int, int] | None, where: str, remarks: Remarks
) -> Shape | None:
    number = field(value, "category_id", int, where)
    if number not in names:
        raise UserError(f"{where}: category_id {number} is none of the file's categories")
    order = _BELOW if value.get("iscrowd") else 0
    form = value.get("segmentation")
    if not form:
        remarks.skipped("box without segmentation", where)
        return None
    if isinstance(form, dict):
        return Shape(names[number], number, mask=_mask(form, size, where), order=order)
    if not isinstance(form, list):
        raise UserError(f"{where}: segmentation is neither a list of polygons nor a mask")
    if isinstance(form[0], (int, float)):
        form = [form]
    rings = tuple(ring for part in form if (ring := outline(part, where, remarks)) is not None)
    return Shape(names[number], number, rings, order=order) if rings else None


def _mask(form: dict[str, Any], size: tuple[int, int] | None, where: str) -> Mask:
    declared = form.get("size")
    if not isinstance(declared, list) or len(declared) != 2:
        raise UserError(f"{where}: its mask has no size [height, width]")
    height, width = declared_size(declared[0], declared[1], where)
    if size is not None and (height, width) != size:
        raise UserError(f"{where}: its mask is for {width}x{height} pixels, the image has {size[1]}x{size[0]}")
    return Mask(0, 0, (height, width), partial(from_coco, form.get("counts"), (height, width), where))


def is_file(path: Path) -> bool:
    """Say whether a file is of this format, by its beginning and its end, be it cut off."""
    text = ends(path)
    if all(word in text for word in (b'"annotations"', b'"categories"', b'"images"')):
        return True
    begun = b'"segmentation"' in text or (b'"images"' in text and b'"file_name"' in text)
    return begun and text.lstrip().startswith(b"{") and not is_whole(path)


def looks_like(folder: str) -> Evidence | None:
    """Recognize a folder by a JSON file with images, annotations and categories, in it or one or two levels below."""
    for path in search(Path(folder), most=40, depth=2):
        if is_file(path):
            kind = "segments beside PNG files" if b'"segments_info"' in ends(path) else "objects"
            place = path.relative_to(folder)
            return Evidence(str(place), None, f"{place} has images, categories and annotations: COCO, {kind}")
    return None


EXPORT = Export(read, shapes, looks_like)
