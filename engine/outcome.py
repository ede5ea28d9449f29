"""What stands around the loop of an evaluation: what is said before and after it, and where results are shown."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine import plan
from engine.session import Run
from evaluation import sinks
from evaluation.metrics import Scores, format_table
from evaluation.report import ReportData, environment, write_page
from evaluation.sinks import scales

Row = Mapping[str, float]
PICTURES = 4  # images that tensorboard gets of each validation


class Evaluation(NamedTuple):
    """Outcome of an evaluation: scores, what the sinks have found, what differs from a plain pass, figures.

    `left_out`: pictures that could not be read.
    """

    scores: Scores
    found: sinks.Results
    note: str
    facts: Mapping[str, str]
    left_out: int = 0


def publish_results(run: Run, result: Evaluation, phase: str, epoch: int) -> int:
    """Put an evaluation where people look: a row of metrics.csv, a table, the run's HTML page, tensorboard.

    Gives the exit code: 0, or 2 where pictures were left out.
    """
    if run.ranks.is_main:
        _publish(run, result, phase, epoch)
    return 2 if result.left_out else 0


def _publish(run: Run, result: Evaluation, phase: str, epoch: int) -> None:
    cfg, log, scores, summary = run.cfg, run.log, result.scores, dict[str, float]()
    if scores.pixels and not (cfg.EVAL.MODE and cfg.EVAL.NO_METRICS):
        by_condition = {f"mean_iu_{name}": one.mean_iu for name, one in result.found.conditions.items()}
        ways = result.found.scales.scores if result.found.scales else {}
        by_scales = {f"mean_iu_{scales.caption(name)}": one.mean_iu for name, one in ways.items()}
        summary = scores.summary() | by_condition | by_scales
        log.line(format_table(scores, run.spec.classes) + (f"\n({result.note})" if result.note else ""))
        scores.write(run.folder / "confusion.csv", run.spec.classes)
    labeled = cfg.EVAL.MODE in ("", "val", "trn") or (cfg.EVAL.MODE == "folder" and cfg.EVAL.LABELS)
    if not scores.pixels and labeled and not cfg.EVAL.NO_METRICS:
        best = "" if cfg.EVAL.MODE else f" of epoch {epoch}, and it cannot become the best checkpoint"
        log.line(f"warning: no pixel of the labels counts, so there is no score{best}")
    write_report(
        run,
        f"{cfg.MODEL.ARCH} on {cfg.DATASET.NAME}",
        scores=scores,
        rows=result.found.rows,
        train=log.history("train"),
        val=_with(log.history("val"), summary, epoch) if phase == "val" else log.history("val"),
        facts=[*result.facts.items(), *plan.beside_measured(run.folder, log.history("cost"))],
        note=result.note,
        conditions=result.found.conditions,
        scales=result.found.scales,
    )
    for row in result.found.rows[:PICTURES]:
        for caption, encoded in (row.panels | row.seeds).items():
            log.picture(f"{row.name}/{caption}", encoded, epoch)
    log.scalars({f"val/{name}": value.mean_iu for name, value in result.found.scale_scores.items()}, epoch)
    if summary:  # the last of all: whoever stops before it evaluates again, and leaves nothing out
        log.metric(phase, summary, epoch)


def _with(history: Sequence[Row], summary: Row, epoch: int) -> list[Row]:
    """Give the rows of a phase with the one that is not in the table yet, in the place of an earlier one of it."""
    new = [{**summary, "epoch": float(epoch)}] if summary else []
    rows = [row for row in history if not new or row["epoch"] != epoch]
    return sorted([*rows, *new], key=lambda row: row["epoch"])


def write_report(run: Run, title: str, **shown: Any) -> Path:
    """Write the HTML page of a run's folder; `shown`: what it shows beside the run's facts, fields of `ReportData`."""
    date, spec = time.strftime("%Y-%m-%d %H:%M"), run.spec
    versions = environment(run.ranks.device)
    data = ReportData(title, run.command, date, spec.classes, spec.palette, versions=versions, **shown)
    return write_page(run.folder, data)
