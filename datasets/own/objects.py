"""From a tool's export to the drawing of each image: what all formats of polygons and masks have in common.

A format's module says how its files are read (`Export`), and everything else happens here: images and annotations find
each other, classes are checked with their counts, objects are drawn in the order that the dataset's file asks for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets.collecting import Collected, OtherSizeError, collected, take, tolerated
from datasets.own.contract import LabelKind, LabelRules, Picture, Source, Sources
from datasets.own.jsonfile import MANY, each_file
from datasets.own.matching import matched
from datasets.own.raster import area, paint
from datasets.own.shapes import Remarks, Shape
from utils.errors import UserError, nearest
from utils.names import shown
from utils.plural import counted
from utils.progress import progress

Color = tuple[int, int, int]
Label = tuple[str, int | None]  # a class as a file calls it, and its number there


@dataclass(frozen=True)
class Annotated:
    """What a file says of one image. `name`: the image's path or name, as it stands there, or that of a label file.

    `size`: (H, W) as the file declares it, or None. `data`: what the format's `shapes` reads. `content` and the bytes
    of `files` are all that a drawing is made of. `file`: the one that says it, whose folders tell images of one name
    apart.
    """

    name: str
    where: str
    size: tuple[int, int] | None
    data: Any
    content: bytes = b""
    files: tuple[str, ...] = ()
    file: str = ""


class ClassFound(NamedTuple):
    """A class that files name: its id and its color, where they have one, and how many objects there are of it."""

    name: str
    id: int | None
    color: Color | None
    count: int


class Evidence(NamedTuple):
    """Why a folder looks like a tool's export.

    `path`: what `labels: {path: ...}` has to be; `images`: the folder of images, None where that is not clear.
    """

    path: str
    images: str | None
    why: str


@dataclass
class Annotations:
    """All that files of a format say. `declared`: their classes, {name: (id, color)}, in order; empty: none are.

    Where faults are gathered: `bad` stand, without `data`, for images whose file is bad, and `partly` says that a file
    of many images has a fault, so that an image without annotation may be one whose annotation was left out.
    """

    images: list[Annotated]
    declared: dict[str, tuple[int | None, Color | None]] = field(default_factory=dict)
    remarks: Remarks = field(default_factory=Remarks)
    bad: list[Annotated] = field(default_factory=list)
    partly: bool = False

    @contextmanager
    def reading(self, path: Path) -> Iterator[None]:
        """Read a file of many images within it."""
        now = collected() or Collected()
        before = now.taken
        with tolerated(str(path)):
            yield
        self.partly = self.partly or now.taken > before


def of_files(
    paths: Sequence[str], suffix: str, where: str, read: Callable[[Path, str], Annotated | None]
) -> Annotations:
    """Read files of one image each: `read(path, its path below its folder)`, None for a file of something else."""
    found = Annotations([])
    for path, place in each_file(paths, suffix, where):
        try:
            one = read(path, place)
        except UserError as error:
            take(error, str(path))
            found.bad.append(Annotated(place[: -len(path.suffix)], str(path), None, None, file=str(path)))
            continue
        found.images += [one] if one is not None else []
    return found


@dataclass(frozen=True)
class Export:
    """A format: how it is read, how it is recognized.

    - `read(paths, where)`: all annotations of folders, globs and files; UserError of one line, with `where` in front,
      for what is not there, with the file's name in front for one that cannot be read.
    - `shapes(data, size, where, remarks)`: the objects of one image, in the file's order, in pixels of an image of
      (H, W); None: nobody knows the image yet, and the objects are only looked at.
    - `looks_like(folder)`: cheap; reads a few files at most. None: it is another format, or none.
    - `another_name(name)`: what a class may be called as well, where the dataset's file does not know its name.
    """

    read: Callable[[Sequence[str], str], Annotations]
    shapes: Callable[[Any, tuple[int, int] | None, str, Remarks], list[Shape]]
    looks_like: Callable[[str], Evidence | None]
    another_name: Callable[[str], str] = str

    def classes_of(self, found: Annotations, remarks: Remarks) -> list[ClassFound]:
        """List (name, id, color, count of objects) of the classes: the declared ones, then others by their count."""
        counts = Counter[Label]()
        for one in found.images:
            with tolerated(one.file):
                counts.update((shape.name, shape.id) for shape in self.shapes(one.data, one.size, one.where, remarks))
        names = Counter[str]()
        for (name, _), count in counts.items():
            names[name] += count
        declared = [ClassFound(name, *what, names[name]) for name, what in found.declared.items()]
        rest = [(name, number, n) for (name, number), n in counts.most_common() if name not in found.declared]
        return [*declared, *(ClassFound(name, number, None, n) for name, number, n in rest)]


def label_kind(
    export: Export, by: str, suffixes: tuple[str, ...], version: int = 1, upright: bool = False
) -> LabelKind:
    """Make the row of a format in the table of kinds."""
    return LabelKind(by, suffixes, partial(find, export), partial(draw, export), version=version, upright=upright)


def find(export: Export, pictures: Sequence[Picture], rules: LabelRules, where: str) -> Sources:
    """Find what is drawn for each picture, and look at all of it: see `LabelKind.find`.

    UserError, with counts, for classes that the dataset's file does not have.
    """
    read = export.read(rules.paths, where)
    remarks, pairs = read.remarks, matched([*read.images, *read.bad], pictures, read.remarks)
    left_out = collected()
    if left_out is not None:
        pairs = _without_bad(export, read, pairs, pictures, rules, left_out)
    objects, images = Counter[Label](), Counter[Label]()
    for one in progress(pairs.values(), "annotations checked", len(pairs), shown=len(pairs) > MANY):
        shapes = export.shapes(one.data, one.size, one.where, remarks)
        labels = [(shape.name, shape.id) for shape in shapes]
        objects.update(labels)
        images.update({*labels})
        if not shapes:
            remarks.add("images have an annotation without objects: all of them is background", one.where)
        for shape in shapes if one.size else ():
            remarks.outside(shape, one.size or (0, 0), one.where)
    if pairs and not objects and (left := [line for line in remarks.lines() if "no exact area" in line]):
        raise UserError(f"{where}: no object covers pixels, so that nothing can be learned: {left[0]}")
    _check_classes(export, objects, images, rules, where)
    return Sources({path: _source(one) for path, one in pairs.items()}, notes=remarks.lines())


def _source(one: Annotated) -> Source:
    """Give what a drawing is made of; the declared size is part of it, since it decides whether there is one."""
    content = one.content + repr(one.size).encode()
    return Source(content, (one.data, one.size), one.where, one.files, one.file)


def _without_bad(
    export: Export,
    read: Annotations,
    pairs: Mapping[str, Annotated],
    pictures: Sequence[Picture],
    rules: LabelRules,
    left_out: Collected,
) -> dict[str, Annotated]:
    """Gather all faults of annotations, object by object, and leave out those of images that have any."""
    for path, one in pairs.items():
        if one.data is None:
            left_out.leave_out(path, one.file)
            continue
        with tolerated(one.file, path):
            shapes = export.shapes(one.data, one.size, one.where, Remarks())
            for label in dict.fromkeys((shape.name, shape.id) for shape in shapes):
                with tolerated(one.file, path, "unmapped-value"):
                    train_id(export, label, rules, one.where)
    if read.partly:
        left_out.images |= {picture.path for picture in pictures if picture.path not in pairs}
    return {path: one for path, one in pairs.items() if path not in left_out.images}


def draw(export: Export, source: Source, size: tuple[int, int], rules: LabelRules) -> np.ndarray:
    """Draw a label, (H, W) of `rules.dtype`: see `LabelKind.draw`. UserError if the file is for another size."""
    data, declared = source.data
    if declared is not None and declared != size:
        sizes = f"{declared[1]}x{declared[0]} pixels, the image has {size[1]}x{size[0]}"
        turned = " (or one of the two is turned)" if declared == size[::-1] else ""
        raise OtherSizeError(
            f"{source.where}: the annotation is for {sizes}: take the image that was annotated{turned}"
        )
    shapes = sorted(export.shapes(data, size, source.where, Remarks()), key=lambda shape: shape.order)
    trains = [train_id(export, (shape.name, shape.id), rules, source.where) for shape in shapes]
    areas = [area(shape) for shape in shapes] if rules.overlap == "smallest" else [0.0] * len(shapes)
    label = rules.blank(size)
    for place in rules.order(areas, trains):
        paint(label, shapes[place], trains[place])
    return label


def train_id(export: Export, label: Label, rules: LabelRules, where: str) -> int:
    """Give the train id of a class of a file: by its id, where the dataset's file has ids, otherwise by its name."""
    name, number = label
    if number is None or (name and not any(one.ids for one in rules.classes)):
        known = {*_names(rules), *rules.ignored}
        return rules.by_name(
            other if name not in known and (other := export.another_name(name)) in known else name, where
        )
    return rules.ignored_id if name and name in rules.ignored else rules.by_id(number, where)


def _names(rules: LabelRules) -> list[str]:
    return [name for one in rules.classes for name in (one.name, *one.aliases)]


def _check_classes(
    export: Export, objects: Mapping[Label, int], images: Mapping[Label, int], rules: LabelRules, where: str
) -> None:
    """Raise UserError for classes that the dataset's file lacks, with objects, images and the nearest name of each."""
    unknown = []
    for label in objects:
        try:
            train_id(export, label, rules, "")
        except UserError:
            unknown.append(label)
    if not unknown:
        return
    unknown.sort(key=lambda label: -objects[label])
    parts = [
        f"{_called(label)} ({counted(objects[label], 'object')} in {counted(images[label], 'image')})"
        f"{nearest(label[0], _names(rules))}"
        for label in unknown[:4]
    ]
    more = f"; and {len(unknown) - 4} more" if len(unknown) > 4 else ""
    cure = "add to classes, to aliases of one, or to ignore, or leave all such out: unknown: ignore"
    raise UserError(f"{where}: labels have what is no class: {'; '.join(parts)}{more}; {cure}")


def _called(label: Label) -> str:
    name, number = label
    if number is None:
        return repr(shown(name))
    return f"id {number}, {shown(name)!r}," if name else f"id {number}"
