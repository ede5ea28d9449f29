"""Bilinear resizing of maps: the one place that says how; and lengths of what is resized."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def resize(x: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Bilinear (N, C, h, w) -> (N, C, *size); the same tensor when it has that size already.

    The ratio is taken from the two sizes, so a size that was rounded down still covers the whole map.
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=align_corners)


def traced() -> bool:
    """Whether a graph is made of what runs, to be compiled or exported: for maps of other sizes, too."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined]


def side_by_side(maps: Sequence[Tensor], align_corners: bool = False) -> Tensor:
    """Maps at the size of the first, behind each other: (N, C_i, h_i, w_i) -> (N, sum of C_i, h_0, w_0).

    Without gradients each enlarged map is let go of before the next is made.
    """
    size = maps[0].shape[-2:]
    if torch.is_grad_enabled() or traced():
        return torch.cat([resize(x, size, align_corners) for x in maps], dim=1)
    layout = torch.channels_last if maps[0].stride(1) == 1 else torch.contiguous_format
    shape, place = (len(maps[0]), sum(x.shape[1] for x in maps), *size), 0
    joined = torch.empty(shape, dtype=maps[0].dtype, device=maps[0].device, memory_format=layout)
    for x in maps:
        joined[:, place : place + x.shape[1]] = resize(x, size, align_corners)
        place += x.shape[1]
    return joined


def composes(small: Sequence[int], large: Sequence[int], target: Sequence[int], align_corners: bool = False) -> bool:
    """Whether enlarging from `small` to `large` and halving that to `target` is exactly one enlargement.

    Halving takes the mean of two neighbors. It is the value in their middle where both lie between the same two pixels
    of the small map: if a pixel has become a multiple of four. So up 4, down 2 is up 2; up 2, down 2 is not nothing.
    """
    sides = zip(small, large, target, strict=True)
    return not align_corners and all(big % (4 * little) == 0 and big == 2 * end for little, big, end in sides)


def resize_by(x: Tensor, scale: float, align_corners: bool = False, exact: bool = False) -> Tensor:
    """Bilinear (N, C, h, w) -> (N, C, floor(h * scale), floor(w * scale)), no side below 1.

    `exact`: pixels lie 1 / scale apart even where that size is rounded down; else the ratio is taken from
    the two sizes. Where h * scale and w * scale are whole there is no difference.
    """
    height, width = (math.floor(side * scale) for side in x.shape[-2:])
    if not exact or scale == 1:
        return resize(x, (at_least_one(height), at_least_one(width)), align_corners)
    if height < 1 or width < 1:  # the last row or column once more, until a pixel of the result lies inside
        least = math.ceil(1 / scale)
        missing = [max(0, least - side) for side in x.shape[-2:]]
        x = F.pad(x, (0, missing[1], 0, missing[0]), mode="replicate")
    return F.interpolate(
        x, scale_factor=scale, mode="bilinear", align_corners=align_corners, recompute_scale_factor=False
    )


def at_least_one(side: int) -> int:
    """`side`, or 1 where a scale has left nothing of it. A side that an exported network takes as it comes stays so."""
    return torch.sym_max(side, 1)  # type: ignore[return-value]


def short_side_scale(size: Sequence[int], short: float, longest: float) -> float:
    """Scale at which an image of `size` (H, W) has its short side at `short`, or its long one at `longest`.

    The smaller of the two, as published with Zhou et al., arXiv:1608.05442.
    """
    return min(short / min(size), longest / max(size))


def rounded_up(length: int, multiple: int) -> int:
    """Give the next multiple, or `length` where it is one."""
    return (length + multiple - 1) // multiple * multiple
