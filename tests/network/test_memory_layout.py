"""Convolutions whose gradient crashes in channels-last on a CPU are found, and not trained so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
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


@pytest.mark.parametrize("channels", [4, 7, 8])
def test_contiguous_training_lives(channels: int) -> None:
    """The layout that is taken then, in a process of its own: a wrong write would end it."""
    code = f"""if True:
        import torch
        for _ in range(4):
            layer = torch.nn.Conv2d({channels}, 16, 1, stride=2)
            layer(torch.randn(2, {channels}, 128, 128, requires_grad=True)).square().sum().backward()
        """
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
