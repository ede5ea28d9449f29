"""Trunks: an image becomes maps of several strides, from fine to coarse.

N batch, H x W image. Dilation keeps a stride from growing, so several levels may share one.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from utils.errors import UserError

Features = list[Tensor]  # one map a level


class Level(NamedTuple):
    """A map (N, channels, ~H/stride, ~W/stride)."""

    stride: int
    channels: int


class Trunk(nn.Module):
    """Image (N, 3, H, W) -> one map for each of `levels`, the finest first.

    `takes`: names of `Settings` that the constructor takes by keyword; width_mult and grad_ckpt are refused without.
    """

    levels: tuple[Level, ...]
    takes: frozenset[str] = frozenset()

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

    @classmethod
    def refuse(cls, width_mult: float, grad_ckpt: bool) -> None:
        """UserError for an option that is set and that this trunk does not know."""
        asked = {"width_mult": width_mult != 1, "grad_ckpt": grad_ckpt}
        for name in [name for name, on in asked.items() if on and name not in cls.takes]:
            raise UserError(f"--{name}: {cls.__name__} does not know this option; leave it out")


class OwnTrunk(Trunk):
    """The trunks of this package: of any width, and with activations recomputed in the backward pass."""

    takes = frozenset({"width_mult", "grad_ckpt"})

    def __init__(self, grad_ckpt: bool = False) -> None:
        super().__init__()
        self.grad_ckpt = grad_ckpt
