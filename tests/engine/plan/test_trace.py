"""A traced peak is the allocator's own, within ten percent; nothing is allocated for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import config
from benchmarks import planner_error
from engine.plan import trace

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
NET = "--arch deepv3.DeepV3R50 --width_mult 0.125 MODEL.SEGATTN_BOT_CH 8 MODEL.ASPP_BOT_CH 8"
SETTINGS = {
    "rmi": f"{NET} --crop_size 64 --bs_trn 2 --rmi_loss",
    "bf16, adamw, average, accumulated": f"{NET} --crop_size 96,64 --fp16 --optimizer adamw --ema 0.9 --accum 2",
    "val in tiles": f"{NET} --crop_size 128,256 --tile 96",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_peak_is_what_the_allocator_gives_out(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner_error, "SETTINGS", SETTINGS)
    row = planner_error.row(name, tmp_path)
    assert abs(row.error) <= 10, row


def options(*more: str) -> object:
    return config.load(["--dataset", "cityscapes", *NET.split(), "--crop_size", "64", *more])


def test_a_gpu_is_planned_without_one() -> None:
    """In half the precision activations take less; a second process adds buffers of gradients, not to this peak."""
    single, half = (trace.training(options(*more), CUDA, 2) for more in ((), ("--fp16",)))
    assert half.kept < 0.75 * single.kept and half.weights == single.weights
    assert single.gradients == single.slots > 0 == single.average and single.flops > 0
    assert single.bytes > single.weights + single.slots + single.kept and single.during == "the backward pass"
