"""Positions in a map in units of its size, and what lies there: the one place that says how.

A position (x, y) is -1 at the first column or row and 1 at the last, at any resolution; an offset between two
positions has the same units. N batch, C channels, H x W map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

OFFSETS = ("offset",)  # outputs of networks with these units


def grid(like: Tensor) -> Tensor:
    """The position of every pixel of a map (N, C, H, W) -> (1, 2, H, W), x before y, of its type."""
    h, w = like.shape[-2:]
    x, y = _along(w, like), _along(h, like).unsqueeze(1)
    return torch.stack([x.expand(h, w), y.expand(h, w)]).unsqueeze(0)


def _along(side: int, like: Tensor) -> Tensor:
    """`side` positions from -1 to 1. No linspace: that would fix the size in an exported network."""
    return 2 * (torch.arange(side, dtype=like.dtype, device=like.device) / max(side - 1, 1) - 0.5)


def sample(
    x: Tensor, positions: Tensor, align_corners: bool = True, mode: str = "bilinear", padding: str = "border"
) -> Tensor:
    """Sample what lies at `positions`: (N, C, H, W), (N, 2, h, w) -> (N, C, h, w).

    Without `align_corners` -1 and 1 are the outer edges of the first and last pixel, so that `grid` is not quite where
    the pixels are. `padding`: beyond them lies the nearest pixel ("border"), or 0 ("zeros").
    """
    return F.grid_sample(x, positions.permute(0, 2, 3, 1), mode, padding, align_corners)


def in_units_of(size: Sequence[int], name: str, value: Tensor) -> Tensor:
    """Express the output `name` (N, C, h, w) of a part of a map of `size` (H, W), at its resolution: offsets, which
    have the units of the part, in those of the whole; all else as it is.
    """
    if name not in OFFSETS:
        return value
    (h, w), (height, width) = value.shape[-2:], size
    ratio = value.new_tensor([max(w - 1, 1) / max(width - 1, 1), max(h - 1, 1) / max(height - 1, 1)])
    return value * ratio.view(2, 1, 1)
