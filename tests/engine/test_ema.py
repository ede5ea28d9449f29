"""Moving average of weights."""

from __future__ import annotations

import torch
from torch import nn

from engine.ema import ModelEma, approach


def net_of(value: float) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    for p in net.parameters():
        nn.init.constant_(p, value)
    return net


def test_follows_with_the_decay() -> None:
    net = net_of(0.0)
    ema = ModelEma(net, 0.5)
    for p in net.parameters():
        nn.init.constant_(p, 1.0)
    expected, decays = 0.0, []
    for n in range(1, 12):
        ema.update(net, torch.tensor(True))
        decays.append(min(0.5, (1 + n) / (10 + n)))
        expected = decays[-1] * expected + (1 - decays[-1])
        for p in ema.net.parameters():
            torch.testing.assert_close(p, torch.full_like(p, expected))
    assert decays[0] < 0.2 and decays[-1] == 0.5


def test_running_statistics_follow_and_counters_are_copied() -> None:
    net = net_of(0.0)
    ema = ModelEma(net, 0.5)
    net.get_buffer("1.running_mean").fill_(4.0)
    net.get_buffer("1.num_batches_tracked").fill_(7)
    ema.update(net, torch.tensor(True))
    decay = 2 / 11  # (1 + n) / (10 + n) in the first step
    torch.testing.assert_close(ema.net.get_buffer("1.running_mean"), torch.tensor([4.0 * (1 - decay)]))
    assert int(ema.net.get_buffer("1.num_batches_tracked")) == 7


def test_is_a_net_of_its_own() -> None:
    net = net_of(0.0)
    ema = ModelEma(net, 0.9)
    assert not ema.net.training and net.training
    assert not any(p.requires_grad for p in ema.net.parameters())
    assert all(p.requires_grad for p in net.parameters())
    assert list(ema.net.state_dict()) == list(net.state_dict())
    assert all(a is not b for a, b in zip(ema.net.parameters(), net.parameters(), strict=True))


def test_nothing_moves_where_no_step_was_taken() -> None:
    net = net_of(0.0)
    ema = ModelEma(net, 0.5)
    net.get_buffer("1.num_batches_tracked").fill_(7)
    for p in net.parameters():
        nn.init.constant_(p, 1.0)
    ema.update(net, torch.tensor(False))
    assert int(ema.steps) == 0 and int(ema.net.get_buffer("1.num_batches_tracked")) == 0
    assert not any(p.any() for p in ema.net.parameters())


def test_the_fused_way_of_a_gpu_gives_the_same() -> None:
    torch.manual_seed(0)
    theirs = [torch.randn(3, 2) for _ in range(70)]
    for weight in (torch.tensor(0.0), torch.tensor(0.1), torch.tensor(0.8)):
        mine = [torch.randn(3, 2) for _ in range(70)]
        expected = [x.lerp(y, weight) for x, y in zip(mine, theirs, strict=True)]
        approach(mine, theirs, weight)
        torch.testing.assert_close(mine, expected)
