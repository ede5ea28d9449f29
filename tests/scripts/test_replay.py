"""A step is done again to the bit, and what in it is no finite number is named."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forked
import pytest
import rank_replay
import torch
from rank_replay import noted
from runs import ROOT, copied, finish, folder, last

import train
from engine import checkpoint
from engine.stop import StopRequest
from scripts import replay

Words = Callable[[Path, Path], list[str]]


def flags(words: list[str]) -> list[str]:
    """2 epochs of 4 batches, two of them a step, with all that draws: dropout, colors, scales, flips."""
    return [*words, "--bs_trn", "2", "--accum", "2", "--do_eval", "false", "--ema", "0.9", "MODEL.OCR.DROPOUT", "0.5"]


@pytest.fixture(scope="module")
def run(tiny_words: Words, tiny_scenes: Path, once: Callable[..., Path]) -> list[str]:
    """Command line of a training that was stopped within its second epoch and went on; steps.json has its batches."""

    def make(place: Path) -> None:
        words, count = flags(tiny_words(tiny_scenes, place)), iter(range(100))
        with (
            noted(place / "steps.json"),
            contextlib.redirect_stdout(io.StringIO()),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(StopRequest, "asked", lambda self, ranks: next(count) == 2)
            assert train.main(words) > 128
            (stopped,) = folder(words).glob("last_checkpoint_ep1.pth")
            shutil.copy(stopped, folder(words) / "middle_checkpoint_ep1.pth")  # as one keeps it: the last one goes
            assert train.main([*words, "--resume", "auto"]) == 0

    return flags(tiny_words(tiny_scenes, once("replay", make)))


def replayed(words: list[str], tmp_path: Path, *more: str) -> dict[str, Any]:
    """The batches that a replay has done, each of which has to be what it was in the training."""
    with noted(tmp_path / "again.json"):
        assert replay.main([str(folder(words)), *more]) == 0
    again = json.loads((tmp_path / "again.json").read_text())
    steps = json.loads((folder(words).parent / "steps.json").read_text())
    assert again == {name: steps[name] for name in again}, "to the last bit"
    return again


def test_a_step_from_the_middle_of_an_epoch(run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.read_bytes() for file in folder(run).iterdir() if file.is_file()}
    again = replayed(run, tmp_path, "--step", "7", "--out", str(tmp_path / "crops"))
    assert [*again] == ["1:3", "1:4"], "a step is done whole"
    said = capsys.readouterr().out
    assert (
        said.startswith(f"epoch 1, iteration 3, from {folder(run)}/middle_checkpoint_ep1.pth\n") and "note:" not in said
    )
    assert f"loss over all processes: {again['1:3']['loss']!r}" in said
    assert len(re.findall(r"_leftImg8bit\.png: columns \d+ to \d+, rows \d+ to \d+ of 128x64", said)) == 2
    assert "first layer that is not finite: none" in said and "anomaly" not in said
    assert "output pred (2, 19, 64, 64): 100 % finite" in said and "gradients: 0 of 199 are not finite" in said
    assert len([*(tmp_path / "crops").glob("*_image.png")]) == 2
    assert {file: file.read_bytes() for file in folder(run).iterdir() if file.is_file()} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "batches", "more"),
    [("0:2", 2, []), ("8", 2, ["--num_workers", "2"]), ("1:1", 6, []), ("5", 6, ["--num_workers", "1"])],
)
def test_other_steps(run: list[str], tmp_path: Path, step: str, batches: int, more: list[str]) -> None:
    """From the run's own start where no checkpoint is before them; by other loader processes."""
    assert len(replayed(run, tmp_path, "--step", step, *more)) == batches


def test_a_loss_that_is_none_is_explained(tiny_run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The log of a run that has ended gives the command, which names layer, term, operation and file."""
    words = [*tiny_run, "--lr", "1e30", "--max_epoch", "5", "--nan_patience", "2", "--bs_trn", "2"]
    assert train.main(words) == 2
    line = next(line for line in capsys.readouterr().out.splitlines() if "the step is left out" in line)
    command = re.search(r"python scripts/replay\.py (.*) says why", line)
    assert command and replay.main(command[1].split()) == 0
    said = capsys.readouterr().out
    place = re.search(r"in epoch (\d+), iteration (\d+): (\w+)", line)
    assert place and f"epoch {place[1]}, iteration {place[2]}, from the run's start" in said and place[3] in said
    assert "loss over all processes: nan" in said and "term main: nan" in said
    assert re.search(r"first layer that is not finite: [\w.]+ \(\w+\): .* what it is given is finite", said)
    assert re.search(r"anomaly detection: Function '\w+' returned nan values", said)


def test_what_cannot_be_done_again_is_one_line(
    trained: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = copied(trained, tmp_path)
    for given, said in (
        ([str(tmp_path), "--step", "1"], "is no run folder (no hparams.json)"),
        ([str(folder(words)), "--step", "900"], "--step 900: the run has 4 epochs of 2 steps, from 1 to 8"),
        ([str(folder(words)), "--step", "x"], "--step x: give a number from 1 on, or EPOCH:ITERATION"),
        ([str(folder(words)), "--step", "9" * 5000], "99... (5000 letters): give a number from 1 on"),
        ([str(folder(words)), "--step", "1", "--rank", "1"], "--rank 1: the run had 1 process(es)"),
    ):
        assert replay.main(given) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1 and len(error) < 600


def test_nothing_is_written_where_a_record_says(trained: list[str], tmp_path: Path) -> None:
    words, names = copied(trained, tmp_path), ("DATASET.CENTROID_ROOT", "cache_decoded")
    for old in folder(words).glob("*checkpoint_ep*.pth"):  # whose record would be taken
        old.unlink()
    file = folder(words) / "hparams.json"
    places = {name: str(tmp_path / "elsewhere" / name) for name in names}
    told = json.loads(file.read_text())
    assert places.keys() <= told.keys()
    file.write_text(json.dumps(told | places))
    assert replay.main([str(folder(words)), "--step", "1"]) == 0
    assert not (tmp_path / "elsewhere").exists()


def test_other_versions_are_said(trained: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = copied(trained, tmp_path)
    kept = last(words)
    path = next(folder(words).glob("last_checkpoint_ep3.pth"))
    for old in folder(words).glob("*checkpoint_ep*.pth"):
        old.unlink()
    checkpoint.save(kept | {"versions": kept["versions"] | {"torch": "1.0", "threads": "64"}}, path)
    torch.set_num_threads(torch.get_num_threads())
    assert replay.main([str(folder(words)), "--step", "1"]) == 0
    said = capsys.readouterr().out
    assert "note: bits may differ from those of the training: torch 1.0 -> " in said and "threads 64 -> " in said


@pytest.mark.slow
def test_two_processes(tiny_words: Words, tiny_scenes: Path, tmp_path: Path) -> None:
    """Each has its own crops and dropout; gradients are summed in the same order. By both launchers."""
    words = [*flags(tiny_words(tiny_scenes, tmp_path)), "--save_every", "1", "--bs_trn", "1"]
    finish(*forked.ranks(rank_replay.main, [str(tmp_path), "train", *words]))
    finish(*forked.ranks(rank_replay.main, [str(tmp_path), "replay", str(folder(words)), "--step", "7"]))
    for rank in range(2):
        steps, again = (json.loads((tmp_path / f"{what}{rank}.json").read_text()) for what in ("train", "replay"))
        assert [*again] == ["1:1", "1:2", "1:3", "1:4"] and all(again[name] == steps[name] for name in again)
    import subprocess
    import sys

    command = [sys.executable, "scripts/replay.py", str(folder(words)), "--step", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    losses = re.findall(r"^loss over all processes: (.*)$", done.stdout, re.M)
    assert losses == [repr(steps["1:3"]["loss"])] * 2 and "process 1:" in done.stdout
