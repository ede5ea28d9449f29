"""Convolutions whose gradient crashes in channels-last on a CPU are found, and not trained so."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch
from forked import Process
from runs import finish
from torch import nn

from network.memory_layout import crashes_channels_last
from network.net import Net

Make = Callable[..., Net]


@pytest.mark.parametrize(
    ("layer", "crashes"),
    [
        (nn.Conv2d(8, 16, 1, stride=2), True),
        (nn.Conv2d(4, 16, 1, stride=2), True),
        (nn.Conv2d(3, 8, 1, stride=(1, 3)), True),
        (nn.Conv2d(8, 16, 1), False),
        (nn.Conv2d(8, 16, 3, stride=2), False),
        (nn.Conv2d(12, 16, 1, stride=2), False),
        (nn.Conv2d(4, 16, 1, stride=2).requires_grad_(False), False),
    ],
)
def test_which_convolutions(layer: nn.Module, crashes: bool) -> None:
    assert crashes_channels_last(nn.Sequential(nn.ReLU(), layer)) == ("1" if crashes else "")


def test_in_networks(narrow: Make) -> None:
    assert crashes_channels_last(narrow("encoder_decoder", encoder="resnet18")).startswith(
        "encoder.layer2.0.downsample"
    )
    assert crashes_channels_last(narrow("basic.HRNet")) == ""


def train_contiguous(words: list[str]) -> int:
    """Gradients of strided convolutions in the layout that is taken then."""
    for channels in map(int, words):
        for _ in range(4):
            layer = nn.Conv2d(channels, 16, 1, stride=2)
            layer(torch.randn(2, channels, 128, 128, requires_grad=True)).square().sum().backward()
    return 0


@pytest.mark.slow
def test_contiguous_training_lives() -> None:
    """In a process of its own: a wrong write would end it."""
    finish(Process(train_contiguous, ["4", "7", "8"], os.environ))
