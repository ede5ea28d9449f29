"""The areas that were found, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.labelcheck.finder import Found
from utils.files import csv_text, write_file
from utils.names import shown

COLUMNS = (
    "rank", "score", "image", "left", "top", "width", "height", "pixels", "labeled", "predicted", "kind",
    "p_labeled", "p_predicted",
)  # fmt: skip


def rows(found: Found, files: Mapping[str, str], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """Give a row of COLUMNS for each area. `files`: {name of an image: its file}; `names`: of the classes.

    Boxes are in pixels of the file, `pixels` in those that were compared. The probabilities are geometric means over
    the pixels away from the area's edge.
    """
    made = []
    for rank, (area, score) in enumerate(zip(found.areas, found.scores, strict=True), 1):
        classes = names[area.labeled], names[area.predicted]
        sure = (round(p, 4) for p in area.probabilities)
        image = shown(files[area.image])
        made.append((rank, round(score, 4), image, *area.file_box, area.pixels, *classes, area.kind, *sure))
    return made


def write(folder: Path, stem: str, table: Sequence[tuple[Any, ...]], facts: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write STEM.csv and STEM.json into a folder; the latter has `facts` above its `areas`."""
    as_csv, as_json = (folder / f"{stem}.{suffix}" for suffix in ("csv", "json"))
    write_file(as_csv, csv_text([COLUMNS, *table]).encode())
    areas = [dict(zip(COLUMNS, row, strict=True)) for row in table]
    write_file(as_json, (json.dumps({**facts, "areas": areas}, indent=1) + "\n").encode())
    return as_csv, as_json
