"""What offset vectors are trained with beside the scores: a confidence that says where a seed has the pixel's class.

N images of this process, H x W pixels. "OVeNet", arXiv:2303.14516.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from loss.pixels import PixelLoss
from utils.amp import upcast_to_float32
from utils.positions import grid, sample

_EPS = 1e-7


@dataclass(eq=False, repr=False)
class SeedConfidence(PixelLoss):
    """-log f where the seed has the pixel's class, -log (1 - f) where not, with the confidence f.

    Summed over the pixels and the images of all ranks, divided by the H * W of one. Pixels without a class and those
    whose seed has none are left out; `published`: both count as of class 0. The offsets get no gradient.
    `align_corners`: see `utils.positions.sample`.
    """

    OUTPUTS: ClassVar = ("offset", "confidence")

    align_corners: bool = True
    published: bool = False

    def forward(self, offset: Tensor, confidence: Tensor, label: Tensor) -> Tensor:
        """(N, 2, H, W), (N, 1, H, W), (N, H, W) -> scalar."""
        offset, confidence, valid = upcast_to_float32(offset), upcast_to_float32(confidence), self.valid(label)
        none = 0 if self.published else self.num_classes
        ids = label.masked_fill(~valid, none).to(confidence.dtype).unsqueeze(1)  # (N, 1, H, W)
        seeds = sample(ids, grid(offset) + offset.detach(), self.align_corners, mode="nearest")
        losses = -torch.where(seeds == ids, confidence + _EPS, 1 - confidence + _EPS).log()
        counted = (ids < self.num_classes) & (seeds < self.num_classes)
        return torch.where(counted, losses, 0.0).sum() * self.ranks.world / label[0].numel()
