"""Batches of a training and of its replay, noted: as a worker of tests/scripts/test_replay.py, and in its process."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

import train
from engine.training import Trainer
from scripts import replay


@contextlib.contextmanager
def noted(file: Path) -> Iterator[None]:
    """Note of each batch in the block its loss, pixels and gradients, by EPOCH:ITERATION, in `file`."""
    backward, steps = train.backward, {}

    def seen(run: Any, trainer: Trainer, epoch: int, batch: Any, divisor: float) -> Tensor:
        value = backward(run, trainer, epoch, batch, divisor)
        gradients = [p.grad.double().sum() for p in trainer.state.net.parameters() if p.grad is not None]
        pixels = [int(batch["image"].long().sum()), int(batch["label"].sum())]
        step = {"loss": float(value), "pixels": pixels, "gradients": torch.stack(gradients).tolist()}
        steps.setdefault(f"{epoch}:{trainer.state.iteration}", step)  # anomaly detection does the last one once more
        return value

    with mock.patch.object(train, "backward", seen):
        yield
    file.write_text(json.dumps(steps))


def main(words: list[str]) -> int:
    """FOLDER train WORDS or FOLDER replay WORDS, on a rank: notes go to FOLDER/<what><rank>.json."""
    folder, what, *rest = words
    with noted(Path(folder) / f"{what}{os.environ['RANK']}.json"):
        return {"train": train.main, "replay": replay.main}[what](rest)
