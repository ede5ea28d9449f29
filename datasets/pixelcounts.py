"""How many pixels of which class labels hold: of a million labels in some bytes for each class that is in one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from utils.histogram import value_counts


def class_pixels(label: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the pixels of each class of a label (H, W) uint8 train ids: (K + 1,) int64, the ignored ones last."""
    counts = value_counts(label)
    return np.append(counts[:num_classes], counts[num_classes:].sum())


class Tally(NamedTuple):
    """Pixels of each class and the ignored ones, (K + 1,) int64, of so many labels, some of which are ignored whole."""

    pixels: np.ndarray
    labels: int
    whole: int

    @classmethod
    def of(cls, rows: np.ndarray) -> Tally:
        """Sum up rows (n, K + 1) of labels."""
        return cls(rows.sum(0), len(rows), int((~rows[:, :-1].any(1)).sum()))

    def plus(self, other: Tally) -> Tally:
        """Add those of other labels."""
        return Tally(self.pixels + other.pixels, self.labels + other.labels, self.whole + other.whole)


class PixelCounts(NamedTuple):
    """Of the items `read` (n,) an entry for each class in one: `item`, `kind` (its class, K: ignored), `pixels`."""

    read: np.ndarray
    item: np.ndarray
    kind: np.ndarray
    pixels: np.ndarray

    def tally(self, wanted: np.ndarray, num_classes: int) -> Tally:
        """Sum up the items that are marked in `wanted` (all items,) bool. Sums are exact in doubles."""
        chosen = wanted[self.item]
        kind, item = self.kind[chosen], self.item[chosen]
        sums = np.bincount(kind, self.pixels[chosen], num_classes + 1).astype(np.int64)
        labels = int(np.count_nonzero(wanted[self.read]))
        return Tally(sums, labels, labels - len(np.unique(item[kind < num_classes])))
