"""The weights of tiles as tensors, and the band of rows in which their blended scores come together."""

from __future__ import annotations

import torch
from torch import Tensor

from runtime import tiles


def weights(length: int, tile: int, overlap: float) -> list[Tensor]:
    """Give `runtime.tiles.weights` as tensors."""
    return [torch.from_numpy(weight) for weight in tiles.weights(length, tile, overlap)]


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
