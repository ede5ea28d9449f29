"""The measurement of scale does what it says on small numbers. Nothing is timed against a bound."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import scaling
from utils.distributed import DistributedContext

pytestmark = pytest.mark.run


def test_a_start_and_its_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = scaling.start_of(300, tmp_path)
    assert row["images"] == 300 and {*row["seconds"]} == {"list", "marks", "centroids", "epoch", "digest", "labels"}
    monkeypatch.setattr(scaling, "LABELS", 2)
    with scaling.drawn_labels(2, (64, 128)) as folder:
        seconds = scaling.made(folder / "labels", folder / "cache", 1, DistributedContext())
        assert seconds > 0 and len([*(folder / "cache").iterdir()]) == 1
    rows = [{"workers": n, "ranks": n, "seconds": seconds / n} for n in (1, 2)]
    drawn = scaling.plot({"start": [row, {**row, "images": 600}], "workers": rows, "ranks": rows})
    assert len(ElementTree.fromstring(drawn).findall("{*}svg")) == 4
