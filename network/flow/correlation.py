"""Correlation of two feature maps over displacements (Dosovitskiy et al. 2015, "FlowNet", arXiv:1504.06852, eq. 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Correlation(nn.Module):
    """a, b (N, C, H, W) -> (N, (2 * reach / step + 1)^2, H, W): mean over the channels of a(y, x) * b(y + dy, x + dx).

    Displacements are -reach to reach in steps, dy outer and dx inner; outside of `b` is zero.

    Rows are multiplied as matrices, every `step`-th column at a time: of the products of all columns with all others
    the diagonals are wanted. That is more than is needed and still ten times as fast as one displacement after
    another; beside the output it holds the products of one dy, (N, H, W / step, W / step).
    """

    def __init__(self, reach: int = 20, step: int = 2) -> None:
        super().__init__()
        if 2 * reach % step:
            raise ValueError(f"reach {reach}, step {step}: displacements have to be even about 0")
        self.reach, self.step, self.count = reach, step, 2 * reach // step + 1

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        n, channels, height, width = a.shape
        b = F.pad(b, [self.reach] * 4)  # (N, C, H + 2 * reach, W + 2 * reach)
        out = a.new_empty(n, self.count, self.count, height, width)
        for start in range(min(self.step, width)):
            left = (a[..., start :: self.step] / channels).permute(0, 2, 3, 1).contiguous()  # (N, H, i, C)
            right = b[..., start :: self.step].permute(0, 2, 1, 3)  # (N, H + 2 * reach, C, i + count - 1)
            for row in range(self.count):
                y = row * self.step
                products = left @ right[:, y : y + height]
                diagonals = [products.diagonal(k, -2, -1) for k in range(self.count)]  # (N, H, i) each
                out[:, row, ..., start :: self.step] = torch.stack(diagonals, 1)
        return out.flatten(1, 2)
