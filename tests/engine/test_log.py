"""What a run writes down, and that runx reads it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import curves
from engine.log import RunLog
from utils.visualize import encode_png


@pytest.fixture
def log(tmp_path: Path):
    run = RunLog(tmp_path / "run")
    yield run
    run.close()


def test_lines_go_to_terminal_and_file(log: RunLog, capsys: pytest.CaptureFixture[str]) -> None:
    log.line("hello\nthere")
    assert capsys.readouterr().out == "hello\nthere\n"
    text = (log.run_dir / "train.log").read_text()
    assert text.endswith(" hello\nthere\n") and text[:2] == "20"


def test_a_resumed_run_goes_on_in_the_same_files(log: RunLog) -> None:
    log.start({"lr": 0.1})
    log.line("one")
    log.close()
    again = RunLog(log.run_dir)
    again.start({"lr": 0.1})
    again.line("two")
    again.close()
    rows = list(csv.reader((log.run_dir / "metrics.csv").open()))
    assert [row[0] for row in rows] == ["start"]
    assert len((log.run_dir / "train.log").read_text().splitlines()) == 2


def test_layout_of_runx(log: RunLog) -> None:
    log.start({"lr": 0.1, "crop": "64,64", "folder": Path("/x")})
    log.metric("val", {"mean_iu": 0.5}, 3)
    assert json.loads((log.run_dir / "hparams.json").read_text()) == {"lr": 0.1, "crop": "64,64", "folder": "/x"}
    start, val = csv.reader((log.run_dir / "metrics.csv").open())
    assert start[0] == "start" and start[-2] == "timestamp" and float(start[-1]) > 1e9
    assert val[:5] == ["val", "mean_iu", "0.5", "epoch", "3"] and val[5] == "timestamp"


def test_history(log: RunLog) -> None:
    log.start({})
    for epoch, value in ((0, 0.1), (1, 0.2), (2, 0.3), (1, 0.25)):  # epoch 1 was repeated after a resume
        log.metric("val", {"mean_iu": value}, epoch)
    log.metric("train", {"loss": 9.0}, 0)
    history = log.history("val")
    assert [row["mean_iu"] for row in history] == [0.1, 0.25, 0.3]
    assert [row["epoch"] for row in history] == [0, 1, 2]
    assert [row["loss"] for row in log.history("train")] == [9.0]


@pytest.mark.parametrize("torn", ["val", "val,mean_iu", "val,mean_iu,0.", "val,mean_iu,0.5,epo", "val,mean_iu,"])
def test_torn_last_line(log: RunLog, torn: str) -> None:
    log.metric("val", {"mean_iu": 0.1}, 0)
    with open(log.run_dir / "metrics.csv", "a") as stream:
        stream.write(torn)
    assert [row["mean_iu"] for row in log.history("val")] == [0.1]
    log.metric("val", {"mean_iu": 0.2}, 1)  # does not join the torn one
    assert [row["mean_iu"] for row in log.history("val")] == [0.1, 0.2]


def test_undefined_score(log: RunLog) -> None:
    log.metric("val", {"mean_iu": float("nan")}, 0)
    assert np.isnan(log.history("val")[0]["mean_iu"])


def test_other_ranks_are_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog(tmp_path / "run", main=False)
    log.start({"a": 1})
    log.line("hello")
    log.metric("val", {"mean_iu": 0.5}, 0)
    log.picture("x", b"", 0)
    assert log.history("val") == [] and list(log.progress([1, 2], "x")) == [1, 2]
    log.close()
    assert not (tmp_path / "run").exists() and capsys.readouterr().out == ""


def test_progress_gives_every_item(log: RunLog) -> None:
    bar = log.progress([1, 2, 3], "epoch 0", done=4, total=7)
    seen = []
    for item in bar:
        bar.set_postfix({"loss": "1.0"}, refresh=False)
        seen.append(item)
    assert seen == [1, 2, 3]


def test_tensorboard_files(log: RunLog) -> None:
    log.scalars({"train/lr": 0.1}, 0)
    log.picture("pred", encode_png(np.zeros((4, 4, 3), np.uint8)), 0)
    log.close()
    assert list(log.run_dir.glob("events.out.tfevents.*"))


def test_the_curves_of_an_epoch_are_written_with_its_row(log: RunLog) -> None:
    """A kill behind it takes nothing; tensorboard's own thread would still have them for two minutes."""
    log.scalars({"train/lr": 0.1}, 20)
    log.metric("train", {"loss": 0.5}, 1)
    assert curves.scalars(log.run_dir, "train/lr") == [(20, pytest.approx(0.1))]
    assert curves.scalars(log.run_dir, "train/loss") == [(1, 0.5)]


def test_sumx_lists_the_runs(tmp_path: Path) -> None:
    """The unmodified summary of runx reads our two files."""
    for name, lr, value in (("fast", 0.1, 0.31), ("slow", 0.01, 0.62)):
        log = RunLog(tmp_path / "sweep" / name)
        log.start({"OPTIM.LR": lr, "SEED": 0})
        log.metric("train", {"loss": 3.0}, 0)
        log.metric("val", {"mean_iu": value - 0.1, "acc": 0.8}, 0)
        log.metric("val", {"mean_iu": value, "acc": 0.9}, 1)
        log.close()
    (tmp_path / ".runx").write_text(f"LOGROOT: {tmp_path}\n")
    command = [sys.executable, "-m", "runx.sumx", "sweep", "--sortwith", "mean_iu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    rows = [line.split() for line in lines if line.startswith(("slow", "fast"))]
    assert [row[0] for row in rows] == ["slow", "fast"]  # the better first
    assert "0.01" in rows[0][1] or "1.00e-02" in rows[0][1]  # the differing option is shown
    assert any("6.20e-01" in cell or "0.62" in cell for cell in rows[0])


def test_what_is_said_once(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for text in ("note: a", "note: b", "note: a"):
        log.once(text)
    log.line("note: a")
    log.close()
    lines = (tmp_path / "train.log").read_text().splitlines()
    assert [line.split("note: ")[1] for line in lines if "note: " in line] == ["a", "b", "a"]
