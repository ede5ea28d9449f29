"""train.py's step on a CUDA device that is not there: where the host waits, and what is mixed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fake_cuda import CUDA, Copies, fake_cuda, moved

import config
import network
import train
from benchmarks import pairs
from engine.training import Trainer
from utils.contracts import Batch

NARROW = ["--width_mult", "0.125", "MODEL.SEGATTN_BOT_CH", "8", "MODEL.ASPP_BOT_CH", "8"]
SIZE = (32, 64)


def gradients(trainer: Trainer) -> None:
    """What a backward pass leaves on a real device."""
    for p in trainer.net.parameters():
        p.grad = torch.empty_like(p)


def test_a_step_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its first step, which makes the optimizer's slots, the host runs ahead of the device.

    Kernels of loss scalers and of fused SGD have no fake form: tests/engine/test_finite.py asks the same on the CPU.
    """
    words = ["--arch", "deepv3.DeepV3R50", *NARROW, "--optimizer", "adamw"]
    cfg = config.load([*words, "--fp16", "--amp_opt_level", "O2"])
    net = network.build(cfg)
    monkeypatch.setattr(pairs, "to_device", lambda run, net: net)  # `moved` has done it
    with fake_cuda():
        job = pairs.Job(cfg, SIZE, CUDA, tmp_path)
        run = pairs.our_run(job)
        trainer = pairs.our_trainer(job, run, moved(net))  # type: ignore[arg-type]
        trainer.criterion.checked = True
        image = torch.empty(2, 3, *SIZE, dtype=torch.uint8)
        label = torch.zeros(2, *SIZE, dtype=torch.int64)
        gradients(trainer)
        trainer.state.optimizer.step()  # the first one makes the slots
        with Copies() as copies:
            value = train.backward(run, trainer, 0, Batch(image=image, label=label, name=[], size=[]), 1)
            train.optimizer_step(run, trainer, lr=0.1)
    assert value.device == CUDA and value.dtype == torch.float64 and trainer.state.step.device == CUDA
    assert copies.waits == []
