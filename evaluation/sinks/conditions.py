"""Scores of each condition (fog, night, ...) beside those of all images."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evaluation.metrics import Scores, percent
from evaluation.sinks.base import ALONE, EvalItem, Results
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.files import write_file


class Conditions:
    """Writes `conditions.csv`: IoU of each class in each condition and in all. The results have the scores.

    `of`: the condition of each image, by its name.
    """

    extras: tuple[str, ...] = ()

    def __init__(self, path: Path, spec: DatasetSpec, of: Mapping[str, str]) -> None:
        self.path, self.spec, self.of = path, spec, of
        self._counts: dict[str, np.ndarray] = {}

    def add(self, item: EvalItem) -> None:
        """Count one image where its condition is known."""
        if item.counts is not None and item.name in self.of:
            condition = self.of[item.name]
            self._counts[condition] = self._counts.get(condition, 0) + item.counts  # type: ignore[operator]

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Sum over the ranks; the main one writes the file."""
        parts = ranks.gather(self._counts)
        found = sorted({condition for part in parts for condition in part})
        sums = {name: np.sum([part[name] for part in parts if name in part], axis=0) for name in found}
        if not sums:
            return Results()
        scores = {name: Scores.of(counts) for name, counts in sums.items()}
        every = {**scores, "all": Scores.of(np.sum(list(sums.values()), axis=0))}
        if ranks.is_main:
            write_file(self.path, self._csv(every).encode())
        return Results([self._table(every)], conditions=scores)

    def _csv(self, every: Mapping[str, Scores]) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["class", *every])
        for i, name in enumerate(self.spec.classes):
            values = [float(scores.iou[i]) for scores in every.values()]
            writer.writerow([name, *("" if np.isnan(value) else f"{value:.6f}" for value in values)])
        writer.writerow(["mean IoU", *(f"{scores.mean_iu:.6f}" for scores in every.values())])
        return text.getvalue()

    def _table(self, every: Mapping[str, Scores]) -> str:
        """IoU in per cent, a class a line."""
        wide = max(len(name) for name in [*self.spec.classes, "mean IoU"])
        rows = [(name, [float(s.iou[i]) for s in every.values()]) for i, name in enumerate(self.spec.classes)]
        rows.append(("mean IoU", [s.mean_iu for s in every.values()]))
        head = f"{'IoU':<{wide}}  " + "  ".join(f"{name:>7}" for name in every)
        return "\n".join([head, *(f"{n:<{wide}}  " + "  ".join(f"{percent(v):>7}" for v in vs) for n, vs in rows)])
