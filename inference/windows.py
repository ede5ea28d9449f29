"""A scaled input in windows: the network sees one at a time, and where windows overlap their outputs are averaged.

N batch, C channels, h x w scaled input. Tiles (`inference.tiles`) cut an image before it is scaled, so that it fits
into memory; windows belong to a published way of evaluating and cut what has been scaled, and mirrored, already.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from runtime.tiles import starts
from utils.positions import in_units_of
from utils.resize import resize


class Box(NamedTuple):
    """Pixels left <= x < right, top <= y < bottom."""

    left: int
    top: int
    right: int
    bottom: int


def square(window: int, scale: float) -> tuple[int, int]:
    """Windows (h, w) at a scale: they grow with an enlarged image, and do not shrink with a small one."""
    side = int(window * max(scale, 1.0))
    return side, side


def boxes(size: tuple[int, int], window: tuple[int, int], overlap: float) -> list[Box]:
    """Lay windows over an input of `size` (h, w), column by column; a larger one than the input ends with it."""
    (height, width), (high, wide) = size, window
    places = itertools.product(starts(width, wide, overlap), starts(height, high, overlap))
    return [Box(x, y, min(x + wide, width), min(y + high, height)) for x, y in places]


def counts(size: tuple[int, int], found: Sequence[Box]) -> Tensor:
    """(1, 1, h, w): windows over each pixel."""
    number = torch.zeros(1, 1, *size)
    for box in found:
        number[..., box.top : box.bottom, box.left : box.right] += 1
    return number


def published_counts(size: tuple[int, int], found: Sequence[Box], classes: int) -> Tensor:
    """(1, K, h, 1): the published array is (K, h, w), but rows index its classes and columns its rows.

    Rows beyond the width of a high image stay 0 there and are divided by; here they count 1.
    """
    number = torch.zeros(1, classes, size[0], 1)
    for box in found:
        number[:, box.top : box.bottom, box.left : box.right] += 1
    return number.clamp_(min=1)


def over_windows(
    forward: Callable[[Tensor], dict[str, Tensor]],
    x: Tensor,
    window: tuple[int, int],
    overlap: float,
    align_corners: bool = False,
    published: bool = False,
) -> dict[str, Tensor]:
    """Run `forward` over windows of `x` (N, 3, h, w), each resized to its window: {name: (N, C, h, w)}.

    `published`: scores "pred" divided by `published_counts` instead of `counts`.
    """
    size = int(x.shape[-2]), int(x.shape[-1])
    found = boxes(size, window, overlap)
    if len(found) == 1:
        return forward(x)
    sums: dict[str, Tensor] = {}
    for box in found:
        place = (..., slice(box.top, box.bottom), slice(box.left, box.right))
        for name, value in forward(x[place]).items():
            value = value.float() if value.dtype in (torch.half, torch.bfloat16) else value
            if name not in sums:
                sums[name] = value.new_zeros(*value.shape[:2], *size)
            value = resize(value, (box.bottom - box.top, box.right - box.left), align_corners)
            sums[name][place] += in_units_of(size, name, value)
    number = counts(size, found)
    for name, total in sums.items():
        by = published_counts(size, found, total.shape[1]) if published and name == "pred" else number
        total.div_(by.to(total))
    return sums
