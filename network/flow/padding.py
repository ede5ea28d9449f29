"""Frames of any size for networks that halve them several times."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def padded(image: Tensor, stride: int, least: int = 1) -> Tensor:
    """(N, C, H, W) with its border repeated to the right and below, up to multiples of `stride` and to `least`."""
    height, width = image.shape[-2:]
    high, wide = (-(-max(least, side) // stride) * stride for side in (height, width))
    if (high, wide) == (height, width):
        return image
    return F.pad(image, (0, wide - width, 0, high - height), mode="replicate")
