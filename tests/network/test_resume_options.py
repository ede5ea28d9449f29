"""A resume with other options: what is listed as changed has its effect; the rest is said to have none, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import config
from engine import checkpoint, restore
from engine.state import TrainState
from loss import optimizer
from utils.distributed import DistributedContext
from utils.errors import UserError

WORDS = ["--arch", "basic.HRNet", "--dataset", "cityscapes"]
Resume = Callable[..., str]


class Halves(nn.Module):
    """Encoder and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.decoder = nn.Conv2d(4, 2, 1)


def started(*words: str, steps: int = 1) -> tuple[TrainState, Any]:
    """The state of a run of these options, and its configuration."""
    cfg = config.load([*WORDS, *words])
    torch.manual_seed(0)
    net = Halves()
    state = TrainState(net, optimizer.build(cfg, net), torch.amp.GradScaler("cpu", enabled=False), epoch=0)
    for _ in range(steps):
        sum(p.square().sum() for p in net.parameters()).backward()  # type: ignore[union-attr]
        state.optimizer.step()
        state.optimizer.zero_grad()
    return state, cfg


def settings(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in group.items() if key != "params"} for group in groups]


@pytest.fixture
def resume(tmp_path: Path) -> Resume:
    """resume(words of the first run, words of the second, iteration it stopped at): the lines of the second."""

    def go(first: str, second: str, iteration: int = 0) -> str:
        state, cfg = started(*first.split())
        state.iteration = iteration
        facts = {"arch": cfg.MODEL.ARCH, "config": config.flat(cfg)}
        path = checkpoint.save_last(state.pack(DistributedContext(), facts), tmp_path, 0)
        other, cfg = started(*second.split(), steps=0)
        text = restore.resume(path, other, config.flat(cfg), DistributedContext(), 8, config.unread(cfg))
        kept = state.optimizer.state_dict()["state"]
        assert len(other.optimizer.state_dict()["state"]) == len(kept) > 0
        fresh = started(*second.split(), steps=0)[0].optimizer.param_groups
        assert settings(other.optimizer.param_groups) == settings(fresh)
        return text

    return go


@pytest.mark.parametrize(
    ("first", "second", "changed"),
    [
        ("", "--weight_decay 0.1", "OPTIM.WEIGHT_DECAY 0.0001 -> 0.1"),
        ("", "--momentum 0.5", "OPTIM.MOMENTUM 0.9 -> 0.5"),
        ("--optimizer adamw", "--optimizer adamw --amsgrad", "OPTIM.AMSGRAD False -> True"),
        ("", "--decay_on conv", "OPTIM.DECAY_ON 'all' -> 'conv'"),
        ("--decay_on conv", "--decay_on conv --weight_decay 0", "OPTIM.WEIGHT_DECAY 0.0001 -> 0.0"),
        ("--arch encoder_decoder --lr_decoder 0.1", "--arch encoder_decoder", "OPTIM.LR_DECODER 0.1 -> 0.0"),
        ("", "--lr_schedule cosine", "OPTIM.SCHEDULE 'poly' -> 'cosine'"),
    ],
)
def test_changes_have_their_effect(resume: Resume, first: str, second: str, changed: str) -> None:
    assert resume(first, second).endswith(f"\nchanged options: {changed}")


@pytest.mark.parametrize(
    ("first", "second", "changed"),
    [
        ("--start_epoch 1", "", "TRAIN.START_EPOCH 1 -> 0"),
        ("", "--init_decoder", "MODEL.INIT_DECODER False -> True"),
        ("", "--init_classifiers xavier", "MODEL.INIT_CLASSIFIERS 'auto' -> 'xavier'"),
        ("", "--trunk_weights x.pth", "MODEL.TRUNK_WEIGHTS '' -> 'x.pth'"),
        ("", "--syncbn", "TRAIN.SYNCBN False -> True"),
        ("--optimizer adamw", "--optimizer adamw --cfg FILE", "OPTIM.MOMENTUM 0.9 -> 0.5"),
        ("", "--cfg FILE", "LOSS.DICE_SMOOTH 1.0 -> 2.0"),
    ],
)
def test_changes_without_effect_are_said_apart(
    resume: Resume, tmp_path: Path, first: str, second: str, changed: str
) -> None:
    """What counts at a start alone, is of several processes, or is not read by this run."""
    key, *_, value = changed.split()
    group, _, name = key.partition(".")
    (tmp_path / "x.yaml").write_text(f"{group}: {{{name}: {value}}}\n")
    text = resume(first, second.replace("FILE", str(tmp_path / "x.yaml")))
    assert text.endswith(f"\nchanged, without effect on what goes on here: {changed}") and "changed options" not in text


@pytest.mark.parametrize(
    ("first", "second", "iteration", "message"),
    [
        ("", "--optimizer adamw", 0, "OPTIM.NAME was sgd, now adamw; keep it, or start anew with --snapshot"),
        ("--optimizer adamw", "", 0, "OPTIM.NAME was adamw, now sgd"),
        ("--optimizer adam", "--optimizer adamw", 0, "OPTIM.NAME was adam, now adamw"),
        ("--accum 2", "--accum 3", 4, "after 4 batches, which --accum 3 does not divide: keep --accum 2 until"),
        ("", "--bs_trn 3", 4, "within an epoch of global batches of 2 images, not 3"),
    ],
)
def test_what_cannot_go_on_is_one_line(resume: Resume, first: str, second: str, iteration: int, message: str) -> None:
    with pytest.raises(UserError) as caught:
        resume(first, second, iteration)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_nothing_changed_is_not_mentioned(resume: Resume) -> None:
    assert "\nchanged" not in resume("--accum 2", "--accum 2", 4)
