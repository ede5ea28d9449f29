"""Cross entropy by hand. Two classes; the probability of a pixel's own class is given."""

from math import log

import pytest
import torch

from loss.cross_entropy import CrossEntropy, WeightedCrossEntropy
from loss.pixels import class_counts, class_weights, valid_pixels

IGN = 255
LABEL = torch.tensor([[[0, 0, 0, 1]], [[1, IGN, IGN, IGN]]])
# nll: log 2 three times and log 4 in the first image, log 8 in the second.
OWN = torch.tensor([[[1 / 2, 1 / 2, 1 / 2, 1 / 4]], [[1 / 8, 1 / 3, 1 / 3, 1 / 3]]], dtype=torch.float64)


def logits():
    first = torch.where(LABEL == 0, OWN, 1 - OWN)
    return torch.stack([first, 1 - first], dim=1).log()


def weighted_first(w0, w1):
    return (3 * w0 * log(2) + w1 * log(4)) / (3 * w0 + w1)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (CrossEntropy(2), (3 * log(2) + log(4) + log(8)) / 5),
        # Shares 3/4 and 1/4 in the first image, 0 and 1 in the second.
        (WeightedCrossEntropy(2), (weighted_first(1.25, 1.75) + log(8)) / 2),
        (WeightedCrossEntropy(2, bound=4.0), (weighted_first(2.0, 4.0) + log(8)) / 2),
        (WeightedCrossEntropy(2, bound=0.0), (weighted_first(1.0, 1.0) + log(8)) / 2),
        # Shares 3/5 and 2/5 in the batch.
        (WeightedCrossEntropy(2, batch=True), (weighted_first(1.4, 1.6) + log(8)) / 2),
        (WeightedCrossEntropy(2, published=True), weighted_first(1.4, 1.6) + log(8)),
        (WeightedCrossEntropy(2, published=True, batch=True), weighted_first(1.4, 1.6) + log(8)),
    ],
)
def test_by_hand(loss, expected):
    assert loss(logits(), LABEL).item() == pytest.approx(expected, rel=1e-12)


def test_counts_and_weights():
    valid = valid_pixels(LABEL, 2, IGN)
    counts = class_counts(LABEL, valid, 2)
    assert counts.tolist() == [[3, 1], [0, 1]]
    assert class_weights(counts.double(), counts.sum(1, keepdim=True), 1.0).tolist() == [[1.25, 1.75], [1.0, 1.0]]
