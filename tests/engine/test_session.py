"""What is said of a network before an evaluation."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import config
import datasets
import network
from engine import session
from engine.session import Start
from utils.distributed import DistributedContext


@pytest.mark.parametrize(("trunk", "padded"), [("timm:vit_tiny_patch16_224", True), ("resnet50", False)])
def test_a_trunk_that_pads_is_said(trunk: str, padded: bool, tmp_path: Path) -> None:
    pytest.importorskip("timm", reason="an extra: pip install timm")
    words = ["--trunk", trunk, "--head", "plain", "--dataset", "camvid", "--segattn_bot_ch", "8"]
    words += ["--width_mult", "0.05"] * (not padded)
    cfg = config.load(
        [*words, "--eval", "folder", "--eval_folder", str(tmp_path), "--snapshot", str(tmp_path / "x.pth")]
    )
    net = network.build(cfg)
    torch.save(net.state_dict(), tmp_path / "x.pth")
    lines: list[str] = []
    run: Any = SimpleNamespace(
        cfg=cfg, spec=datasets.spec(cfg), ranks=DistributedContext(), log=SimpleNamespace(line=lines.append)
    )
    session.load_for_evaluation(run, net, Start(tmp_path / "x.pth"))
    said = [line for line in lines if "padded inside" in line]
    assert (
        said == ["note: the trunk takes sides of a multiple of 16: others, be they smaller, are padded inside"] * padded
    )
