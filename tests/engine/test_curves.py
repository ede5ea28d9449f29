"""Rows of metrics.csv: those that a kill has torn, or somebody has written by hand, are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import curves


@pytest.mark.parametrize(
    "line",
    ["train,epoch,1,loss", "train,epoch,x", "train," + "x" * 200_000, "train,epoch,inf,loss,1", "train,epoch,-inf",
     "train,epoch,nan", "train,epoch,1e300", 'train,"epoch'],
)  # fmt: skip
def test_what_is_no_row(tmp_path: Path, line: str) -> None:
    good = "val,epoch,2,mean_iu,0.5\n"
    (tmp_path / "metrics.csv").write_text(f"{line}\n{good}")
    first, second = curves.rows(tmp_path)
    assert first.values == {} and first.text == f"{line}\n" and first.epoch == -1
    assert second.phase == "val" and second.values == {"epoch": 2, "mean_iu": 0.5}
    curves.cut_rows(tmp_path, 2)
    assert (tmp_path / "metrics.csv").read_text() == good
