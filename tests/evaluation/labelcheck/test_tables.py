"""The tables of the areas."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from label_areas import area

from evaluation.labelcheck import tables
from evaluation.labelcheck.finder import Found
from evaluation.labelcheck.score import Usual

AREAS = [area(image="b", box=(1, 2, 3, 4), factor=2.0, labeled=1, predicted=0, log_labeled=np.log(0.25)), area()]


def test_both_say_the_same(tmp_path: Path) -> None:
    found = Found(AREAS, [7.25, 3.0], Usual.of(2), 2, 0)
    made = tables.rows(found, {"a": "/x/a,\n1.png", "b": "/x/b.png"}, ("road", "car"))
    as_csv, as_json = tables.write(tmp_path, "areas", made, {"images": 2})
    with open(as_csv, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["rank"], r["score"], r["image"]) for r in rows] == [
        ("1", "7.25", "/x/b.png"),
        ("2", "3.0", "/x/a,\\n1.png"),
    ]
    assert [rows[0][key] for key in ("left", "top", "width", "height")] == ["2", "4", "6", "8"]
    assert (rows[0]["labeled"], rows[0]["predicted"], rows[0]["p_labeled"]) == ("car", "road", "0.25")
    content = json.loads(as_json.read_text())
    assert content["images"] == 2 and [{k: str(v) for k, v in one.items()} for one in content["areas"]] == rows


def test_no_area_is_an_empty_table(tmp_path: Path) -> None:
    as_csv, as_json = tables.write(tmp_path, "areas", [], {})
    assert as_csv.read_text().splitlines() == [",".join(tables.COLUMNS)]
    assert json.loads(as_json.read_text()) == {"areas": []}
