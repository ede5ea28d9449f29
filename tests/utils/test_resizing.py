"""Resizes that are one, and maps joined one by one."""

import pytest
import torch
import torch.nn.functional as F

from inference.memory import PeakTracker
from utils.resize import composes, side_by_side


def enlarged_and_halved(x: torch.Tensor, factor: int, align_corners: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """In two steps, and in one."""
    large, target = [[side * k for side in x.shape[-2:]] for k in (factor, factor // 2)]
    once = F.interpolate(x, target, mode="bilinear", align_corners=align_corners)
    twice = F.interpolate(F.interpolate(x, large, mode="bilinear", align_corners=align_corners), target,
                          mode="bilinear", align_corners=align_corners)  # fmt: skip
    assert composes(x.shape[-2:], large, target, align_corners) == (factor % 4 == 0 and not align_corners)
    return twice, once


@pytest.mark.parametrize("factor", [4, 8, 12])
def test_enlarging_by_a_multiple_of_four_and_halving_is_one_resize(factor: int) -> None:
    x = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(*enlarged_and_halved(x, factor), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("factor", "align_corners"), [(2, False), (6, False), (4, True)])
def test_others_are_not(factor: int, align_corners: bool) -> None:
    x = torch.randn(1, 3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    twice, once = enlarged_and_halved(x, factor, align_corners)
    assert (twice - once).abs().max() > 1e-2


def test_sizes_have_to_fit() -> None:
    assert composes((16, 32), (64, 128), (32, 64))
    assert not composes((16, 32), (64, 130), (32, 65))  # the sides grow unlike
    assert not composes((16, 32), (64, 128), (43, 85))  # two thirds


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_maps_joined_one_by_one_are_those_joined_at_once(layout: torch.memory_format) -> None:
    maps = [torch.randn(2, 4 * 2**i, 32 // 2**i, 48 // 2**i).to(memory_format=layout) for i in range(4)]
    together = side_by_side(maps)
    with torch.no_grad(), PeakTracker() as tracker:
        joined = side_by_side(maps)
    assert torch.equal(joined, together) and joined.stride() == together.stride()
    assert tracker.peak < 1.6 * joined.nbytes
