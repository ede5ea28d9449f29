"""Trunks: an image becomes maps of several strides, from fine to coarse.

N batch, H x W image. Dilation keeps a stride from growing, so several levels may share one.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

Features = list[Tensor]  # one map a level, and of a second branch as many again


class Level(NamedTuple):
    """A map (N, channels, ~H/stride, ~W/stride)."""

    stride: int
    channels: int


class Trunk(nn.Module):
    """Image (N, 3, H, W) -> one map for each of `levels`, the finest first.

    `branches`: 2 where the last stages exist twice, for offsets. The maps of the second branch, of the same shapes,
    then stand behind those of the first one, which alone `join` reads.
    """

    levels: tuple[Level, ...]
    branches: int = 1

    @abstractmethod
    def forward(self, image: Tensor) -> Features:
        """(N, 3, H, W) -> the maps."""

    @property
    def joined(self) -> Level:
        """Stride and channels of the map that `join` gives."""
        return self.levels[-1]

    def join(self, features: Features) -> Tensor:
        """The one map that a head classifies: the last, unless a trunk makes one of all its levels."""
        return features[-1]


class OwnTrunk(Trunk):
    """The trunks of this package: of any width, and with activations recomputed in the backward pass."""

    def __init__(self, grad_ckpt: bool = False) -> None:
        super().__init__()
        self.grad_ckpt = grad_ckpt
