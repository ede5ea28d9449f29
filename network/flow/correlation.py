"""Correlation of two feature maps over displacements (Dosovitskiy et al. 2015, "FlowNet", arXiv:1504.06852, eq. 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Correlation(nn.Module):
    """a, b (N, C, H, W) -> (N, (2 * reach / step + 1)^2, H, W): mean over the channels of a(y, x) * b(y + dy, x + dx).

    Displacements are -reach to reach in steps, dy outer and dx inner; outside of `b` is zero. One displacement is
    worked on at a time, so that next to the output there is one product of the size of `a`.
    """

    def __init__(self, reach: int = 20, step: int = 2) -> None:
        super().__init__()
        self.reach, self.step = reach, step

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        height, width = a.shape[-2:]
        b = F.pad(b, [self.reach] * 4)  # (N, C, H + 2 * reach, W + 2 * reach)
        starts = range(0, 2 * self.reach + 1, self.step)
        means = [(a * b[..., y : y + height, x : x + width]).mean(1) for y in starts for x in starts]
        return torch.stack(means, 1)
