"""What an evaluation hands to its consumers, and what a consumer is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from utils.contracts import Prediction
from utils.distributed import DistributedContext

ALONE = DistributedContext()


@dataclass(slots=True)
class EvalItem:
    """One evaluated image.

    `image` (H, W, 3) uint8 RGB; `label` (H, W) uint8 train ids or None; `counts` (K, K) int64, this image's own
    confusion matrix (what `ConfusionMatrix.update` returns), or None without a label.
    """

    name: str
    image: np.ndarray
    label: np.ndarray | None
    prediction: Prediction
    counts: np.ndarray | None = None


class Sink(Protocol):
    """Reads every item of this rank and alters none. `extras`: outputs of the network that it would like to see."""

    extras: tuple[str, ...]

    def add(self, item: EvalItem) -> None:
        """Take one image of this rank."""
        ...

    def close(self, ranks: DistributedContext = ALONE) -> str | None:
        """After the last image, on every rank: put the ranks' parts together. A line for the log, or None."""
        ...
