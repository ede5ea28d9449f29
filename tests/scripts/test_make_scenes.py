"""Writing the embedded scenes from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import make_scenes


@pytest.mark.slow
def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = ["--count", "train=1", "--count", "val=1", "--count", "train_extra=1"]
    assert make_scenes.main([str(tmp_path), "--parts", "coarse", "--size", "96x192", "--workers", "1", *counts]) == 0
    assert len(list(tmp_path.rglob("*.png"))) == 4 + 4  # fine comes along
    out, err = capsys.readouterr()
    assert str(tmp_path) in out and "scenes: fine 2/2" in err
    assert make_scenes.main([str(tmp_path), "--parts", "winter"]) == 2
    assert "unknown part 'winter'" in capsys.readouterr().err
