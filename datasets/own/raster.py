"""Outlines to pixels, exactly: a pixel belongs to an object where its center does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from datasets.own.shapes import Mask, Shape

Box = tuple[int, int, int, int]  # top, left, bottom, right
_AT_ONCE = 1 << 24  # pixels of an outline's box that are worked on together


def paint(label: np.ndarray, shape: Shape, value: int) -> None:
    """Draw an object into a label (H, W)."""
    if shape.mask is not None:
        _paint_mask(label, shape.mask, value)
        return
    # Rings without holes are united by drawing one after the other.
    for rings in [shape.rings] if shape.holes else [(ring,) for ring in shape.rings]:
        for box in _boxes(rings, label.shape):
            inside = _union(rings, box, shape.closed)
            inside &= ~_union(shape.holes, box, shape.closed)
            label[box[0] : box[2], box[1] : box[3]][inside] = value


def area(shape: Shape) -> float:
    """Measure an object in pixels: outlines by their points, also outside of the image, masks by their pixels."""
    if shape.mask is not None:
        return float(np.count_nonzero(shape.mask.pixels()))
    return sum(map(_area, shape.rings)) - sum(map(_area, shape.holes))


def _area(ring: np.ndarray) -> float:
    x, y = (ring - ring[0]).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _paint_mask(label: np.ndarray, mask: Mask, value: int) -> None:
    (height, width), left, top = label.shape, mask.left, mask.top
    inside = mask.pixels()[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)]
    if inside.size:
        top, left = max(top, 0), max(left, 0)
        label[top : top + inside.shape[0], left : left + inside.shape[1]][inside] = value


def _boxes(rings: Sequence[np.ndarray], size: tuple[int, ...]) -> list[Box]:
    """Cut the part of an image (H, W) in which outlines lie into bands of rows."""
    every = np.concatenate(rings)
    left, top = np.clip(np.floor(every.min(0)), 0, (size[1], size[0])).astype(int).tolist()
    right, bottom = np.clip(np.floor(every.max(0)) + 1, 0, (size[1], size[0])).astype(int).tolist()
    step = max(1, _AT_ONCE // max(right - left, 1))
    return [(row, left, min(row + step, bottom), right) for row in range(top, bottom, step)] if right > left else []


def _union(rings: Sequence[np.ndarray], box: Box, closed: bool) -> np.ndarray:
    """Fill each outline within a box by the even-odd rule: (h, w) bool of what is in any."""
    inside = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
    for ring in rings:
        inside |= _even_odd(ring, box)
        if closed:
            _add_outline(inside, ring, box)
    return inside


def _edges(ring: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the upper and the lower end of each edge, so that a common edge of two outlines is computed alike."""
    one, other = ring, np.roll(ring, -1, axis=0)
    down = (one[:, 1] < other[:, 1]) | ((one[:, 1] == other[:, 1]) & (one[:, 0] <= other[:, 0]))
    return np.where(down[:, None], one, other), np.where(down[:, None], other, one)


def _crossings(upper: np.ndarray, lower: np.ndarray, first: np.ndarray, last: np.ndarray) -> Iterator[np.ndarray]:
    """Give (2, N) of rows and x where edges cross the centers of their rows from `first` to the one before `last`.

    So many edges at a time that memory stays small.
    """
    count = np.maximum(last - first, 0)
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    parts = np.split(np.arange(len(count)), np.searchsorted(ends, np.arange(_AT_ONCE, total, _AT_ONCE)))
    for part in parts:
        own = count[part]
        edge = np.repeat(part, own)
        row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(own) - own, own)
        (x0, y0), (x1, y1) = upper[edge].T, lower[edge].T
        yield np.stack([row, x0 + (row + 0.5 - y0) * ((x1 - x0) / (y1 - y0))])


def _even_odd(ring: np.ndarray, box: Box) -> np.ndarray:
    """Tell of each pixel whether the outline lies an odd number of times between its center and the left border."""
    top, left, bottom, right = box
    upper, lower = _edges(ring)
    # Rows whose centers are in [y0, y1): an end that two edges share counts once.
    first, last = (np.clip(np.ceil(end[:, 1] - 0.5), top, bottom).astype(np.int64) for end in (upper, lower))
    turns = np.zeros((bottom - top, right - left + 1), np.uint8)
    for row, x in _crossings(upper, lower, first, last):
        column = np.clip(np.ceil(x - 0.5), left, right)  # the first pixel at the right of the crossing
        np.bitwise_xor.at(turns, ((row - top).astype(int), (column - left).astype(int)), 1)
    return np.bitwise_xor.accumulate(turns, axis=1)[:, :-1].view(bool)


def _add_outline(inside: np.ndarray, ring: np.ndarray, box: Box) -> None:
    """Add the pixels whose centers lie on the outline."""
    top, left, bottom, right = box
    upper, lower = _edges(ring)
    level = upper[:, 1] == lower[:, 1]
    above, below = upper[~level], lower[~level]
    first = np.clip(np.ceil(above[:, 1] - 0.5), top, bottom).astype(np.int64)
    last = np.clip(np.floor(below[:, 1] - 0.5) + 1, top, bottom).astype(np.int64)
    for row, x in _crossings(above, below, first, last):
        column = np.floor(x)
        hit = (np.abs(x - 0.5 - column) < 1e-9) & (column >= left) & (column < right)
        inside[(row[hit] - top).astype(int), (column[hit] - left).astype(int)] = True
    for (x0, y), (x1, _) in zip(upper[level], lower[level], strict=True):
        if top <= y < bottom and y % 1 == 0.5:
            columns = np.clip([np.ceil(x0 - 0.5), np.floor(x1 - 0.5) + 1], left, right).astype(int) - left
            inside[int(y) - top, columns[0] : columns[1]] = True
