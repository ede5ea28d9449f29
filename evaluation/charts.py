"""Line charts and the confusion matrix as SVG text. Colors are the page's CSS variables, so both themes fit."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 24
_LARGEST = 1e100  # a value beyond it is left out: no axis reaches so far


class Series(NamedTuple):
    """A line: its name, and points (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Give round numbers from the one at or below `low` to the one at or above `high`, about `count` steps."""
    if high - low < 1e-12:
        low, high = low - max(abs(low), 1.0) * 0.05, high + max(abs(high), 1.0) * 0.05
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def number(value: float) -> str:
    """Write short text of a number: 0.35, 1200, 2e-05."""
    return f"{value:.6g}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.2g}"


def line_chart(title: str, series: Sequence[Series], by: str = "epoch", colors: Sequence[int] = ()) -> str:
    """Draw an SVG with axes, one line a series and the last value at its end as a tooltip.

    `by`: what the x axis counts. `colors`: the number of each line's CSS class; by default s0, s1, ...
    """
    series = [Series(s.name, [p for p in s.points if abs(p[1]) < _LARGEST]) for s in series]
    numbers = [n for n, s in zip(colors or range(len(series)), series, strict=True) if s.points]
    series = [s for s in series if s.points]
    points = [p for s in series for p in s.points]
    if not points:
        return ""
    ys = nice_ticks(min(p[1] for p in points), max(p[1] for p in points))
    x_low, x_high = min(p[0] for p in points), max(p[0] for p in points)

    def x(value: float) -> float:
        return LEFT + (value - x_low) / max(x_high - x_low, 1e-12) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - ys[0]) / (ys[-1] - ys[0]) * (HEIGHT - TOP - BOTTOM)

    label = html.escape(f"{title} by {by}, last {', '.join(f'{s.name} {number(s.points[-1][1])}' for s in series)}")
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">']
    for tick in ys:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{number(tick)}</text>')
    for tick in sorted({round(t) for t in nice_ticks(x_low, x_high, 5) if x_low <= round(t) <= x_high} or {x_low}):
        parts.append(f'<text x="{x(tick):.1f}" y="{HEIGHT - 7}" text-anchor="middle">{number(tick)}</text>')
    for i, one in zip(numbers, series, strict=True):
        parts.append(_line(i, [(x(a), y(b)) for a, b in one.points], f"{one.name}: {number(one.points[-1][1])}"))
    return "".join([*parts, "</svg>"])


def _line(index: int, points: Sequence[tuple[float, float]], tip: str) -> str:
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    a, b = points[-1]
    dot = f'<circle class="dot s{index}" cx="{a:.1f}" cy="{b:.1f}" r="3"><title>{html.escape(tip)}</title></circle>'
    return f'<polyline class="line s{index}" points="{path}"/>{dot}'


def confusion_chart(shares: np.ndarray, names: Sequence[str]) -> str:
    """Draw each row's shares (K, K), rows truth, in 0..1 or NaN, right ones in one hue, wrong ones in another.

    Opacity is the square root of the share, so that rare confusions are visible; up to 30 classes have numbers.
    """
    k, cell = len(names), 24 if len(names) <= 30 else 12
    margin = 14 + round(6.2 * max(map(len, names)))
    size = margin + k * cell
    label = "Confusion matrix: rows are the truth, columns the prediction"
    box = f'viewBox="0 0 {size + 4} {size + 4}" width="{size + 4}"'
    parts = [f'<svg class="confusion" {box} role="img" aria-label="{label}">']
    for i, name in enumerate(names):
        text, middle = html.escape(name), margin + i * cell + cell / 2
        parts.append(f'<text x="{margin - 6}" y="{middle + 3.5:.1f}" text-anchor="end">{text}</text>')
        at = f"{middle + 3.5:.1f} {margin - 6}"
        parts.append(f'<text transform="translate({at}) rotate(-90)">{text}</text>')
        parts.append(f'<rect class="row" x="{margin}" y="{margin + i * cell}" width="{k * cell}" height="{cell - 1}"/>')
    for row, column in np.argwhere(np.nan_to_num(shares) >= 0.005).tolist():
        parts.append(_cell(row, column, float(shares[row, column]), names, margin, cell))
    return "".join([*parts, "</svg>"])


def _cell(row: int, column: int, share: float, names: Sequence[str], margin: int, cell: int) -> str:
    x, y = margin + column * cell, margin + row * cell
    kind = "right" if row == column else "wrong"
    tip = html.escape(f"{100 * share:.1f} % of {names[row]} called {names[column]}")
    rect = (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" '
        f'fill-opacity="{math.sqrt(share):.2f}"><title>{tip}</title></rect>'
    )
    if cell < 20 or share < 0.01:
        return rect
    strong = " on" if share > 0.4 else ""
    return f'{rect}<text class="n{strong}" x="{x + (cell - 1) / 2}" y="{y + cell / 2 + 2.5}">{100 * share:.0f}</text>'
