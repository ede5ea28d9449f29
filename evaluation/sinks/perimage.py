"""IoU of every image, as CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evaluation.metrics import Scores
from evaluation.sinks.base import ALONE, EvalItem, Results, Sink
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.files import csv_text, write_file
from utils.names import shown
from utils.plural import counted


class PerImage(Sink):
    """`per_image.csv`: image, mean IoU over its classes, pixels, wrong pixels, IoU of each class (empty: undefined)."""

    def __init__(self, path: Path, spec: DatasetSpec) -> None:
        self.path, self.spec = path, spec
        self._rows: list[tuple[str, np.ndarray]] = []  # as numbers: text of 150 classes is ten times as large

    def add(self, item: EvalItem) -> None:
        """Take note of one image; without a label there is nothing to note."""
        if item.counts is None:
            return
        scores = Scores(item.counts)
        self._rows.append((shown(item.name), np.array([scores.mean_iu, scores.pixels, scores.errors, *scores.iou])))

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Write all ranks' rows in the order of their names."""
        found = sorted((row for part in ranks.gather(self._rows) for row in part), key=lambda row: row[0])
        rows = [_text(name, *values.tolist()) for name, values in found]
        if not rows or not ranks.is_main:
            return Results()
        titles = ["image", "mean_iou", "pixels", "wrong", *self.spec.classes]
        write_file(self.path, csv_text([titles, *rows]).encode())
        return Results([f"IoU of {counted(len(rows), 'image')} in {self.path}"])


def _text(name: str, mean: float, pixels: float, wrong: float, *classes: float) -> list[str]:
    """Write a row of the table."""
    ious = ["" if np.isnan(value) else f"{value:.6f}" for value in (mean, *classes)]
    return [name, ious[0], str(int(pixels)), str(int(wrong)), *ious[1:]]
