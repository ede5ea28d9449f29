"""Scores: surer, rarer and larger is worse, each against what is usual."""

from __future__ import annotations

import numpy as np
import pytest
from label_areas import area

from evaluation.labelcheck.areas import CLASS, MISSING, Compared
from evaluation.labelcheck.score import Usual, scores


def usual(confidence: tuple[float, ...] = (0.9, 0.9, 0.9), confused: int = 10) -> Usual:
    """Counts of classes as common, of which each is taken for each other one as often."""
    counts = np.full((3, 3), confused) + np.eye(3, dtype=np.int64) * 1000
    return Usual(np.array(confidence) * counts.sum(1), counts)


def one(found: Usual, **changes: object) -> float:
    return float(scores([area(**changes)], found)[0])


def test_surer_and_larger_is_worse() -> None:
    plain = one(usual())
    assert plain > 0
    assert one(usual(), log_predicted=np.log(0.99)) > plain
    assert one(usual(), log_labeled=np.log(0.001)) > plain
    assert one(usual(), inner=1000) > plain > one(usual(), inner=10)


def test_what_is_usual_is_taken_off() -> None:
    assert one(usual((0.4, 0.9, 0.9))) < one(usual()) < one(usual((0.9, 0.4, 0.9)))


def test_a_confusion_that_is_usual_is_less_suspicious() -> None:
    assert one(usual(confused=200)) < one(usual(confused=10))
    found = usual()
    found.counts[0, 1] = 400
    assert one(found, predicted=1) < one(found, predicted=2)


def test_the_labeled_class_may_be_the_likelier_one() -> None:
    """The rarity is all that is left then."""
    less = one(usual(), log_labeled=np.log(0.45), log_predicted=np.log(0.46))
    assert less == pytest.approx(one(usual(), log_labeled=np.log(0.5), log_predicted=np.log(0.4)), rel=0.2)


def test_classes_without_labels_have_scores() -> None:
    found = usual()
    found.counts[2], found.sums[2] = 0, 0
    assert np.isnan(found.confidence[2]) and np.isfinite(one(found, predicted=2))
    assert scores([], found).shape == (0,)


def test_usual_counts_what_is_valid() -> None:
    label = np.array([[0, 0, 1, 255]], np.uint8)
    classes = np.array([[0, 1, 1, 0]], np.uint8)
    p = np.array([[0.8, 0.4, 0.6, 0.9]], np.float32)
    image = Compared(label, classes, p, p, label != 255)
    found = Usual.of(3)
    found.add(image)
    assert found.counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert found.confidence[:2] == pytest.approx([0.6, 0.6]) and np.isnan(found.confidence[2])
    assert found.differing == pytest.approx(1 / 3)
    both = Usual.sum([found, found])
    assert both.counts.sum() == 6 and both.confidence[0] == pytest.approx(0.6)


def test_an_object_that_a_large_one_swallows_is_less_suspicious() -> None:
    gain = [one(usual(), kind=kind, cover=1.0) - one(usual(), kind=kind, cover=0.02) for kind in (CLASS, MISSING)]
    assert gain[0] > gain[1] > 0
