"""Cityscapes' polygons, gtFine_polygons.json, of which its label images are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.collecting import each
from datasets.own.jsonfile import ends, field, read_tree, search
from datasets.own.objects import Annotated, Annotations, Evidence, Export, of_files
from datasets.own.shapes import Remarks, Shape, declared_size, outline

_ENDING = "_polygons.json"


def read(paths: Sequence[str], where: str) -> Annotations:
    """Read the heads of all files."""
    return of_files(paths, _ENDING, where, _annotated)


def _annotated(path: Path, place: str) -> Annotated:
    tree, where = read_tree(path), str(path)
    size = declared_size(tree.get("imgHeight"), tree.get("imgWidth"), where)
    field(tree, "objects", list, where)
    return Annotated(place[: -len(".json")], where, size, where, files=(where,), file=where)


def shapes(data: str, size: tuple[int, int] | None, where: str, remarks: Remarks) -> list[Shape]:
    """Read the objects of an image; points name pixels."""
    del size
    values = field(read_tree(data), "objects", list, where)
    return each(values, lambda k, value: _shape(value, f"{where}, object {k}", remarks))


def _shape(value: Any, where: str, remarks: Remarks) -> Shape | None:
    name = field(value, "label", str, where)
    if value.get("deleted"):
        return None
    ring = outline(value.get("polygon"), where, remarks)
    return Shape(name, rings=(ring + 0.5,), closed=True) if ring is not None else None


def looks_like(folder: str) -> Evidence | None:
    """Recognize a folder by its first polygons, in any depth up to 4."""
    for path in search(Path(folder), _ENDING, most=1, depth=4):
        if b'"imgHeight"' in ends(path):
            place = path.relative_to(folder)
            labels = Path(*place.parts[: place.parts.index("gtFine") + 1]) if "gtFine" in place.parts else place.parent
            images = labels.with_name("leftImg8bit") if labels.name == "gtFine" else labels
            there = str(images) if (Path(folder) / images).is_dir() else None
            return Evidence(str(labels), there, f"{place} has polygons with imgHeight: Cityscapes' polygons")
    return None


def _without_group(name: str) -> str:
    """Take the class of several objects that were drawn as one: "cargroup" is car."""
    return name.removesuffix("group")


EXPORT = Export(read, shapes, looks_like, _without_group)
