"""Tables of measured figures, and where they stand in a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import render

SIDE = {"median": 0.01, "low": 0.009, "high": 0.0125, "memory": 3 << 20, "per_second": 100.0}
PAIR: dict[str, Any] = {
    "what": "train", "against": "smp", "unit": "image", "size": [256, 512], "device": "cpu", "arch": "basic.HRNet",
    "baseline": {**SIDE, "share": 0.5}, "ours": {**SIDE, "median": 0.005, "share": 0.75}, "ratio": 2.0,
    "hardware": {"cpu": "one", "torch": "2.6"}, "command": "benchmarks/run.py --what train",
}  # fmt: skip
CAMPAIGN: dict[str, Any] = {
    "campaign": 1, "tiny": False, "started": "2026-11-30T12:00+00:00", "hardware": {"gpu": "one"},
    "stages": {
        "correctness": {
            "losses": {"state": "done", "worst": 1.25e-5, "allowed": 1e-3, "right": True, "where": "rmi"},
            "networks": {"state": "done", "worst": 2.0, "allowed": 1e-3, "right": False, "where": "pred"},
            "compiled": {"state": "failed", "why": "RuntimeError: no compiler"},
        },
        "speed": {"train against smp": {"state": "done", **PAIR}},
    },
}  # fmt: skip
PAGE = "# Page\n\n<!-- figures: run -->\n\nold\n\n<!-- end of figures -->\n\nkept\n"


def test_a_pair_is_a_row() -> None:
    lines = render.of_pairs([PAIR]).splitlines()
    assert lines[2] == (
        "| train basic.HRNet 256x512 | smp | 10 (9 to 12.5) | 5 (9 to 12.5) | 2 | 3 / 3 | 50 % / 75 % |"
    )
    assert "cpu one, torch 2.6." in lines and "python benchmarks/run.py --what train" in lines


def test_a_campaign_has_a_table_a_stage() -> None:
    text = render.of_campaign(CAMPAIGN)
    assert "| losses | 1.25e-05 | 0.001 | rmi |  |" in text and "| networks | 2 | 0.001 | pred | wrong |" in text
    assert "Not measured: compiled: failed, RuntimeError: no compiler." in text
    assert text.startswith("2026-11-30, gpu one.")
    assert "| train basic.HRNet 256x512 | smp |" in text


def test_figures_replace_what_stands_between_the_markers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, file = tmp_path / "page.md", tmp_path / "all.json"
    page.write_text(PAGE)
    file.write_text(json.dumps({"results": [PAIR, {"what": "scaling"}]}))
    for _ in range(2):  # the same again
        assert render.main([str(file), "--page", str(page)]) == 0
    text = page.read_text()
    assert "old" not in text and text.count("| smp |") == 1 and text.endswith("<!-- end of figures -->\n\nkept\n")
    file.write_text(json.dumps(CAMPAIGN))
    assert render.main([str(file), "--page", str(page)]) == 2 and page.read_text() == text
    file.write_text(json.dumps(CAMPAIGN | {"tiny": True}))
    assert render.main([str(file), "--page", str(page)]) == 2
    file.write_text("{}")
    assert render.main([str(file), "--page", str(page)]) == 2
    error = capsys.readouterr().err
    assert "no lines '<!-- figures: gpu_campaign -->'" in error and "a rehearsal" in error and "neither of" in error


def test_the_documentation_has_both_markers() -> None:
    text = render.PAGE.read_text(encoding="utf-8")
    for name in ("run", "gpu_campaign"):
        assert "| new |" in render.placed(text, name, "| new |")
