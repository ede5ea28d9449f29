"""Steps that are tried: the training itself, as a process of its own, for a few batches; what it took."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from engine.log import RunLog
from engine.plan.rules import Choice
from inference.memory import is_out_of_memory
from utils.distributed import LAUNCHED
from utils.errors import UserError

STEPS = 6  # batches that are tried; the first ones also fetch memory and choose kernels
SHARE = 0.8  # of what is free: how much a step may take at its peak
SMALLEST_CROP = 64
_TRAIN = Path(__file__).resolve().parents[2] / "train.py"
# What makes a process one of several, or a later start of a run: the trial is alone, and new.
_GROUP = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "STREETSCALE_RESUME", LAUNCHED,
)  # fmt: skip
# The trial's options, as KEY VALUE pairs: those win over everything before them.
_SHORT = {
    "OPTIONS.AUTO": "False", "OPTIONS.DRY_RUN": "False", "OPTIONS.DEVICES": "", "OPTIONS.TEST_MODE": "False",
    "RESUME": "", "TRAIN.EPOCH_ITERS": "0", "TRAIN.MAX_ITERS": f"{STEPS}", "TRAIN.SAVE_INTERVAL": f"{STEPS}",
    "TRAIN.LOG_EVERY": "2", "TRAIN.DO_EVAL": "False", "TRAIN.PATIENCE": "0", "TRAIN.TIME_LIMIT": "0",
    "TRAIN.TRACK": "none",
}  # fmt: skip


class Measured(NamedTuple):
    """Seconds of a batch and the most bytes that its process held."""

    seconds: float
    peak: int


class TooLarge(Exception):
    """A trial ran out of memory."""


Measure = Callable[[Mapping[str, object]], Measured]  # {key: value} of a trial -> what it took, or TooLarge


def fitted(
    start: Sequence[Choice], batch: tuple[int, int], given: Mapping[str, object], memory: int, measure: Measure
) -> tuple[list[Choice], Measured]:
    """Find the largest batch that fits, so that a step keeps its images: half the batch, twice the batches of a step.

    Where one image does not fit, the crop is halved, but for one in `given`. `memory`: free bytes. Gives all choices,
    and what the chosen step took. UserError where nothing fits.
    """
    chosen, (size, accumulated), note = {choice.key: choice for choice in start}, batch, ""
    if "TRAIN.BATCH_SIZE" in given:
        size, accumulated = int(str(given["TRAIN.BATCH_SIZE"])), int(str(given.get("TRAIN.ACCUM", 1)))
    while True:
        tried = {key: choice.value for key, choice in chosen.items()}
        try:
            found = measure(tried | {"TRAIN.BATCH_SIZE": size})
        except TooLarge:
            found = Measured(0.0, memory + 1)
        if found.peak <= SHARE * memory:
            why = f"a step of {size} takes {found.peak / 2**30:.1f} of {memory / 2**30:.1f} GiB that are free{note}"
            chosen["TRAIN.BATCH_SIZE"] = Choice("TRAIN.BATCH_SIZE", size, why)
            chosen["TRAIN.ACCUM"] = Choice(
                "TRAIN.ACCUM", accumulated, f"{size * accumulated} images of a process a step"
            )
            return [choice for choice in chosen.values() if choice.key not in given], found
        note = f"; a step of {size} would take more than {100 * SHARE:.0f} % of it"
        crop = chosen.get("DATASET.CROP_SIZE")
        if size > 1 and "TRAIN.BATCH_SIZE" not in given:
            size, accumulated = size // 2, accumulated * 2
        elif crop is not None and min(crop.value) // 2 >= SMALLEST_CROP:
            side = min(crop.value) // 2 // 32 * 32
            chosen["DATASET.CROP_SIZE"] = Choice(
                "DATASET.CROP_SIZE", (side, side), f"larger ones do not fit into memory{note}"
            )
        else:
            free = f"{memory / 2**30:.1f} GiB are free"
            raise UserError(f"--auto: one image a step does not fit into memory ({free}): give a smaller --crop_size")


def run(argv: Sequence[str], options: str) -> Measured:
    """Train a few batches of `argv`, behind an options file of this text, in a folder that is removed again.

    TooLarge, or UserError with the trial's words.
    """
    with tempfile.TemporaryDirectory(prefix="streetscale-plan-") as folder:
        file = Path(folder, "tried.yaml")
        file.write_text(options, encoding="utf-8")
        words = [
            "--cfg",
            str(file),
            *argv,
            *(word for pair in ({"RESULT_DIR": f"{folder}/run"} | _SHORT).items() for word in pair),
        ]
        env = {key: value for key, value in os.environ.items() if key not in _GROUP and not key.startswith("SLURM_")}
        done = subprocess.run(
            [sys.executable, str(_TRAIN), *words], env=env, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            row = RunLog(Path(folder, "run"), main=False).history("cost")[-1]
            return Measured(row["step_seconds"], int(row["peak_gib"] * 2**30))
    said = done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["it said nothing"]
    if done.returncode == -signal.SIGKILL or is_out_of_memory(RuntimeError(done.stderr)):
        raise TooLarge
    raise UserError(f"--auto: the trial of {STEPS} steps failed: {said[-1].removeprefix('error: ')}")
