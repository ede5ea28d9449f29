"""Draws of images: figures of sums, paired draws, intervals."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation import bootstrap
from evaluation.calibration import BINS
from evaluation.imagecounts import WHOLE, ImageCounts, names
from evaluation.metrics import Scores
from evaluation.objects import SIZES

K = 3


def counts(images: int = 12, seed: int = 0) -> tuple[ImageCounts, np.ndarray]:
    """Counts of images, and their confusion matrices (images, K, K); the last class occurs in the first image alone."""
    rng = np.random.default_rng(seed)
    matrices = rng.integers(1, 60, (images, K, K)) + 100 * np.eye(K, dtype=int)
    matrices[1:, K - 1] = matrices[1:, :, K - 1] = 0
    right = np.diagonal(matrices, axis1=1, axis2=2)
    pixels = np.stack([right, matrices.sum(2) - right, matrices.sum(1) - right], axis=1).astype(float)
    bins = rng.random((images, BINS, 3)) * [2, 1, 1]
    return ImageCounts(pixels, pixels[:, :2] + [[0] * K, right[0]], bins, rng.random((images, 2, len(SIZES)))), matrices


def test_figures_are_those_of_the_summed_confusion_matrix() -> None:
    found, matrices = counts()
    scores, total = Scores(matrices.sum(0)), found.total()
    titles = names(["a", "b", "c"])
    assert len(titles) == len(total) and titles[:5] == [*WHOLE, "a"]
    assert total[0] == pytest.approx(scores.mean_iu) and total[2] == pytest.approx(scores.acc)
    assert total[len(WHOLE) : len(WHOLE) + K] == pytest.approx(scores.iou)
    assert total[3] == pytest.approx(
        np.abs(found.bins.sum(0)[:, 2] - found.bins.sum(0)[:, 1]).sum() / found.bins[..., 0].sum()
    )
    outline = found.boundary.sum(0)
    assert total[titles.index("boundary of b")] == pytest.approx(outline[0, 1] / outline[1, 1])
    assert total[-1] == pytest.approx(found.objects.sum(0)[0, 2] / found.objects.sum(0)[1, 2])
    each = [Scores(matrix).mean_iu for matrix in matrices]
    assert found.image_scores() == pytest.approx(each)


def test_draws_are_paired_and_in_parts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = counts()
    whole = bootstrap.drawn_figures([one], 40)
    assert whole.shape == (40, len(names(["a", "b", "c"])))
    assert np.array_equal(whole, bootstrap.drawn_figures([one, one], 40), equal_nan=True)  # the same images for both
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 100)  # a few draws at a time
    assert [len(part) for part in bootstrap.weights(12, 20)] == [8, 8, 4]
    assert all((part.sum(1) == 12).all() for part in bootstrap.weights(12, 20))
    assert np.array_equal(bootstrap.drawn_figures([one], 40), whole, equal_nan=True)


def test_the_deviation_of_the_mean_is_found() -> None:
    """Of one class in images of one size the IoU is a mean over images, whose error is known."""
    rng = np.random.default_rng(1)
    iou = rng.uniform(0.2, 0.8, 100)
    pixels = np.stack([1000 * iou, 500 * (1 - iou), 500 * (1 - iou)], axis=1)[..., None]
    run = ImageCounts(pixels, pixels[:, :2], np.zeros((100, BINS, 3)), np.zeros((100, 2, len(SIZES))))
    drawn = bootstrap.drawn_figures([run], 2000)
    error = iou.std() / 10
    assert bootstrap.deviation(drawn)[0] == pytest.approx(error, rel=0.1)
    low, high = bootstrap.interval(drawn)[:, 0]
    assert (low, high) == (
        pytest.approx(iou.mean() - 1.96 * error, abs=0.01),
        pytest.approx(iou.mean() + 1.96 * error, abs=0.01),
    )
    assert np.isnan(bootstrap.interval(drawn)[:, -1]).all() and np.isnan(bootstrap.deviation(drawn)[-1])


def test_a_class_of_one_image_is_left_out_of_draws_without_it() -> None:
    one, _ = counts()
    drawn = bootstrap.drawn_figures([one], 200)[:, len(WHOLE) + K - 1]
    assert 0.2 < np.isnan(drawn).mean() < 0.55  # (1 - 1 / 12)^12
    assert not np.isnan(bootstrap.interval(drawn[:, None])).any()
