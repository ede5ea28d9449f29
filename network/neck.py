"""What joins the maps of a trunk that has no map for a head to classify. N batch, H x W image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from network.fused import Chain
from network.layers import conv_bn_relu
from network.trunk import Features, Level
from utils.errors import UserError
from utils.resize import resize

FAR = 1.5  # a level of at most so many times the asked stride stands for it


class Neck(nn.Module):
    """Squeezes every level to `channels`, and joins them at `stride`: maps -> (N, channels * levels, ~H/s, ~W/s).

    The level nearest to the stride gives the size s; UserError where there is none near it.
    """

    def __init__(self, levels: Sequence[Level], stride: int, channels: int, align_corners: bool = False) -> None:
        super().__init__()
        self.place = min(range(len(levels)), key=lambda place: abs(levels[place].stride / stride - 1))
        nearest = levels[self.place].stride
        if not stride / FAR <= nearest <= stride * FAR:
            known = ", ".join(f"1/{level.stride:g}" for level in levels)
            raise UserError(f"--neck_stride {stride}: the trunk has maps at {known} of the image; give one of these")
        self.align_corners = align_corners
        self.squeeze = nn.ModuleList(Chain(*conv_bn_relu(level.channels, channels, 1)) for level in levels)
        self.level = Level(nearest, channels * len(levels))

    def forward(self, features: Features) -> Tensor:
        size = features[self.place].shape[-2:]
        squeezed = [squeeze(x) for squeeze, x in zip(self.squeeze, features, strict=True)]
        return torch.cat([resize(x, size, self.align_corners) for x in squeezed], dim=1)
