"""Tables of classes that lie beside pictures: classes.txt, label_colors.txt, CSV, JSON and YAML of many shapes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from datasets.own.recognize.tree import Tree
from utils import textfile, yamlfile
from utils.errors import UserError

Color = tuple[int, int, int]

# Words of which the name of a table has one; what else has such a suffix may hold anything.
_STEMS = re.compile(r"class|label|name|categor|code|palette|colou?r|legend|meta|dataset|data$|config|mapping", re.I)
_SUFFIXES = (".txt", ".csv", ".json", ".yaml", ".yml", ".names", ".tsv")
_LARGEST, _MOST_FILES, _MOST_CLASSES = 1 << 20, 40, 1000
_NAME_KEYS = ("name", "class", "class_name", "classname", "label", "title", "category", "readable")
_ID_KEYS = (
    "id",
    "value",
    "pixel value",
    "pixel_value",
    "index",
    "class_id",
    "label_id",
    "class id",
    "train_id",
    "grayscale",
)
_COLOR_KEYS = ("color", "colour", "rgb", "hex", "color_rgb")
_CHANNELS = (("r", "g", "b"), ("red", "green", "blue"))
_BELOW = ("classes", "labels", "names", "categories", "label_map", "palette", "class_names", "mapping", "legend")


@dataclass(frozen=True)
class Table:
    """Classes as a file names them. `ids` and `colors` are as many as the names, or empty."""

    file: str
    names: tuple[str, ...]
    ids: tuple[int, ...] = ()
    colors: tuple[Color, ...] = ()


def tables(tree: Tree) -> list[Table]:
    """Read the tables of classes in a folder, those nearest to its top first; what is none is passed over."""
    found = []
    candidates = [file for file in tree.files if _may_be_one(tree, file)]
    for file in sorted(candidates, key=lambda file: (file.count("/"), file))[:_MOST_FILES]:
        table = read(tree, file)
        if table and not any(table.names == other.names and not table.ids for other in found):
            found.append(table)
    return found


def _may_be_one(tree: Tree, file: str) -> bool:
    where = PurePosixPath(file)
    if where.suffix.lower() not in _SUFFIXES or not _STEMS.search(where.stem) or file.count("/") > 3:
        return False
    try:
        return tree.path(file).stat().st_size <= _LARGEST
    except OSError:
        return False


def read(tree: Tree, file: str) -> Table | None:
    """Read one table; None where the file holds something else."""
    path, suffix = tree.path(file), PurePosixPath(file).suffix.lower()
    try:
        if suffix in (".csv", ".tsv"):
            rows = _of_csv(textfile.read(path, names=True), "\t" if suffix == ".tsv" else ",")
        elif suffix == ".json":
            rows = _of_tree(textfile.parse_json(textfile.read(path)))
        elif suffix in (".yaml", ".yml"):
            rows = _of_tree(yamlfile.load(path, text=("names", "classes", "labels")))
        else:
            rows = _of_lines(textfile.lines(path, names=True))
    except (UserError, ValueError, TypeError, KeyError, OverflowError, RecursionError, csv.Error):
        return None
    return _table(file, rows)


Row = tuple[str, int | None, Color | None]


def _table(file: str, rows: Sequence[Row]) -> Table | None:
    names = tuple(name.strip() for name, _, _ in rows)
    if not 1 <= len(rows) <= _MOST_CLASSES or not all(names) or len({*names}) < len(names):
        return None
    ids = tuple(i for _, i, _ in rows if i is not None)
    colors = tuple(color for _, _, color in rows if color is not None)
    whole = len({*ids}) == len(names)
    return Table(file, names, ids if whole else (), colors if len(colors) == len(names) else ())


def _of_lines(lines: Iterable[str]) -> list[Row]:
    """Read lines: "name", "3 name", "3: name", "128 64 128 name", "name 128 64 128", "name:128,64,128::"."""
    rows: list[Row] = []
    for line in lines:
        text = line.strip()
        if text and not text.startswith("#"):
            rows.append(_line(text))
    return rows


def _line(text: str) -> Row:
    if found := re.fullmatch(r"([^:]+):(\d+)[, ]+(\d+)[, ]+(\d+)(:.*)?", text):  # CVAT's labelmap.txt
        return found[1], None, _color(found.groups()[1:4])
    if found := re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\D.*)", text):
        return found[4], None, _color(found.groups()[:3])
    if found := re.fullmatch(r"(.*\D)[\s,;:]+(\d+)[\s,]+(\d+)[\s,]+(\d+)", text):
        return found[1].strip(" ,;:"), None, _color(found.groups()[1:])
    if found := re.fullmatch(r"(\d+)\s*[:,;\t ]\s*(\S.*)", text):
        return found[2], int(found[1]), None
    return text, None, None


def _color(parts: Iterable[Any]) -> Color:
    """Read three numbers from 0 to 255; ValueError for others."""
    red, green, blue = (int(part) for part in parts)
    if not 0 <= min(red, green, blue) <= max(red, green, blue) <= 255:
        raise ValueError("no color")
    return red, green, blue


def _any_color(value: Any) -> Color | None:
    """Read [r, g, b], "r,g,b" or "#rrggbb"; None for something else."""
    if isinstance(value, (list, tuple)) and len(value) >= 3:
        return _color(value[:3])
    if isinstance(value, str):
        text = value.strip().lower().removeprefix("#")
        if re.fullmatch(r"[0-9a-f]{6}", text) and not text.isdigit() or value.strip().startswith("#"):
            return _color(int(text[i : i + 2], 16) for i in (0, 2, 4))
        parts = re.findall(r"\d+", text)
        return _color(parts) if len(parts) == 3 else None
    return None


def _of_csv(text: str, sign: str) -> list[Row]:
    """Read a table with a head, whose columns are called as people call them."""
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and ";" in lines[0] and sign not in lines[0]:
        sign = ";"
    reader = csv.DictReader(io.StringIO("\n".join(lines)), delimiter=sign)
    head = {(name or "").strip().strip("\ufeff").lower(): name for name in reader.fieldnames or ()}
    name = next((head[key] for key in _NAME_KEYS if key in head), None)
    number = next((head[key] for key in _ID_KEYS if key in head), None)
    color = next((head[key] for key in _COLOR_KEYS if key in head), None)
    channels = next((keys for keys in _CHANNELS if all(key in head for key in keys)), None)
    if name is None or (number is None and color is None and channels is None and len(head) > 1):
        return []
    rows: list[Row] = []
    for row in reader:
        found = _color(row[head[key]] for key in channels) if channels else _any_color(row[color]) if color else None
        rows.append((str(row[name]), int(row[number]) if number else None, found))
    return rows


def _of_tree(tree: Any) -> list[Row]:
    """Read lists of names or of objects, and objects of names, ids or colors, at the top or below a known word."""
    if isinstance(tree, list):
        return [row for one in tree for row in _of_object(one)]
    if not isinstance(tree, dict):
        return []
    below = next((tree[key] for key in _BELOW if isinstance(tree.get(key), (list, dict))), None)
    if below is not None:
        return _of_tree(below)
    rows: list[Row] = []
    for key, value in tree.items():
        if isinstance(value, str) and key.lstrip("-").isdigit():
            rows.append((value, int(key), None))
        elif isinstance(value, int) and not isinstance(value, bool) and not key.isdigit():
            rows.append((key, value, None))
        elif isinstance(value, dict) and key.isdigit() and (row := _of_object({"id": int(key), **value})):
            rows += row
        elif (color := _any_color(value)) and not key.isdigit():
            rows.append((key, None, color))
        else:
            return []
    return rows


def _of_object(one: Any) -> list[Row]:
    """Read a name alone, or an object with a name and what else it says; ValueError where it has none."""
    if isinstance(one, str):
        return [(one, None, None)]
    lower = {str(key).lower(): value for key, value in one.items()}
    name = next((lower[key] for key in _NAME_KEYS if isinstance(lower.get(key), str)), None)
    if name is None:
        raise ValueError("no name")
    number = next((lower[key] for key in _ID_KEYS if type(lower.get(key)) is int), None)
    color = next((found for key in _COLOR_KEYS if (found := _any_color(lower.get(key)))), None)
    return [(name, number, color)]
