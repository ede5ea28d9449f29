"""Tiles that cover an image, and the band of rows in which their blended scores come together."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def starts(length: int, tile: int, overlap: float) -> list[int]:
    """Give the first pixels of the tiles on an axis: every ceil(tile * (1 - overlap)), the last one shifted inside."""
    if length <= tile:
        return [0]
    stride = max(1, math.ceil(tile * (1 - overlap)))
    return [*range(0, length - tile, stride), length - tile]


def weights(length: int, tile: int, overlap: float) -> list[Tensor]:
    """Give the weight along an axis for each tile, (min(tile, length),) float32; they add up to 1 at every pixel.

    The two-dimensional weight is the product of both axes' and adds up to 1 as well. Where a single tile lies, its
    weight is exactly 1.
    """
    first, tile = starts(length, tile, overlap), min(tile, length)
    ramp = torch.minimum(torch.arange(1, tile + 1), torch.arange(tile, 0, -1)).float()  # falls off to both ends
    total = torch.zeros(length)
    for start in first:
        total[start : start + tile] += ramp
    return [ramp / total[start : start + tile] for start in first]


class RowAccumulator:
    """Weighted sum of tiles over a band of rows that moves down the image: memory of one row of tiles, not of all."""

    def __init__(self, width: int, rows: int) -> None:
        self.width = width
        self.rows = rows
        self._sum: Tensor | None = None

    def add(self, scores: Tensor, left: int, weight: Tensor) -> None:
        """Add a tile's (K, rows, w) from column `left` on, times `weight` (rows, w)."""
        if self._sum is None:
            self._sum = scores.new_zeros(scores.shape[0], self.rows, self.width)
        self._sum[:, :, left : left + scores.shape[2]].addcmul_(scores, weight.to(scores))

    def finished(self, rows: int) -> Tensor:
        """The topmost `rows` (K, rows, W), which no later tile covers. A view: valid until `advance`."""
        assert self._sum is not None
        return self._sum[:, :rows]

    def advance(self, rows: int) -> None:
        """Move down by `rows`; the rows that become free are zero."""
        assert self._sum is not None
        keep = self.rows - rows
        self._sum[:, :keep] = self._sum[:, rows:].clone()  # (K, keep, W); the two may overlap
        self._sum[:, keep:] = 0
