"""Bilinear resizing of maps: the one place that says how."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def resize(x: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Bilinear (N, C, h, w) -> (N, C, *size); the same tensor when it has that size already.

    The ratio is taken from the two sizes, so a size that was rounded down still covers the whole map.
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=align_corners)
