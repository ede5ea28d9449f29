"""Tiles that cover an image: where they begin, and what each weighs where they overlap."""

from __future__ import annotations

import math

import numpy as np


def starts(length: int, tile: int, overlap: float) -> list[int]:
    """Give the first pixels of the tiles on an axis: every ceil(tile * (1 - overlap)), the last one shifted inside."""
    if length <= tile:
        return [0]
    stride = max(1, math.ceil(tile * (1 - overlap)))
    return [*range(0, length - tile, stride), length - tile]


def weights(length: int, tile: int, overlap: float) -> list[np.ndarray]:
    """Give the weight along an axis for each tile, (min(tile, length),) float32; they add up to 1 at every pixel.

    The two-dimensional weight is the product of both axes' and adds up to 1 as well. Where a single tile lies, its
    weight is exactly 1.
    """
    first, tile = starts(length, tile, overlap), min(tile, length)
    ramp = np.minimum(np.arange(1, tile + 1), np.arange(tile, 0, -1)).astype(np.float32)  # falls off to both ends
    total = np.zeros(length, np.float32)
    for start in first:
        total[start : start + tile] += ramp
    return [ramp / total[start : start + tile] for start in first]
