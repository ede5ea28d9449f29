"""How suspicious an area is: what the network says of it, set against what it usually says of these classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.labelcheck.areas import CLASS, Area, Compared

# Weights of the parts of a score beside the margin, chosen on CamVid with faults of seeds that no figure is of.
OF_LABELED, OF_PREDICTED, SIZE, COVERS, OBJECT_COVERS = 0.25, 0.5, 0.7, 0.25, 0.75
LEAST_USUAL = 0.05  # of a class that the network hardly ever finds


@dataclass
class Usual:
    """What a network says over all images: of each labeled class the sum of its probabilities and its pixels, (K,), and
    counts (K, K) of pixels, rows labeled, columns predicted.
    """

    sums: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, num_classes: int) -> Usual:
        """Start with nothing."""
        return cls(np.zeros(num_classes), np.zeros((num_classes, num_classes), np.int64))

    @classmethod
    def sum(cls, parts: Iterable[Usual]) -> Usual:
        """Add what several processes have counted."""
        first, *others = parts
        for other in others:
            first = cls(first.sums + other.sums, first.counts + other.counts)
        return first

    def add(self, one: Compared) -> None:
        """Count an image."""
        k, labeled = len(self.sums), one.label[one.valid].astype(np.int64)
        self.sums += np.bincount(labeled, one.p_labeled[one.valid], k)
        self.counts += np.bincount(labeled * k + one.classes[one.valid], minlength=k * k).reshape(k, k)

    @property
    def confidence(self) -> np.ndarray:
        """(K,) mean probability of a class where it is labeled; NaN where it never is."""
        pixels = self.counts.sum(1)
        return np.divide(self.sums, pixels, out=np.full(len(pixels), np.nan), where=pixels > 0)

    @property
    def differing(self) -> float:
        """Share of the pixels that are predicted otherwise than labeled."""
        return 1 - float(np.trace(self.counts)) / max(1, int(self.counts.sum()))


def scores(areas: Sequence[Area], usual: Usual) -> np.ndarray:
    """Give the score of each area, a weighed sum of logarithms: margin, rarity, size, cover. Only its order means much.

    Margin: by how much the network prefers the predicted class to the labeled one, each against what is usual where
    that class is labeled (as in confident learning, Northcutt et al. 2021): a probability of 0.6 is much for a class
    that it is never sure of, and little for the sky.
    Rarity: how seldom the network says this class where that one is labeled, as a share of the one and of the other:
    what it confuses often, it confuses here too.
    Size: the pixels away from the area's edge.
    Cover: the area's share of the predicted object. Where that goes far beyond a labeled object, which is contradicted
    as a whole, it has swallowed it: networks miss small objects.
    """
    if not areas:
        return np.zeros(0)
    labeled, predicted = (np.array([getattr(a, name) for a in areas]) for name in ("labeled", "predicted"))
    sure = np.log(np.maximum(np.nan_to_num(usual.confidence, nan=1.0), LEAST_USUAL))
    own, other = (np.array([getattr(a, name) for a in areas]) for name in ("log_labeled", "log_predicted"))
    margin = np.maximum((other - sure[predicted]) - (own - sure[labeled]), 0)
    together = np.log(np.maximum(usual.counts[labeled, predicted], 1))
    all_labeled, all_predicted = (np.log(np.maximum(usual.counts.sum(axis), 1)) for axis in (1, 0))
    rarity = OF_LABELED * (all_labeled[labeled] - together) + OF_PREDICTED * (all_predicted[predicted] - together)
    size = np.log1p([a.inner for a in areas])
    cover = np.array([(OBJECT_COVERS if a.kind == CLASS else COVERS) * np.log(a.cover) for a in areas])
    return margin + rarity + SIZE * size + cover
