"""One self-contained HTML page of a comparison: verdicts, curves, classes, calibration, conditions, sizes, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from evaluation import pages, verdict
from evaluation.calibration import calibration_error, reliability
from evaluation.charts import Series, line_chart
from evaluation.comparison import MEAN, Comparison, Difference, words_of_checkpoints
from evaluation.comparison_charts import Estimate, Reliability, difference_chart, reliability_chart
from evaluation.imagecounts import WHOLE
from evaluation.objects import SIZES
from evaluation.pages import css_color, data_uri
from evaluation.sequences import sequences
from utils.files import write_file
from utils.names import shown, valid
from utils.plural import percent

COLORS = 8  # that the page has for recipes
SEQUENCES, POINTS, CHANGES = 6, 200, 16  # sequences, points of a curve, and options that are shown at most
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class RunRow:
    """A run: its name, the place of its recipe, its seed and checkpoint, and its curves by title.

    `temperature`: the fitted one; `bins`: (BINS, 3) as the network is, `crossed`: after a temperature that the other
    half of the images has told.
    """

    name: str
    entry: int
    seed: str
    checkpoint: str
    figures: np.ndarray
    curves: Mapping[str, Points]
    temperature: float
    bins: np.ndarray
    crossed: np.ndarray


@dataclass(frozen=True)
class Pictures:
    """An image that two recipes treat differently: its name, facts, and {caption: PNG or JPEG}."""

    name: str
    facts: str
    panels: Mapping[str, bytes]


@dataclass(frozen=True)
class PageData:
    """All that the page shows. `changes`: by recipe, (option, value of the first recipe, its own); `notes`: what the
    reader has to know; `images`: names of the images in their order.
    """

    title: str
    date: str
    command: str
    comparison: Comparison
    palette: Sequence[tuple[int, int, int]]
    runs: Sequence[RunRow]
    spread: str
    images: Sequence[str] = ()
    changes: Mapping[str, Sequence[tuple[str, str, str]]] = field(default_factory=dict)
    pictures: Sequence[Pictures] = ()
    notes: Sequence[str] = ()


def write_page(path: Path, data: PageData, known: str) -> None:
    """Write the page, which ends in its mark, replacing an older one whole or not at all. UserError if it cannot be."""
    write_file(path, f"{valid(render(data))}\n{known}\n".encode())


def render(data: PageData) -> str:
    """Write the page as text. Pure: the same data give the same page."""
    of = data.comparison
    view: dict[str, Any] = {
        "data": data,
        "keys": [(f"s{i}", entry.name) for i, entry in enumerate(of.entries)],
        "verdicts": [verdict_card(one) for one in of.differences],
        "summary": summary_rows(data),
        "curves": curve_charts(data),
        "classes": [(one.name, Markup(class_chart(of, one)), class_rows(of, i))
                    for i, one in enumerate(of.differences)],
        "swatches": [css_color(color) for color in data.palette],
        "reliability": reliability_charts(data),
        "conditions": condition_rows(of),
        "sizes": size_rows(of),
        "sequences": sequence_charts(data),
        "changes": [(name, found[:CHANGES], max(0, len(found) - CHANGES)) for name, found in data.changes.items()],
        "pictures": [(shown(one.name), one.facts, [(caption, data_uri(image)) for caption, image in one.panels.items()])
                     for one in data.pictures],
    }  # fmt: skip
    return pages.render("comparison.html.j2", view)


def verdict_card(one: Difference) -> dict[str, str]:
    """Make the card of a verdict: its kind, heading, figures and what holds of the checkpoints alone."""
    value, margin = 100 * one.value[MEAN], 100 * one.margin[MEAN]
    kind = "better" if value > 0 else "worse"
    heading = f"{one.name} is {kind} than {one.first}" if one.differs else "No difference"
    return {
        "kind": kind if one.differs else "",
        "heading": heading,
        "pair": f"{one.name} against {one.first}",
        "figures": f"{value:+.2f} points of mean IoU, margin ±{margin:.2f}",
        "alone": words_of_checkpoints(one),
    }


def summary_rows(data: PageData) -> list[dict[str, Any]]:
    """Give a row a run: its names and figures, in percent."""
    found = []
    for run in data.runs:
        mean, outline, accuracy, error = (percent(x) for x in run.figures[: len(WHOLE)])
        after = percent(float(calibration_error(run.crossed)))
        cells = [mean, outline, accuracy, error, f"{run.temperature:.2f}", after]
        found.append({"color": run.entry, "name": run.name, "seed": run.seed, "file": run.checkpoint, "cells": cells})
    return found


def curve_charts(data: PageData) -> list[tuple[str, Markup]]:
    """Give (title, SVG) of each curve, a line a run in the color of its recipe."""
    found = []
    for title in dict.fromkeys(title for run in data.runs for title in run.curves):
        runs = [run for run in data.runs if len(run.curves.get(title, ())) > 1]
        series = [Series(run.name, thinned(run.curves[title])) for run in runs]
        by = "step" if title == "Learning rate" else "epoch"
        chart = line_chart(title, series, by, [run.entry for run in runs])
        found += [(f"{title} by {by}", Markup(chart))] if chart else []
    return found


def thinned(points: Points) -> Points:
    """Give at most POINTS points, each the mean of its neighbors."""
    every = -(-len(points) // POINTS)
    parts = [points[i : i + every] for i in range(0, len(points), every)]
    return [(part[-1][0], float(np.mean([y for _, y in part]))) for part in parts] if every > 1 else points


def class_chart(of: Comparison, one: Difference) -> str:
    """Draw the differences of the classes, in points, with their intervals over images."""
    rows = []
    for k, name in enumerate(of.classes):
        column = len(WHOLE) + k
        value, (low, high) = 100 * one.value[column], 100 * one.images[:, column]
        kind = ("better" if value > 0 else "worse") if one.p[column] < verdict.LEVEL else ""
        rows.append(Estimate(name, value, low, high, kind))
    return difference_chart(f"IoU of each class, {one.name} less {one.first}, in points", rows)


def class_rows(of: Comparison, place: int) -> list[list[str]]:
    """Give (class, IoU of the first and of this recipe, difference, interval, p, the same of the boundary IoU)."""
    one, first, other = of.differences[place], of.values[0], of.values[place + 1]
    found = []
    for k, name in enumerate(of.classes):
        cells = [name]
        for column in (len(WHOLE) + k, len(WHOLE) + len(of.classes) + k):
            cells += [percent(first[column]), percent(other[column]), *_difference(one, column)]
        found.append(cells)
    return found


def _difference(one: Difference, column: int) -> list[str]:
    """Write a difference in points, its interval over images, and whether it is one."""
    value, (low, high), p = 100 * one.value[column], 100 * one.images[:, column], one.p[column]
    if np.isnan(value):
        return ["-", "-", "-"]
    return [
        f"{value:+.2f}",
        f"{low:+.2f} to {high:+.2f}",
        "-" if np.isnan(p) else f"{p:.3f}" if p >= 0.001 else "< 0.001",
    ]


def reliability_charts(data: PageData) -> list[tuple[str, Markup, str]]:
    """Give (name, SVG, words) of each recipe: its first run before and after a temperature."""
    found = []
    for place, entry in enumerate(data.comparison.entries):
        run = next(run for run in data.runs if run.entry == place)
        lines = [Reliability("as it is", reliability(run.bins), place)]
        lines += [Reliability("with a temperature", reliability(run.crossed), place, dashed=True)]
        before, after = (percent(float(calibration_error(bins))) for bins in (run.bins, run.crossed))
        said = f"calibration error {before} %, with temperature {run.temperature:.2f} {after} %"
        found.append((entry.name, Markup(reliability_chart(lines)), said))
    return found


def condition_rows(of: Comparison) -> list[list[str]]:
    """Give (condition, mean IoU of the first recipe, then of each other with the difference's interval over images)."""
    found = []
    for name, (values, intervals) in of.conditions.items():
        cells = [name, percent(values[0])]
        for value, (low, high) in zip(values[1:], intervals[1:], strict=True):
            cells += [percent(value), f"{100 * low:+.2f} to {100 * high:+.2f}"]
        found.append(cells)
    return found


def size_rows(of: Comparison) -> list[list[str]]:
    """Give (size, share found by the first recipe, then by each other with the difference's interval over images)."""
    found, start = [], len(of.names) - len(SIZES)
    for i, size in enumerate(SIZES):
        cells = [size, percent(of.values[0][start + i])]
        for one, values in zip(of.differences, of.values[1:], strict=True):
            cells += [percent(values[start + i]), _difference(one, start + i)[1]]
        found.append(cells)
    return found


def sequence_charts(data: PageData) -> list[tuple[str, Markup]]:
    """Give (sequence, SVG) of the longest sequences: the mean IoU of each frame by itself, a line a recipe."""
    scores = [100 * np.stack([run.image_scores() for run in entry.runs]).mean(0) for entry in data.comparison.entries]
    found = sorted(sequences(data.images).items(), key=lambda one: -len(one[1]))[:SEQUENCES]
    charts = []
    for name, frames in found:
        series = [Series(entry.name, thinned([(frame, float(values[i])) for frame, i in frames if values[i] >= 0]))
                  for entry, values in zip(data.comparison.entries, scores, strict=True)]  # fmt: skip
        charts.append((shown(name), Markup(line_chart(f"Mean IoU along {shown(name)}", series, "frame"))))
    return charts
