"""Colors for classes that have none of their own."""

from __future__ import annotations

import colorsys


def distinct(count: int) -> tuple[tuple[int, int, int], ...]:
    """Make `count` RGB colors all round the circle of hues, neighbors of different strength."""
    hues = [colorsys.hsv_to_rgb(k / count, 0.5 + k % 2 / 2, 0.9 - k % 3 / 4) for k in range(count)]
    return tuple((int(255 * r), int(255 * g), int(255 * b)) for r, g, b in hues)
