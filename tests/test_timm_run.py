"""A run round a trunk of timm: trained, gone on with, scored at three scales, shown."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import demo
import train
from engine import checkpoint
from engine.stop import StopRequest

pytestmark = pytest.mark.run
RUN = [
    *("--head", "ocr", "--scales", "hierarchical", "--segattn_bot_ch", "8", "--crop_size", "64", "--bs_trn", "4"),
    *("--class_uniform_tile", "32", "--num_workers", "0", "--optimizer", "adamw", "--lr", "0.001"),
    *("MODEL.OCR.MID_CHANNELS", "16", "MODEL.OCR.KEY_CHANNELS", "8"),
]


@pytest.mark.in_make_test("timm:test_resnet")
@pytest.mark.parametrize("trunk", ["timm:test_resnet", "timm:test_vit"])
def test_a_run(
    trunk: str, tiny_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("timm", reason="an extra: pip install timm")
    data = ["--dataset", "toy", "--data_root", str(tiny_scenes)]

    def words(name: str) -> list[str]:
        at = ["--result_dir", str(tmp_path / name), "DATASET.CENTROID_ROOT", str(tmp_path / "centroids")]
        return [*data, "--trunk", trunk, *RUN, *at, "--max_epoch", "2"]

    assert train.main(words("whole")) == 0
    with monkeypatch.context() as patch:
        calls = iter(range(100))
        patch.setattr(StopRequest, "asked", lambda self, ranks: next(calls) == 2)
        patch.setattr(StopRequest, "exit_code", 143)
        assert train.main(words("stopped")) == 143
    assert train.main([*words("stopped"), "--resume", "auto"]) == 0
    ends = (tmp_path / name / "last_checkpoint_ep1.pth" for name in ("whole", "stopped"))
    whole, again = (checkpoint.load(path)["net"] for path in ends)
    assert all(torch.equal(x, again[name]) for name, x in whole.items())
    best = ["--snapshot", str(next((tmp_path / "whole").glob("best_checkpoint_ep*.pth")))]
    scored = ["--eval", "val", *best, "--n_scales", "0.5,1.0,2.0", "--result_dir", str(tmp_path / "scored")]
    capsys.readouterr()
    assert train.main([*data, *scored, "--num_workers", "0"]) == 0
    assert "mean IoU" in capsys.readouterr().out
    cv2.imwrite(str(tmp_path / "odd.png"), np.random.default_rng(0).integers(0, 255, (75, 101, 3), np.uint8))
    assert demo.main(["--demo-image", str(tmp_path / "odd.png"), *best, "--save-dir", str(tmp_path / "shown")]) == 0
    assert list((tmp_path / "shown").glob("*.png"))
