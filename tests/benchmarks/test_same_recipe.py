"""How often seeds of one recipe are called different, counted on what a comparison has kept."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from benchmarks import same_recipe
from engine.scored_images import ScoredImage, ScoredImages
from evaluation.calibration import BINS


def test_pairs_and_groups_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(same_recipe, "TRIALS", 5)
    monkeypatch.setattr(same_recipe, "DRAWS", 20)
    assert same_recipe.main([str(tmp_path)]) == 2 and "has the scores of 0 runs" in capsys.readouterr().err
    for run in range(4):
        with closing(ScoredImages(tmp_path / f"scores-{run}.sqlite")) as images:
            for i in range(3):
                pixels = np.array([[60 + run, 60], [20, 20], [20, 20]])
                empty = np.zeros((2, 2)), np.zeros((BINS, 3)), np.zeros((2, 3)), np.zeros((0, 2)), np.zeros(0)
                images.add(str(i), ScoredImage(pixels, *empty, np.zeros((2, 2), np.uint8)))
    assert same_recipe.main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mean IoU of 4 runs: 60.00, 60.20, 60.39, 60.58"
    assert lines[1] == "one seed each: 0 of 6 comparisons differ; over images alone 6"
    assert lines[2].startswith("2 seeds each: ") and "of 5 comparisons" in lines[2] and len(lines) == 3
