"""A trunk of one convolution for runs that are about anything but the network: --arch tiny+ocr, after `install`.

N batch, H x W image.
"""

from __future__ import annotations

import sys

from torch import Tensor, nn

from network.trunk import Features, Level, Trunk
from options.parts import TRUNKS, TrunkPart


class Tiny(Trunk):
    """One map, at 1/4 of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = (Level(4, 8),)
        self.convolution = nn.Sequential(nn.Conv2d(3, 8, 7, 4, 3), nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, image: Tensor) -> Features:
        """(N, 3, H, W) -> (N, 8, H/4, W/4)."""
        return [self.convolution(image)]


def install() -> None:
    """Enter the trunk into the table, in this process."""
    sys.modules["network.trunk.tiny"] = sys.modules[__name__]
    TRUNKS["tiny"] = TrunkPart("one convolution", "trunk.tiny:Tiny")
