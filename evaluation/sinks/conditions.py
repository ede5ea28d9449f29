"""Scores of each condition (fog, night, ...) beside those of all images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from evaluation.metrics import Scores
from evaluation.sinks.base import ALONE, EvalItem, Results, Sink, scores_of
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.files import csv_text, write_file
from utils.plural import percent


def iou_rows(scores: Mapping[str, Scores], classes: Sequence[str]) -> list[tuple[str, list[float]]]:
    """Give (class, its IoU in each condition), the mean IoU last."""
    rows = [(name, [float(one.iou[k]) for one in scores.values()]) for k, name in enumerate(classes)]
    return [*rows, ("mean IoU", [one.mean_iu for one in scores.values()])]


class Conditions(Sink):
    """Writes `conditions.csv`: IoU of each class in each condition and in all. The results have the scores.

    `of`: the condition of each image, by its name.
    """

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
        scores = scores_of(self._counts, ranks)
        if not scores:
            return Results()
        every = {**scores, "all": Scores.of(np.sum([one.counts for one in scores.values()], axis=0))}
        rows = iou_rows(every, self.spec.classes)
        if ranks.is_main:
            cells = [[name, *("" if np.isnan(value) else f"{value:.6f}" for value in values)] for name, values in rows]
            write_file(self.path, csv_text([["class", *every], *cells]).encode())
        # In per cent, a class a line.
        wide = max(len(name) for name, _ in rows)
        lines = [("IoU", list(every)), *((name, [percent(value) for value in values]) for name, values in rows)]
        table = "\n".join(f"{name:<{wide}}  " + "  ".join(f"{cell:>7}" for cell in cells) for name, cells in lines)
        return Results([table], conditions=scores)
