"""Outlines of flat shapes, and their way onto a plane of an object."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Points = list[tuple[float, float]]


def flat(points: Sequence[tuple[float, float]]) -> np.ndarray:
    """(N, 2) of (x, y) -> (N, 3) on the plane z = 0: what one sees from the front."""
    array = np.zeros((len(points), 3))
    array[:, :2] = points
    return array


def side(points: Sequence[tuple[float, float]], x: float = 0.0) -> np.ndarray:
    """(N, 2) of (z, y) -> (N, 3) on the plane x: what one sees from the side."""
    array = np.full((len(points), 3), x)
    array[:, [2, 1]] = points
    return array


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Points:
    """List the corners of an upright rectangle."""
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def oval(cx: float, cy: float, rx: float, ry: float, corners: int = 14) -> Points:
    """List the corners of an ellipse."""
    angles = [2 * math.pi * i / corners for i in range(corners)]
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


def ring(cx: float, cy: float, outer: float, inner: float, corners: int = 18) -> Points:
    """Make a keyhole polygon: the area between two circles."""
    angles = [2 * math.pi * i / corners for i in range(corners + 1)]
    out = [(cx + outer * math.cos(a), cy + outer * math.sin(a)) for a in angles]
    back = [(cx + inner * math.cos(a), cy + inner * math.sin(a)) for a in reversed(angles)]
    return out + back


def bar(a: tuple[float, float], b: tuple[float, float], wide_a: float, wide_b: float | None = None) -> Points:
    """Make a strip from `a` to `b` of the given widths."""
    wide_b = wide_a if wide_b is None else wide_b
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = max(float(np.hypot(dx, dy)), 1e-6)
    nx, ny = -dy / length / 2, dx / length / 2
    return [
        (a[0] + nx * wide_a, a[1] + ny * wide_a),
        (b[0] + nx * wide_b, b[1] + ny * wide_b),
        (b[0] - nx * wide_b, b[1] - ny * wide_b),
        (a[0] - nx * wide_a, a[1] - ny * wide_a),
    ]


def patch(quad: np.ndarray, a0: float, b0: float, a1: float, b1: float) -> np.ndarray:
    """Cut part of a quad (bottom-left, bottom-right, top-right, top-left) between fractions of width a and height b."""
    a = np.array([a0, a1, a1, a0])[:, None]
    b = np.array([b0, b0, b1, b1])[:, None]
    return (1 - b) * ((1 - a) * quad[0] + a * quad[1]) + b * ((1 - a) * quad[3] + a * quad[2])
