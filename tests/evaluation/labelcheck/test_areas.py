"""Areas of disagreement: which they are, what is edge, what is ignored."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.labelcheck.areas import CLASS, EDGE, MISSING, PART, Area, Compared, mask_of, measure

IGNORE = 255


def compared(label: np.ndarray, classes: np.ndarray, p_labeled: float = 0.1, p_predicted: float = 0.8) -> Compared:
    """A label and a prediction that is as sure everywhere."""
    labeled, predicted = (np.full(label.shape, p, np.float32) for p in (p_labeled, p_predicted))
    return Compared(label, classes, labeled, predicted, label != IGNORE)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """An object of another class, one that the label lacks, one whose border lies elsewhere; class 0 around."""
    label = np.zeros((60, 80), np.uint8)
    classes = label.copy()
    label[10:30, 10:30], classes[10:30, 10:30] = 1, 2
    classes[40:50, 40:60] = 3
    label[5:25, 50:70], classes[5:25, 56:76] = 4, 4
    return label, classes


def found(label: np.ndarray, classes: np.ndarray) -> dict[tuple[str, int, int], Area]:
    areas = measure(compared(label, classes), "a", 2.0)
    assert len({(a.kind, a.labeled, a.predicted) for a in areas}) == len(areas)
    return {(a.kind, a.labeled, a.predicted): a for a in areas}


def test_three_kinds_of_areas() -> None:
    label, classes = scene()
    areas = found(label, classes)
    assert set(areas) == {(CLASS, 1, 2), (MISSING, 0, 3), (PART, 0, 4), (PART, 4, 0)}
    swapped = areas[CLASS, 1, 2]
    assert (swapped.box, swapped.file_box, swapped.pixels, swapped.inner) == (
        (10, 10, 20, 20),
        (20, 20, 40, 40),
        400,
        (20 - 2 * int(EDGE)) ** 2,
    )
    assert swapped.probabilities == pytest.approx((0.1, 0.8)) and swapped.image == "a"
    assert areas[MISSING, 0, 3].box == (40, 40, 20, 10)
    assert areas[PART, 4, 0].box == (50, 5, 6, 20) and areas[PART, 0, 4].box == (70, 5, 6, 20)


def test_an_object_is_one_area_whatever_it_looks_like() -> None:
    label, classes = np.zeros((2, 40, 40), np.uint8)
    label[10:30, 10:30] = 1
    classes[10:30, 10:22], classes[10:30, 22:30] = 2, 3
    ((kind, area),) = found(label, classes).items()
    assert kind == (CLASS, 1, 2) and area.pixels == 400


def test_edges_are_no_evidence() -> None:
    label, classes = np.zeros((2, 40, 40), np.uint8)
    label[:, 20:], classes[:, 20 - 2 * int(EDGE) :] = 1, 1
    assert measure(compared(label, classes), "a") == []
    classes[:, 20 - 2 * int(EDGE) - 1 :] = 1
    ((kind, area),) = found(label, classes).items()
    assert kind == (PART, 0, 1) and area.pixels == 5 * 40 and area.inner == 40


def test_the_border_of_the_image_is_no_edge() -> None:
    label, classes = np.zeros((2, 40, 40), np.uint8)
    classes[:, :4] = 1
    (area,) = measure(compared(label, classes), "a")
    assert area.inner == 2 * 40


def test_ignored_pixels_are_in_no_area() -> None:
    label, classes = scene()
    label[10:30, 10:30] = IGNORE
    label[40:50, 50:] = IGNORE
    areas = found(label, classes)
    assert not [key for key in areas if 1 in key[1:] or IGNORE in key]
    assert areas[MISSING, 0, 3].box == (40, 40, 10, 10)


def test_other_values_that_are_ignored() -> None:
    label, classes = scene()
    label[label == 0] = 65
    one = compared(label, classes)
    one.valid = label != 65
    assert {(a.labeled, a.predicted) for a in measure(one, "a")} == {(1, 2), (4, 0)}


def test_agreement_has_no_area() -> None:
    label, _ = scene()
    assert measure(compared(label, label), "a") == []
    nothing = np.full((20, 20), IGNORE, np.uint8)
    assert measure(compared(nothing, nothing * 0), "a") == []


def test_areas_are_found_again() -> None:
    label, classes = scene()
    for area in measure(compared(label, classes), "a"):
        mask = mask_of(area, label, classes, IGNORE)
        assert mask.sum() == area.pixels
        rows, columns = np.nonzero(mask)
        assert (columns.min(), rows.min()) == area.box[:2]
    area = measure(compared(label, classes), "a")[0]
    assert not mask_of(area, label, label, IGNORE).any()


def test_cover_is_the_share_of_what_is_predicted() -> None:
    label, classes = scene()
    areas = found(label, classes)
    assert (areas[CLASS, 1, 2].cover, areas[MISSING, 0, 3].cover) == pytest.approx((1, 1))
    assert areas[PART, 0, 4].cover == pytest.approx(0.3)
    label[40:50, 0:20] = 5  # the surroundings swallow it
    assert found(label, classes)[CLASS, 5, 0].cover == pytest.approx(200 / (classes == 0).sum())
