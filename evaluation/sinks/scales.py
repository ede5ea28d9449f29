"""What the scales of a network bring: each alone, their mean, attention, mirror images; by class and by object size.

--log_msinf_to_tb asks for the scores of single scales, --scale_table for all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evaluation.metrics import ConfusionMatrix, Scores
from evaluation.objects import SIZES, found_by_size, numbered
from evaluation.sinks.base import ALONE, EvalItem, Results, ScaleTable, Sink, scores_of
from utils.contracts import UNFLIPPED, DatasetSpec
from utils.distributed import DistributedContext
from utils.files import csv_text, write_file
from utils.resize import resize

AVERAGED, ATTENTION, FLIPPED = "averaged", "attention", "attention + flip"


class ScaleScores(Sink):
    """Counts the class map of every scale against the truth. The results have the scores, on all ranks.

    `extras`: names of the scales' logits, such as "pred_05x"; those that the network does not have get no score.
    """

    def __init__(self, spec: DatasetSpec, extras: tuple[str, ...]) -> None:
        self.spec, self.extras = spec, extras
        self._counted: dict[str, ConfusionMatrix] = {}

    def add(self, item: EvalItem) -> None:
        """Count one image."""
        for name, classes in self.class_maps(item).items() if item.label is not None else ():
            empty = ConfusionMatrix(self.spec.num_classes, self.spec.ignore_label)
            self._counted.setdefault(name, empty).update(classes, item.label)  # type: ignore[arg-type]

    def class_maps(self, item: EvalItem) -> dict[str, Tensor]:
        """Give what is compared: {name: classes (H, W) uint8}."""
        return {name: _classes(scores) for name, scores in _scores(item, self.extras).items()}

    def scores(self, ranks: DistributedContext) -> dict[str, Scores]:
        """Sum the counts over the ranks."""
        found = scores_of({name: matrix.counts.numpy() for name, matrix in self._counted.items()}, ranks)
        return {name: found[name] for name in (*self.extras, AVERAGED, ATTENTION, FLIPPED) if name in found}

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Give the mean IoU of each scale."""
        scores = self.scores(ranks)
        means = ", ".join(f"{name} {100 * one.mean_iu:.2f}" for name, one in scores.items())
        return Results([f"mean IoU of the single scales: {means}"] if means else (), scale_scores=scores)


class ScaleGain(ScaleScores):
    """The same beside the mean of the scales and the prediction, by class and object size; writes `scales.csv`.

    An object is a connected part of a class in the truth; found of it is the share of its pixels that have its class.
    """

    def __init__(self, path: Path, spec: DatasetSpec, scales: tuple[str, ...], flips: bool) -> None:
        super().__init__(spec, scales)
        self.path, self.scales, self.flips = path, scales, flips
        self.extras = (*scales, UNFLIPPED) if flips else scales
        self._found: dict[str, np.ndarray] = {}  # {name: per size, the sum of shares found and the number of objects}

    def class_maps(self, item: EvalItem) -> dict[str, Tensor]:
        """Add the mean of the scales' scores, and the prediction, with and without mirror images."""
        scores = _scores(item, self.scales)
        if len(scores) < 2:
            return {}
        maps = {name: _classes(one) for name, one in scores.items()}
        maps[AVERAGED] = _classes(torch.stack(list(scores.values())).mean(0))
        if self.flips and (straight := _scores(item, (UNFLIPPED,))):
            maps[ATTENTION] = _classes(straight[UNFLIPPED])
        maps[FLIPPED if self.flips else ATTENTION] = item.prediction.classes.cpu()
        return maps

    def add(self, item: EvalItem) -> None:
        """Count one image by classes and by objects."""
        if item.label is None:
            return
        maps = self.class_maps(item)
        numbers, sizes = numbered(item.label, self.spec) if maps else (np.zeros(0), np.zeros(0))
        for name, classes in maps.items():
            empty = ConfusionMatrix(self.spec.num_classes, self.spec.ignore_label)
            self._counted.setdefault(name, empty).update(classes, item.label)
            sums = found_by_size(classes.numpy(), item.label, numbers, sizes)
            self._found[name] = self._found.get(name, 0) + sums  # type: ignore[operator]

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Put the table together; the main rank writes it."""
        scores = self.scores(ranks)
        if not scores:
            return Results(
                ["--scale_table: no table, since the network gave no scores of several scales by themselves"]
            )
        parts = ranks.gather(self._found)
        sums = {name: sum(part[name] for part in parts if name in part) for name in scores}
        found = {name: _shares(one) for name, one in sums.items()}  # type: ignore[arg-type]
        counts = next(iter(sums.values()))[1]  # type: ignore[index]
        table = ScaleTable(scores, found, dict(zip(SIZES, counts.astype(int).tolist(), strict=True)))
        if ranks.is_main:
            rows = [[label, *(f"{value:.6f}" for value in values)] for label, values in table.rows(self.spec.classes)]
            write_file(self.path, csv_text([["", *table.scores], *rows]).encode())
        means = ", ".join(f"{caption(name)} {100 * one.mean_iu:.2f}" for name, one in scores.items())
        return Results([f"what the scales bring, mean IoU: {means}"], scale_scores=scores, scales=table)


def caption(name: str) -> str:
    """Name a column as people read it: "pred_05x" -> "scale 0.5"."""
    digits = name.removeprefix("pred_").removesuffix("x")
    return f"scale {digits[0]}.{digits[1:]}" if name.startswith("pred_") and digits.isdigit() else name


def _scores(item: EvalItem, names: Sequence[str]) -> dict[str, Tensor]:
    """Give those maps of `names` that there are, (K, H, W) at the label's size."""
    size, extras = item.label.shape, item.prediction.extras  # type: ignore[union-attr]
    return {name: resize(extras[name][None], size)[0] for name in names if name in extras}


def _classes(scores: Tensor) -> Tensor:
    """(K, H, W) -> (H, W) uint8."""
    return scores.argmax(0).to(torch.uint8).cpu()


def _shares(sums: np.ndarray) -> Mapping[str, float]:
    """(2, sizes) -> the mean share found of each size, NaN where there is no object."""
    with np.errstate(invalid="ignore"):
        return dict(zip(SIZES, (sums[0] / sums[1]).tolist(), strict=True))
