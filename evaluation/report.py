"""One self-contained HTML page a run: what was learned, how well, and what it looks like."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from markupsafe import Markup

from evaluation import pages
from evaluation.charts import Series, confusion_chart, line_chart
from evaluation.metrics import ALL_CLASSES, OVERALL, Scores, table_rows
from evaluation.pages import css_color, data_uri
from evaluation.sinks.base import Row, ScaleTable
from evaluation.sinks.conditions import iou_rows
from evaluation.sinks.coverage import Covered
from evaluation.sinks.scales import caption
from evaluation.sinks.seedmaps import NOTABLE
from utils.files import write_file
from utils.names import shown, valid
from utils.plural import percent

MAX_ROWS = 24
History = Sequence[Mapping[str, float]]
# Chart title -> (where, key in the history, name of the line).
CHARTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Loss": (("train", "loss", "training"), ("val", "loss", "validation")),
    "Mean IoU": (("val", "mean_iu", "validation"),),
    "Learning rate": (("train", "lr", "learning rate"),),
}


@dataclass(frozen=True)
class ReportData:
    """All that the page shows; what is empty is left out.

    `train`, `val`: rows of the history with `epoch` and scores (`loss`, `lr`; `mean_iu` in 0..1).
    `facts`: further tiles (name, value), for instance ("images", "500"). `note`: what differs from a plain
    evaluation, for instance tiles. `versions`: see `environment`. `rows`: pictures, the worst first.
    `coverage`: what of each class pseudo-labels have kept. `conditions`: scores in fog, at night, ... `scales`: what
    the scales of the network bring.
    """

    title: str
    command: str
    date: str
    class_names: Sequence[str]
    palette: Sequence[tuple[int, int, int]]
    scores: Scores | None = None
    rows: Sequence[Row] = ()
    train: History = ()
    val: History = ()
    facts: Sequence[tuple[str, str]] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    coverage: Sequence[Covered] = ()
    conditions: Mapping[str, Scores] = field(default_factory=dict)
    scales: ScaleTable | None = None


@dataclass(frozen=True)
class Bar:
    """A class in the bar chart: name, CSS color, width in percent, value as text."""

    name: str
    color: str
    width: str
    value: str


def write_page(run_dir: Path, data: ReportData) -> Path:
    """Write `report.html`, replacing an older one whole or not at all. UserError if it cannot be written."""
    path = run_dir / "report.html"
    write_file(path, valid(render(data)).encode())
    return path


def environment(device: torch.device | None = None) -> dict[str, str]:
    """Name versions and machine, for the page's last lines."""
    found = {"Python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    if device is not None and device.type == "cuda":
        found["device"] = f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    else:
        found["device"] = f"CPU, {torch.get_num_threads()} threads"
    return found | {"system": f"{platform.system()} {platform.machine()}"}


def render(data: ReportData) -> str:
    """Write the page as text. Pure: the same data give the same page."""
    scores = data.scores if data.scores is not None and data.scores.pixels else None
    view: dict[str, Any] = {
        "data": data,
        "tiles": tiles(data),
        "charts": charts(data),
        "bars": bars(data, scores) if scores else [],
        "confusion": Markup(confusion_chart(scores.normalized(), data.class_names)) if scores else "",
        "table": table_rows(scores, data.class_names) if scores else [],
        "categories": [(n, percent(v)) for n, v in scores.category_iou.items()] if scores else [],
        "legend": [(n, css_color(c)) for n, c in zip(data.class_names, data.palette, strict=True)],
        "rows": [picture_row(row) for row in data.rows[:MAX_ROWS]],
        "coverage": coverage_rows(data),
        "conditions": condition_rows(data),
        "scales": scale_rows(data),
        "scale_captions": [caption(name) for name in data.scales.scores] if data.scales else [],
        "notable": NOTABLE,
    }
    return pages.render("report.html.j2", view)


def tiles(data: ReportData) -> list[tuple[str, str]]:
    """Give (name, value) of the summary on top."""
    values: list[tuple[str, float]] = []
    if (scores := data.scores) is not None and scores.pixels:
        values += [("mean IoU", scores.mean_iu), ("pixel accuracy", scores.acc)]
        values += [("category IoU", scores.mean_category_iou)] if scores.categories else []
        values += [(ALL_CLASSES, scores.mean_iu_all), (OVERALL, scores.overall)]
    found = [(name, f"{percent(value)} %") for name, value in values]
    scored = [row for row in data.val if np.isfinite(row.get("mean_iu", np.nan))]
    if scored:
        best = max(scored, key=lambda row: row["mean_iu"])
        found.append(("best epoch", f"{best['epoch']:.0f} ({percent(best['mean_iu'])} %)"))
    return [*found, *data.facts]


def charts(data: ReportData) -> list[tuple[str, list[str], Markup]]:
    """Give (title, names of the lines, SVG) of the curves for which there are at least two points."""
    found = []
    for title, lines in CHARTS.items():
        series = []
        for where, key, name in lines:
            history = data.train if where == "train" else data.val
            points = [(row["epoch"], row[key]) for row in history if np.isfinite(row.get(key, np.nan))]
            series += [Series(name, points)] if points else []
        if series and max(len(s.points) for s in series) > 1:
            found.append((title, [s.name for s in series], Markup(line_chart(title, series))))
    return found


def bars(data: ReportData, scores: Scores) -> list[Bar]:
    """Give the IoU of each class, the best first, the undefined last."""
    order = sorted(range(len(data.class_names)), key=lambda k: -np.nan_to_num(scores.iou[k], nan=-1.0))
    return [bar(data.class_names[k], data.palette[k], scores.iou[k]) for k in order]


def bar(name: str, rgb: Sequence[int], share: float) -> Bar:
    """Give the bar of a class, as long as its share; none where that is undefined."""
    return Bar(name, css_color(rgb), f"{100 * np.nan_to_num(share):.2f}", percent(share))


def condition_rows(data: ReportData) -> list[tuple[str, list[str]]]:
    """Give (class, its IoU in each condition), the mean last."""
    rows = iou_rows(data.conditions, data.class_names) if data.conditions else []
    return [(name, [percent(value) for value in values]) for name, values in rows]


def scale_rows(data: ReportData) -> list[tuple[str, list[tuple[str, bool]]]]:
    """Give (what, its value by each way to predict, and whether that is the largest; none where all are equal)."""
    found = []
    for name, values in data.scales.rows(data.class_names) if data.scales else ():
        finite = {percent(value) for value in values if np.isfinite(value)}
        largest = max(finite, key=float) if len(finite) > 1 else ""
        found.append((name, [(percent(value), percent(value) == largest) for value in values]))
    return found


def coverage_rows(data: ReportData) -> list[tuple[Bar, list[str]]]:
    """Make each class's bar, the share of its pixels that was kept, and cells: share of all kept, pixels, images."""
    total = sum(one.kept for one in data.coverage)
    found = []
    for one, rgb in zip(data.coverage, data.palette if data.coverage else (), strict=True):
        kept = one.kept / one.predicted if one.predicted else np.nan
        share = percent(one.kept / total if total else np.nan)
        cells = [share, f"{one.kept:,}", f"{one.predicted:,}", f"{one.images:,}"]
        found.append((bar(one.name, rgb, kept), cells))
    return found


def picture_row(row: Row) -> dict[str, Any]:
    """Make a row for the template: title, facts, and its rows of pictures."""
    facts = [f"IoU {percent(row.mean_iu)} %"] if row.mean_iu is not None else []
    facts += [f"{percent(row.error_rate)} % of the pixels wrong"] if row.error_rate is not None else []
    return {
        "name": shown(row.name),
        "facts": facts,
        "panels": [panels(row, found) for found in (row.panels, row.seeds) if found],
    }


def panels(row: Row, found: Mapping[str, bytes]) -> list[tuple[str, str, str]]:
    """Give (caption, alternative text, data URI) of pictures of a row."""
    return [(caption, f"{caption} of {shown(row.name)}", data_uri(data)) for caption, data in found.items()]
