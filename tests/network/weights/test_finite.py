"""Weights and first scores that are no finite numbers: one line that names the tensor or the layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import config
from engine import checkpoint, restore
from engine.state import TrainState
from inference import RULES, Predictor, export
from network.flow import sources
from network.weights import finite, load, load_trunk, read_file
from scripts.convert_checkpoint import convert
from utils.distributed import DistributedContext
from utils.errors import UserError


class Tiny(nn.Module):
    """Two convolutions; `factor` between them."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.factor = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1), factor

    def forward(self, image: Tensor, keep: tuple[str, ...] = ("pred",)) -> dict[str, Tensor]:
        return {"pred": self.last(self.first(image) * self.factor)}


def broken(value: float, name: str = "last.weight") -> dict[str, Tensor]:
    state = {key: x.clone() for key, x in Tiny().state_dict().items()}
    state[name].view(-1)[1] = value
    return state


LAYOUTS: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "plain": lambda s: s,
    "nvidia": lambda s: {"state_dict": {f"module.{k}": x for k, x in s.items()}, "arch": "x"},
    "tutorial": lambda s: {"model_state_dict": {f"net.{k}": x for k, x in s.items()}},
    "own": lambda s: {"format": checkpoint.FORMAT, "net": s, "class_names": ["a"] * 5},
}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_of_any_layout(tmp_path: Path, layout: str, value: float) -> None:
    torch.save(LAYOUTS[layout](broken(value)), tmp_path / "x.pth")
    net = Tiny()
    with pytest.raises(UserError, match="weights that are no finite numbers, last.weight: its training went astray"):
        load(net, tmp_path / "x.pth")
    finite.check(net.state_dict(), "the network, as it was")


def test_all_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    state = {key: x * float("nan") for key, x in Tiny().state_dict().items()}
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(UserError, match="numbers, first.weight and 3 more"):
        load(Tiny(), tmp_path / "x.pth")


def test_a_trunk(tmp_path: Path) -> None:
    net = nn.Module()
    net.backbone = Tiny()
    torch.save(broken(float("nan"), "first.bias"), tmp_path / "x.pth")
    with pytest.raises(UserError, match="no finite numbers, first.bias"):
        load_trunk(net, tmp_path / "x.pth")


def test_a_source_of_flow() -> None:
    with pytest.raises(UserError, match="no finite numbers, last.weight"):
        sources.fill(Tiny(), broken(float("nan")), "x.pth", "RAFT")


@pytest.mark.parametrize("kind", ["net", "ema"])
def test_a_resume(tmp_path: Path, kind: str) -> None:
    net = Tiny()
    state = TrainState(net, torch.optim.SGD(net.parameters(), 0.1), torch.amp.GradScaler("cpu", enabled=False))
    options = config.flat(config.load(["--arch", "basic.HRNet"])) | {"MODEL.ARCH": "tiny"}
    packed = state.pack(DistributedContext(), {"arch": "tiny", "config": options})
    checkpoint.save(packed | {kind: broken(float("nan"))}, tmp_path / "x.pth")
    with pytest.raises(UserError, match="--resume .*no finite numbers, last.weight"):
        restore.resume(tmp_path / "x.pth", state, options, DistributedContext(), 10)


def test_entries_that_are_not_taken_do_not_matter(tmp_path: Path) -> None:
    """What the network does not have may be anything; a converted file is what it was."""
    torch.save(Tiny().state_dict() | {"more": torch.full((3,), float("nan"))}, tmp_path / "x.pth")
    assert load(Tiny(), tmp_path / "x.pth").complete
    assert "warning: more and 0 more are no finite numbers" in convert(tmp_path / "x.pth", tmp_path / "y.pth", "plain")
    assert read_file(tmp_path / "y.pth").state["more"].isnan().all()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.float8_e4m3fn])
def test_any_type(kind: torch.dtype) -> None:
    assert finite.is_finite(torch.ones(3).to(kind))


IMAGE = np.full((8, 8, 3), 90, np.uint8)


@pytest.mark.parametrize(
    ("net", "options", "words"),
    [
        (Tiny(float("nan")), {}, "from last on: check the file of the weights, and DATASET.MEAN and DATASET.STD"),
        (Tiny(1e30).half(), {}, "from last on: half precision overflows: leave --fp16 out"),
        (Tiny(1e38), {"rule": replace(RULES["nvidia"], tile=64)}, "from last on: check the file"),
        (lambda image: image[:, :2] * float("inf"), {"device": "cpu"}, "no finite numbers: check the file"),
    ],
    ids=["nan", "half", "overflow", "function"],
)
def test_first_scores(net: Any, options: dict[str, Any], words: str) -> None:
    if isinstance(net, Tiny) and net.factor == 1e38:
        net.last.weight.data *= 1e6
    with pytest.raises(UserError, match="the network's first scores are no finite numbers") as caught:
        Predictor(net, **{"rule": RULES["nvidia"], **options})([IMAGE])
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_in_training_it_is_a_warning() -> None:
    """Hours of training do not end for it: the validation says so, once, and the run goes on."""
    lines: list[str] = []
    predictor = Predictor(Tiny(float("nan")), RULES["nvidia"], log=lines.append, strict=False)
    for _ in range(2):
        predictor([IMAGE])
    assert len(lines) == 1 and lines[0].startswith("warning: the network's first scores are no finite numbers")


def test_finite_scores_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    real = finite.complaint
    monkeypatch.setattr(finite, "complaint", lambda *a: looks.append(1) or real(*a))
    predictor = Predictor(Tiny(), RULES["nvidia"])
    for _ in range(3):
        predictor([IMAGE])
    assert len(looks) == 1


@pytest.mark.parametrize("output", ["argmax", "softmax", "logits"])
def test_nothing_is_exported(output: str) -> None:
    module = export.Deployed(Tiny(float("nan")), RULES["nvidia"], output)
    with pytest.raises(UserError, match="first scores are no finite numbers, from last on"):
        export.check_scores(module, RULES["nvidia"], (64, 64))
