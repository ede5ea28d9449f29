"""The weights of tiles as tensors, and how their blended scores come together."""

from __future__ import annotations

import torch
from torch import Tensor

from runtime.tiles import starts
from runtime.tiles import weights as arrays


def weights(length: int, tile: int, overlap: float) -> list[Tensor]:
    """Give `runtime.tiles.weights` as tensors."""
    return [torch.from_numpy(weight) for weight in arrays(length, tile, overlap)]


class TileBlend:
    """Weighted sum of tiles, which come row by row and from left to right; what no further tile covers comes out.

    It holds the sums of one tile, and of the rows that two rows of tiles have in common: not those of an image.
    """

    def __init__(self, size: tuple[int, int], tile: int, overlap: float) -> None:
        """Lay tiles over an image of `size` (H, W)."""
        self.width = size[1]
        self.rows, self.columns = (min(tile, length) for length in size)
        self.tops, self.lefts = (starts(length, tile, overlap) for length in size)
        self._down, self._across = (weights(length, tile, overlap) for length in size)
        self._over, self._beside = _shared(self.tops, self.rows), _shared(self.lefts, self.columns)
        self._above: Tensor | None = None  # (K, rows in common, W)
        self._tile: Tensor | None = None  # (K, rows, columns)

    def weight(self, row: int, column: int) -> Tensor:
        """(rows, columns): the weight of a tile."""
        return self._down[row][:, None] * self._across[column]

    def add(self, scores: Tensor, row: int, column: int) -> Tensor:
        """Add a tile's (K, rows, columns); gives the sums (K, h, w) from its corner on that are final, until the next.

        Each sum is taken in the order of the tiles.
        """
        if self._tile is None or self._above is None:
            self._tile = torch.zeros_like(scores, memory_format=torch.contiguous_format)
            self._above = scores.new_empty(scores.shape[0], max(self._over), self.width)
        sums, above, left = self._tile, self._above, self.lefts[column]
        beside, over = self._beside[column], self._over[row]  # columns of the tile before, rows of the tiles above
        if beside:
            sums[:, :, :beside] = sums[:, :, self.columns - beside :].clone()
        sums[:, over:, beside:] = 0
        sums[:, :over, beside:] = above[:, :over, left + beside : left + self.columns]
        sums.addcmul_(scores, self.weight(row, column).to(scores))
        final, done = self.rows - self._over[row + 1], self.columns - self._beside[column + 1]
        above[:, : self.rows - final, left : left + done] = sums[:, final:, :done]
        return sums[:, :final, :done]


def _shared(first: list[int], tile: int) -> list[int]:
    """Pixels that each tile on an axis shares with the one before; and 0 for the one behind the last."""
    return [0, *(tile - (b - a) for a, b in zip(first, first[1:], strict=False)), 0]


def most_shared(length: int, tile: int, overlap: float) -> int:
    """Give the largest number of pixels that two tiles on an axis have in common."""
    return max(_shared(starts(length, tile, overlap), min(tile, length)))
