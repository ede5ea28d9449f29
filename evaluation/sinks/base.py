"""What an evaluation hands to its consumers, and what a consumer is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from evaluation.metrics import Scores
from utils.contracts import Prediction
from utils.distributed import DistributedContext

ALONE = DistributedContext()


@dataclass(slots=True)
class EvalItem:
    """One evaluated image.

    `image` (H, W, 3) uint8 RGB; `label` (H, W) uint8 train ids or None; `counts` (K, K) int64, this image's own
    confusion matrix (what `ConfusionMatrix.update` returns), or None without a label; sinks see it as an array.
    """

    name: str
    image: np.ndarray
    label: np.ndarray | None
    prediction: Prediction
    counts: Any = None  # np.ndarray; a Tensor, and then a HostCopy, until it is there


@dataclass(frozen=True, slots=True)
class Row:
    """An image in the report: `panels` caption -> JPEG or PNG bytes. Scores are None without a label.

    `seeds`: likewise, of a network with offset vectors; a row of their own.
    """

    name: str
    mean_iu: float | None
    error_rate: float | None
    panels: dict[str, bytes]
    seeds: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class ScaleTable:
    """What the scales of a network bring: `scores` by the name of a way to predict, and of the objects of each size,
    `found`, the mean share of their pixels that have their class, and `objects`, how many there are.
    """

    scores: Mapping[str, Scores]
    found: Mapping[str, Mapping[str, float]]
    objects: Mapping[str, int]

    def rows(self, classes: Sequence[str]) -> list[tuple[str, list[float]]]:
        """Give (what, a value for each way to predict): mean IoU, the IoU of each class, what is found by size."""
        means = [("mean IoU", [one.mean_iu for one in self.scores.values()])]
        by_class = [(name, [float(one.iou[k]) for one in self.scores.values()]) for k, name in enumerate(classes)]
        found = [(f"found of {size} objects ({count})", [self.found[name][size] for name in self.scores])
                 for size, count in self.objects.items()]  # fmt: skip
        return [*means, *by_class, *found]


@dataclass(frozen=True)
class Results:
    """What sinks have found once all images are in: lines for the log, pictures for the report, further scores.

    `scale_scores`: scores of single scales, by the name of the output; `scales`: what they bring, where that is asked
    for; `conditions`: scores in fog, at night, ...
    """

    lines: Sequence[str] = ()
    rows: Sequence[Row] = ()
    scale_scores: Mapping[str, Scores] = field(default_factory=dict)
    conditions: Mapping[str, Scores] = field(default_factory=dict)
    scales: ScaleTable | None = None


def scores_of(counts: Mapping[str, np.ndarray], ranks: DistributedContext) -> dict[str, Scores]:
    """Give the scores of what all ranks have counted under each name, (K, K) each; sorted by name, on every rank."""
    parts = ranks.gather(counts)
    names = sorted({name for part in parts for name in part})
    return {name: Scores.of(np.sum([part[name] for part in parts if name in part], axis=0)) for name in names}


class Sink(Protocol):
    """Reads every item of this rank and alters none. `extras`: outputs of the network that it would like to see."""

    extras: tuple[str, ...] = ()

    def add(self, item: EvalItem) -> None:
        """Take one image of this rank."""

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Put the ranks' parts together, on every rank and once, after the last image; give what came of it."""
        return Results()
