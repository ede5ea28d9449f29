"""IoU of every image, as CSV."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
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
        # One block of memory that grows: many small ones that stay, each among larger ones that go, leave holes.
        self._names, self._values = list[str](), array("d")

    def add(self, item: EvalItem) -> None:
        """Take note of one image; without a label there is nothing to note."""
        if item.counts is None:
            return
        scores = Scores(item.counts)
        self._names.append(shown(item.name))
        self._values.extend([scores.mean_iu, scores.pixels, scores.errors, *scores.iou.tolist()])

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Write all ranks' rows in the order of their names."""
        parts = ranks.gather((self._names, self._values))
        found = sorted((row for names, values in parts for row in _rows(names, values)), key=lambda row: row[0])
        rows = [_text(name, *values) for name, values in found]
        if not rows or not ranks.is_main:
            return Results()
        titles = ["image", "mean_iou", "pixels", "wrong", *self.spec.classes]
        write_file(self.path, csv_text([titles, *rows]).encode())
        return Results([f"IoU of {counted(len(rows), 'image')} in {self.path}"])


def _rows(names: Sequence[str], values: Sequence[float]) -> list[tuple[str, Sequence[float]]]:
    """Give the numbers of each image."""
    each = len(values) // max(1, len(names))
    return [(name, values[at * each : (at + 1) * each]) for at, name in enumerate(names)]


def _text(name: str, mean: float, pixels: float, wrong: float, *classes: float) -> list[str]:
    """Write a row of the table."""
    ious = ["" if np.isnan(value) else f"{value:.6f}" for value in (mean, *classes)]
    return [name, ious[0], str(int(pixels)), str(int(wrong)), *ious[1:]]
