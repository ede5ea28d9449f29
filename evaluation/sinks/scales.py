"""Scores of the single scales beside the fused one: --log_msinf_to_tb."""

from __future__ import annotations

import torch

from evaluation.metrics import ConfusionMatrix
from evaluation.sinks.base import ALONE, EvalItem, Results, Sink, scores_of
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.resize import resize


class ScaleScores(Sink):
    """Counts the class map of every scale against the truth. The results have the scores, on all ranks.

    `extras`: names of the scales' logits, such as "pred_05x"; those that the network does not have get no score.
    """

    def __init__(self, spec: DatasetSpec, extras: tuple[str, ...]) -> None:
        self.spec, self.extras = spec, extras
        self._counted: dict[str, ConfusionMatrix] = {}

    def add(self, item: EvalItem) -> None:
        """Count one image."""
        for name in self.extras if item.label is not None else ():
            if name in item.prediction.extras:
                logits = resize(item.prediction.extras[name][None], item.label.shape)  # type: ignore[union-attr]
                classes = logits.argmax(1)[0].to(torch.uint8).cpu()  # (H, W)
                empty = ConfusionMatrix(self.spec.num_classes, self.spec.ignore_label)
                self._counted.setdefault(name, empty).update(classes, item.label)  # type: ignore[arg-type]

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Sum the counts over the ranks; give the mean IoU of each scale."""
        found = scores_of({name: matrix.counts.numpy() for name, matrix in self._counted.items()}, ranks)
        scores = {name: found[name] for name in self.extras if name in found}
        means = ", ".join(f"{name} {100 * one.mean_iu:.2f}" for name, one in scores.items())
        return Results([f"mean IoU of the single scales: {means}"] if means else (), scale_scores=scores)
