"""Tiles that come together: bit by bit what all of them give, added up one after another."""

from __future__ import annotations

import pytest
import torch

from inference.tiles import TileBlend, most_shared, starts, weights


@pytest.mark.parametrize("size", [(70, 100), (64, 64), (30, 200), (129, 65), (64, 127)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.8])
def test_sums_are_those_of_a_whole_map(size: tuple[int, int], overlap: float) -> None:
    tile, draw = 64, torch.Generator().manual_seed(0)
    blend = TileBlend(size, tile, overlap)
    want, got = torch.zeros(3, *size), torch.full((3, *size), torch.nan)
    down, across = (weights(length, tile, overlap) for length in size)
    for i, top in enumerate(blend.tops):
        for j, left in enumerate(blend.lefts):
            scores = torch.randn(3, blend.rows, blend.columns, generator=draw)
            part = want[:, top : top + blend.rows, left : left + blend.columns]
            part.addcmul_(scores, down[i][:, None] * across[j])
            ready = blend.add(scores, i, j)
            assert got[:, top : top + ready.shape[1], left : left + ready.shape[2]].isnan().all(), "decided twice"
            got[:, top : top + ready.shape[1], left : left + ready.shape[2]] = ready
    assert torch.equal(got, want)


def test_what_is_kept_is_a_tile_and_shared_rows() -> None:
    blend = TileBlend((1000, 3000), 100, 0.25)
    blend.add(torch.zeros(5, 100, 100), 0, 0)
    assert blend._tile is not None and blend._above is not None
    assert blend._tile.shape == (5, 100, 100) and blend._above.shape == (5, most_shared(1000, 100, 0.25), 3000)
    assert most_shared(1000, 100, 0.25) == 25 and most_shared(1001, 100, 0.25) == 99  # the last one is shifted inside
    assert most_shared(50, 100, 0.25) == 0 == starts(50, 100, 0.25)[0]
