"""Charts of a comparison as SVG text: differences with their intervals, and how often a network is right when sure."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from evaluation.charts import nice_ticks, number

WIDTH, ROW, TOP, RIGHT = 640, 20, 6, 14
SIDE, EDGE = 300, 34  # of the square of a reliability diagram, and of its margin


class Estimate(NamedTuple):
    """A row of a chart of differences: its name, the value, its interval, and "better", "worse" or "" for neither."""

    name: str
    value: float
    low: float
    high: float
    kind: str


def difference_chart(title: str, rows: Sequence[Estimate]) -> str:
    """Draw an SVG with a row an estimate: a dot with its interval, and the line of no difference."""
    rows = [row for row in rows if math.isfinite(row.value)]
    if not rows:
        return ""
    ends = [x for row in rows for x in (row.value, row.low, row.high, 0.0) if math.isfinite(x)]
    ticks = nice_ticks(min(ends), max(ends), 6)
    left, bottom = 14 + round(6.4 * max(len(row.name) for row in rows)), TOP + ROW * len(rows)

    def x(value: float) -> float:
        return left + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (WIDTH - left - RIGHT)

    box, label = f'viewBox="0 0 {WIDTH} {bottom + 22}"', html.escape(title)
    parts = [f'<svg class="chart differences" {box} role="img" aria-label="{label}">']
    for tick in ticks:
        zero = " zero" if abs(tick) < 1e-12 else ""
        parts.append(f'<line class="grid{zero}" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{bottom + 15}" text-anchor="middle">{number(round(tick, 9))}</text>')
    for i, row in enumerate(rows):
        y = TOP + ROW * i + ROW / 2
        known = f" ({row.low:+.2f} to {row.high:+.2f})" if math.isfinite(row.low) else ""
        tip = html.escape(f"{row.name}: {row.value:+.2f}{known}")
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{html.escape(row.name)}</text>')
        parts.append(f'<g class="estimate {row.kind}"><title>{tip}</title>')
        if math.isfinite(row.low):
            parts.append(f'<line x1="{x(row.low):.1f}" x2="{x(row.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<circle cx="{x(row.value):.1f}" cy="{y:.1f}" r="4"/></g>')
    return "".join([*parts, "</svg>"])


class Reliability(NamedTuple):
    """A line of a reliability diagram: its name, points (mean probability, share of right pixels), the number of its
    color, and whether it is dashed.
    """

    name: str
    points: Sequence[tuple[float, float]]
    color: int
    dashed: bool = False


def reliability_chart(lines: Sequence[Reliability]) -> str:
    """Draw an SVG of how often pixels are right against how sure the network is; the diagonal is a calibrated one."""

    def x(value: float) -> float:
        return EDGE + value * (SIDE - EDGE - RIGHT)

    def y(value: float) -> float:
        return SIDE - EDGE - value * (SIDE - EDGE - RIGHT)

    label = html.escape(f"Reliability of {', '.join(line.name for line in lines)}")
    parts = [f'<svg class="chart square" viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="{label}">']
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<line class="grid" x1="{x(0)}" x2="{x(1)}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text x="{x(0) - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
        parts.append(f'<text x="{x(tick):.1f}" y="{y(0) + 15}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<line class="ideal" x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"/>')
    for line in lines:
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line.points)
        dashed = " dashed" if line.dashed else ""
        tip = html.escape(line.name)
        parts.append(f'<polyline class="line s{line.color}{dashed}" points="{path}"><title>{tip}</title></polyline>')
        dots = "" if line.dashed else "".join(
            f'<circle class="dot s{line.color}" cx="{x(a):.1f}" cy="{y(b):.1f}" r="2.5"/>' for a, b in line.points
        )  # fmt: skip
        parts.append(dots)
    return "".join([*parts, "</svg>"])
