"""Certainties of an evaluation: which temperature is taken, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import inference
from engine import certainty
from inference import temperature
from inference.rule import PLAIN


def test_an_evaluation_reads_it_where_it_writes_certainties(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "best_checkpoint_ep1.pth"
    file.write_bytes(b"weights")
    temperature.write(file, 1.75, ("a", "b"), PLAIN, {})
    monkeypatch.setattr(inference, "eval_rule", lambda cfg: PLAIN)
    lines: list[str] = []

    def value(**options: Any) -> float:
        given = {"MODE": "val", "DUMP_CONFIDENCE": True, "DUMP_FOR_AUTO_LABELLING": False} | options
        cfg = SimpleNamespace(EVAL=SimpleNamespace(**given), SNAPSHOT=str(file), RESUME="")
        spec, log = SimpleNamespace(classes=("a", "b")), SimpleNamespace(line=lines.append)
        return certainty.temperature_of(SimpleNamespace(cfg=cfg, spec=spec, log=log))  # type: ignore[arg-type]

    assert value() == 1.75 and len(lines) == 1
    assert value(DUMP_CONFIDENCE=False) == value(MODE="") == 1 and len(lines) == 1
    assert value(DUMP_FOR_AUTO_LABELLING=True) == 1 and "as they are" in lines[1]
