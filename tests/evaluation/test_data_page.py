"""The page of a check of data: names of files are text, pictures are there, and it needs nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from data_faults import COLORS, scene
from pictures import write_image

from datasets.base import Item
from datasets.checking.check import Checked, check
from datasets.checking.faults import Fault, Faults
from datasets.checking.look import Reader
from datasets.checking.tally import draws
from evaluation.data_page import DataReport, class_rows, render, sampling_rows, verdict
from evaluation.data_pictures import Album
from utils.contracts import DatasetSpec

SPEC = DatasetSpec("drawn", ("ground", "car <b>", "water", "lamp"), COLORS)
USUAL = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def report(root: Path, names: list[str], *more: Fault) -> DataReport:
    """A report on drawn images of these names."""
    items = []
    for i, name in enumerate(names):
        image, label = scene(i)
        write_image(root / "images" / name, image)
        write_image(root / "labels" / name, np.roll(label, 11, 1) if i == 1 else label)
        items.append(Item(str(root / "images" / name), str(root / "labels" / name), name))
    reader = Reader(SPEC, 0, 64)
    checked = check(reader, {"train": items[:-1], "val": items[-1:]}, Faults(), 1, shown=False)
    checked.faults.add(*more)
    drawn = draws(checked.tallies["train"], 30, 0.5)
    album = Album(reader)
    return DataReport("drawn", "command <x>", "today", checked, album, items[:2], drawn, 0.5, USUAL, "t.csv", str(root))


def test_page(tmp_path: Path) -> None:
    data = report(tmp_path, ["a.png", "b<script>alert(1)&.png", "c.png"])
    page = render(data)
    assert "<script" not in page and "b&lt;script&gt;alert(1)&amp;.png" in page and "car &lt;b&gt;" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page) and "@import" not in page and "url(" not in page
    assert page.count("<img") == page.count('src="data:image/jpeg') == 6  # the shifted one twice, two samples twice
    assert "labels/b&lt;script&gt;" in page and f"Paths start from <code>{tmp_path}</code>" in page
    assert verdict(data.checked) == "warnings: 1 warning"
    assert page.count("prefers-color-scheme: dark") == 2


def test_figures(tmp_path: Path) -> None:
    data = report(tmp_path, ["a.png", "b.png", "c.png"])
    rows = {row["name"]: row for row in class_rows(data.checked)}
    tally = data.checked.tallies["train"]
    assert list(rows)[0] == "ground" and float(rows["ground"]["bars"][0][0]) > 90
    assert rows["water"]["cells"][0] == "2" and rows["water"]["bars"][0][1] == f"{100 * tally.shares[2]:.1f}"
    first, *_ = sampling_rows(data)
    low, gain = float(first["low"]), float(first["gain"])
    assert low + gain <= 100.01 and {row["crops"] for row in sampling_rows(data)} == {"3"}


def test_what_cannot_be_drawn_is_named_only(tmp_path: Path) -> None:
    gone = Item(str(tmp_path / "gone.png"), None, "gone")
    data = report(tmp_path, ["a.png", "c.png"], Fault("leak", "val", gone.image, "is gone", gone, gone))
    page = render(data)
    assert "gone.png" in page and "errors: 1 error" in page
    nothing = Checked(SPEC, Faults(), {})
    assert verdict(nothing) == "fine: nothing was found" and class_rows(nothing) == []
