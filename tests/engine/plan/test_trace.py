"""A traced peak is the allocator's own, within ten percent; nothing is allocated for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import train
from benchmarks import planner_error
from engine.plan import trace

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


def test_several_processes_have_room_for_gradients_all_the_time() -> None:
    cfg = planner_error.options(SETTINGS["rmi"])
    one, two = (trace.training(cfg, torch.device("cpu"), world) for world in (1, 2))
    assert 0.5 * one.gradients < two.bytes - one.bytes <= one.gradients == two.stays - one.stays


def test_a_gpu_is_planned_without_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written; without the data the memory is planned all the same."""
    words = ["--dataset", "cityscapes", "--data_root", str(tmp_path), *NET.split(), "--crop_size", "64", "--fp16"]
    words += ["--plan", "--plan_device", "cuda", "--tflops", "50", "--save_every", "60"]
    assert train.main([*words, "--result_dir", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "on 1 cuda process" in said[0] and "batches of 2, 64x64, fp16" in said[1]
    assert "weights 1.7 MiB, gradients 1.7 MiB, the optimizer's slots 1.7 MiB" in said[2]
    (hours,) = [line for line in said if "hours" in line]
    assert "for 1000 batches" in hours and "as --tflops states" in hours
    assert any("copy of a checkpoint, in the main process: 4.0 MiB of page-locked host memory" in line for line in said)
    assert any("6 checkpoints of 3.4 MiB (last, next, best, 3 kept by --save_every)" in line for line in said)
    assert not list(tmp_path.iterdir())
