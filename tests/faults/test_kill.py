"""Runs that are killed anywhere: the same command goes on and ends with the bits of the run that nobody disturbed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import tiny_trunk
from equal_runs import differences
from kill_points import killable
from runs import train_on_command

import toyworld

COUNT = int(os.environ.get("FAULTS_KILLS", "100"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1)
WORDS = [
    *("--dataset", "toy", "--arch", "tiny+ocr", "MODEL.OCR.MID_CHANNELS", "8", "MODEL.OCR.KEY_CHANNELS", "8"),
    *("--crop_size", "32", "--bs_trn", "2", "--num_workers", "0", "--lr", "0.01", "--optimizer", "adamw"),
    *("--max_epoch", "2", "--val_freq", "1", "--save_every", "1", "--ema", "0.9", "MODEL.OCR.DROPOUT", "0.5"),
    *("--class_uniform_tile", "16", "DATASET.CENTROID_ROOT", "centroids", "--cache_decoded", "cache"),
    *("--dump_topn", "1", "TRAIN.LOG_EVERY", "1", "--result_dir", "run", "--resume", "auto"),
]


def command(words: list[str]) -> int:
    """train.py with the tiny trunk."""
    tiny_trunk.install()
    return train_on_command(words)


@pytest.fixture(scope="session")
def undisturbed(once: Callable[..., Path]) -> Path:
    """A folder with scenes, a whole run in `whole/run`, and the points of it in `points.json`."""

    def make(folder: Path) -> None:
        toyworld.write(folder / "scenes", counts={"train": 4, "val": 2}, size=(32, 64), workers=1)
        (folder / "whole").mkdir()
        process = killable(command, folder / "whole", words(folder), record=folder / "points.json")
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output

    return once("undisturbed", make)


def words(folder: Path) -> list[str]:
    """The command line, on the scenes of `folder`."""
    return [*WORDS, "--data_root", str(folder / "scenes")]


def survive(folder: Path, place: Path, ends: Sequence[tuple[int, int]]) -> list[str]:
    """Start, kill by each (point, signal) and start again, then let it end. Gives what is not as in the whole run."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for at, number in ends:
        process = killable(command, place, words(folder), at, number)
        output, _ = process.communicate(timeout=600)
        if process.returncode not in (0, -number, 128 + number):
            return [f"a start ended with {process.returncode}, not by the signal {number}: {output[-2000:]}"]
    process = killable(command, place, words(folder))
    output, _ = process.communicate(timeout=600)
    if process.returncode:
        return [f"the next start ended with {process.returncode}: {output[-2000:]}"]
    found = differences(folder / "whole", place)
    return found
