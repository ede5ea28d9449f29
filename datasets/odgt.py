"""Lists of ADE20K scene parsing (.odgt): a JSON object a line."""

from __future__ import annotations

import os
from pathlib import Path

from datasets.base import Item, Split
from datasets.repeated import once
from utils import textfile
from utils.errors import UserError

_NEEDED = ("fpath_img", "fpath_segm", "width", "height")


def split(path: str, root: str) -> Split:
    """List items of an .odgt list, each once: a JSON object a line, its paths below `root`.

    UserError names the line that is wrong.
    """
    lines = [(number, line) for number, line in enumerate(textfile.lines(path, f"the list {path}"), 1) if line.strip()]
    items, notes = once(((number, _item(f"{path}, line {number}", line, Path(root))) for number, line in lines), path)
    if not items:
        raise UserError(f"the list {path} is empty")
    return Split.plain(items, notes)


def _item(place: str, line: str, root: Path) -> Item:
    try:
        row = textfile.parse_json(line)
        lacking = [key for key in _NEEDED if key not in row]
        size = (int(row["height"]), int(row["width"])) if not lacking else (0, 0)
    except UserError as error:
        raise UserError(f"{place}: {error}") from None
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise UserError(f"{place}: no JSON object with {', '.join(_NEEDED)}: {line.strip()[:60]!r}") from None
    if lacking:
        raise UserError(f"{place}: {' and '.join(lacking)} missing")
    if min(size) < 1:
        raise UserError(f"{place}: width {size[1]} and height {size[0]} are no size of an image")
    image, label = root / str(row["fpath_img"]), root / str(row["fpath_segm"])
    for file in (image, label):
        if not os.path.isfile(file):  # pathlib's raises for a name that is too long
            raise UserError(f"{place}: {file} is not there; is {root} the folder that its paths start from?")
    return Item(str(image), str(label), image.stem, size=size)
