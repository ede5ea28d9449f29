"""YOLO's text files of polygons, one for each image, in shares of its sides; names of classes in data.yaml or so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from datasets.collecting import each
from datasets.own.jsonfile import each_file, search
from datasets.own.objects import Annotated, Annotations, Evidence, Export
from datasets.own.shapes import Remarks, Shape, outline
from media.files import visible
from utils import textfile, yamlfile
from utils.errors import UserError
from utils.names import shown

_NAMES = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
_LISTS = ("classes.txt", "obj.names")  # names alone, a line each, as labelImg, Label Studio and Darknet have them
_LEVELS = 4  # folders above the labels in which data.yaml may be
_MOST, _LARGEST = 40, 1 << 20  # files of a folder that are looked into for names, and their bytes
_OF_A_TREE = ("labels", "train", "training", "val", "valid", "validation", "test")  # folders of a set of YOLO's
_NO_LABELS = ("classes.txt", "train.txt", "val.txt", "test.txt", "requirements.txt")
_LOOKED_AT = 100  # lines of a file, to know its kind
_SLACK = 1e-3  # by how much of a side points may be outside without a word: shares are rounded


def read(paths: Sequence[str], where: str) -> Annotations:
    """Read all files of labels; the names of classes stand in data.yaml, another YAML file or classes.txt, beside or
    above them.

    UserError for numbers that two of these files name differently.
    """
    found = Annotations([])
    names, source = _names([Path(path) for path in paths], found.remarks)
    called = ", ".join(Path(file).name for file in source)
    for path, place in each_file(paths, ".txt", where):
        if path.name.lower() in _NO_LABELS or path.name.lower().startswith("readme"):
            continue
        content, files = repr(names).encode("utf-8", "replace"), (str(path), *source)
        data = (str(path), names, called)
        found.images.append(Annotated(place[: -len(".txt")], str(path), None, data, content, files, str(path)))
    found.declared = {name: (number, None) for number, name in names.items()}
    return found


def _names(paths: Sequence[Path], remarks: Remarks) -> tuple[dict[int, str], tuple[str, ...]]:
    """Read {number: name} of the files of names of folders of labels, and give these files' paths.

    Says which file it is where that is not plain: several have names, or it is called as no other tool calls it.
    """
    names: dict[int, str] = {}
    sources: dict[str, None] = {}
    for file, *others in dict.fromkeys(tuple(files) for path in paths if (files := _names_files(path))):
        for number, name in names_of(file).items():
            if names.setdefault(number, name) != name:
                other = next(iter(sources))
                raise UserError(f"{file}: class {number} is {name!r}, in {other} {names[number]!r}: give one of both")
        if others or file.name not in _NAMES:
            left = f", not of {', '.join(other.name for other in others)} beside it" if others else ""
            remarks.add(f"names of classes are those of {shown(file.name + left)}", str(file))
        sources[str(file)] = None
    return names, tuple(sources)


def _names_files(path: Path) -> list[Path]:
    """List the files with names in the nearest folder of labels, or above it, that has one: the one to take first."""
    for folder in [path, *path.parents][:_LEVELS]:
        known = [file for name in _NAMES if (file := folder / name).is_file() and names_of(file)]
        try:
            there = [file for file in visible(folder.iterdir()) if file.suffix.lower() in (".yaml", ".yml")]
        except OSError:
            there = []
        others = [file for file in there if file.name not in _NAMES][:_MOST]
        called = [file for file in others if _is_of(file, path)]
        if found := [*known, *sorted(called, key=lambda file: file.stem not in path.parts)]:
            return found
    lists = (folder / name for folder in [path, *path.parents][:_LEVELS] for name in _LISTS)
    return [file for file in lists if file.is_file() and _in_tree(file, path) and names_of(file)][:1]


def _in_tree(file: Path, path: Path) -> bool:
    """Say whether a file lies in the tree that the labels in `path` are of."""
    below = path.relative_to(file.parent).parts
    return len(below) < 2 or below[0].lower() in _OF_A_TREE


def _is_of(file: Path, path: Path) -> bool:
    """Tell whether any YAML file has the names of labels in `path`.

    It lies in their tree; above that it is called as the tree is, or says that its images are there.
    """
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST or not names_of(file):
            return False
        tree = yamlfile.load(file)
    except (UserError, OSError):
        return False  # it may be anything
    if _in_tree(file, path):
        return True
    words = (part for key in ("path", "train", "val") for part in PureWindowsPath(str(tree.get(key))).parts)
    return path.relative_to(file.parent).parts[0] in (file.stem, *words)


def names_of(file: Path) -> dict[int, str]:
    """Read {number: name} of a file, whose `names` are a list or a table, or its lines; empty where it has none."""
    if file.name in _LISTS:
        names = [line.strip() for line in textfile.lines(file)]
        while names and not names[-1]:
            names.pop()
    else:
        tree = yamlfile.load(file, text=("names",))
        names = tree.get("names") if isinstance(tree, dict) else None
    if names is None:
        return {}
    table = dict(enumerate(names)) if isinstance(names, list) else names
    try:
        found = {int(number): str(name) for number, name in table.items()}
    except (AttributeError, ValueError, TypeError):
        raise UserError(f"{file}: names is no list of classes, and no table of numbers and names") from None
    if len({*found.values()}) < len(found):
        raise UserError(f"{file}: a name stands twice in names")
    return found


def shapes(data: Any, size: tuple[int, int] | None, where: str, remarks: Remarks) -> list[Shape]:
    """Read the objects of an image; without a size in shares of its sides."""
    path, names, called = data
    height, width = size or (1, 1)
    lines = textfile.lines(path)
    return each(lines, lambda k, line: _shape(line, names, called, (width, height), f"{where}, line {k}", remarks))


def _shape(
    line: str, names: dict[int, str], called: str, sides: tuple[int, int], where: str, remarks: Remarks
) -> Shape | None:
    """Read a line, with the (width, height) of the image; None for one without an outline."""
    values = _values(line, where)
    if not len(values):
        return None
    number = int(values[0])
    if names and number not in names:
        raise UserError(f"{where}: class {number} is not among the {len(names)} names of {shown(called)}")
    if len(values) == 5:
        remarks.skipped("box (5 numbers)", where)
        return None
    ring = _ring(values[1:], where, remarks)
    return Shape(names.get(number, ""), number, (ring * sides,)) if ring is not None else None


def _values(line: str, where: str) -> np.ndarray:
    """Read the numbers of a line; UserError for what is no class and points behind it."""
    words = line.split()
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        raise UserError(f"{where}: {shown(f'{line.strip():.60}')!r} is not 'class x y x y ...'") from None
    if len(values) and (values[0] != abs(int(values[0])) if np.isfinite(values[0]) else True):
        raise UserError(f"{where}: {words[0]:.20} is no number of a class")
    if len(values) and len(values) % 2 == 0:
        raise UserError(f"{where}: {len(values)} numbers: a class and pairs of x and y are an odd count")
    return values


def _ring(values: np.ndarray, where: str, remarks: Remarks) -> np.ndarray | None:
    ring = outline(values, where, remarks)
    if ring is None:
        return None
    if (ring > 2).any():
        raise UserError(f"{where}: {ring.max():g} is no share of a side: points are 0 to 1 of width and height")
    if ((ring.max(0) <= 0) | (ring.min(0) >= 1)).any():
        remarks.add("objects lie outside of their image: left out", where)
    elif (ring < -_SLACK).any() or (ring > 1 + _SLACK).any():
        remarks.add("objects reach out of their image: cut at its border", where)
    return ring


def looks_like(folder: str) -> Evidence | None:
    """Recognize a folder by text files of numbers; those of boxes alone are none of ours."""
    for path, rows in _tables(Path(folder)):
        if any(len(row) >= 7 and len(row) % 2 for row in rows) and all(row[0] == int(row[0]) for row in rows):
            labels = _top(path.relative_to(folder).parent, "labels")
            images = _images(Path(folder), labels)
            return Evidence(
                str(labels), images, f"{path.relative_to(folder)} has a class and points in each line: YOLO"
            )
    return None


def boxes_alone(folder: str) -> str:
    """Find a text file of boxes, a class and four shares in each line; "" where there is none."""
    for path, rows in _tables(Path(folder)):
        if rows and all(
            len(row) == 5 and row[0] == int(row[0]) and 0 <= min(row[1:]) <= max(row[1:]) <= 1 for row in rows
        ):
            return str(path.relative_to(folder))
    return ""


def _tables(folder: Path) -> Iterator[tuple[Path, list[list[float]]]]:
    """Read the first text files that hold numbers alone, the first lines of each."""
    for path in search(folder, ".txt", most=30, depth=3):
        if path.name.lower() in _NO_LABELS:
            continue
        try:
            rows = [line.split() for line in textfile.read(path).split("\n", _LOOKED_AT)[:_LOOKED_AT] if line.strip()]
            yield path, [[float(word) for word in row] for row in rows]
        except (UserError, ValueError):
            continue


def _top(place: Path, name: str) -> Path:
    """Cut a path behind the part that is called `name`, where it has one."""
    parts = place.parts
    return Path(*parts[: parts.index(name) + 1]) if name in parts else place


def _images(folder: Path, labels: Path) -> str | None:
    """Find the folder of images: called "images" where that of labels is called "labels"."""
    images = labels.with_name("images") if labels.name == "labels" else labels
    return str(images) if (folder / images).is_dir() else None


EXPORT = Export(read, shapes, looks_like)
