"""The gate: what passes, what is refused, what stands in the proof; no file is written here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from exported import RULE, deployed

from datasets import DATASETS
from engine.export.gate import LIMITS, Gate, Missed, three_sizes
from utils.errors import UserError

SPEC = DATASETS["cityscapes"].spec
PICTURES = [np.random.default_rng(i).integers(0, 256, (60, 90, 3), dtype=np.uint8) for i in range(2)]


def gate(output: str = "logits", precision: str = "fp32") -> Gate:
    return Gate(deployed(output, raw=True), RULE, SPEC, LIMITS[precision])


def moved(run: Callable[[np.ndarray], list[np.ndarray]], by: float) -> Callable[[np.ndarray], list[np.ndarray]]:
    """A file whose first class has a score that is too large."""

    def file(image: np.ndarray) -> list[np.ndarray]:
        (found,) = run(image)
        found = found.copy()
        found[:, 0] += by
        return [found]

    return file


def test_the_network_itself_passes_with_its_figures() -> None:
    one = gate()
    shown = three_sizes(PICTURES, (64, 96), fixed=False)
    lines = list(one.pictures(one.reference, one.watched(shown)))
    assert (
        lines[0]
        == "picture 1, 64x96: largest error 0.0e+00 of the largest value, 100.000 % of the pixels the same class"
    )
    assert one.proof["pictures"]["picture 2, 64x112"] == {"same": 1.0, "error": 0.0}


@pytest.mark.parametrize(
    ("by", "precision", "passes"),
    [(1e-5, "fp32", True), (0.1, "fp32", False), (0.01, "fp16", True), (9, "int8", False)],
)
def test_each_precision_has_its_limits(by: float, precision: str, passes: bool) -> None:
    one = gate(precision=precision)
    lines = one.pictures(moved(one.reference, by), one.watched({"a": PICTURES[0]}))
    if passes:
        assert len(list(lines)) == 1
    else:
        with pytest.raises(Missed, match="the file differs from the network on a: largest error") as error:
            list(lines)
        assert error.value.image is PICTURES[0]


def test_classes_alone_are_compared_by_their_share() -> None:
    one = gate("argmax")
    assert list(one.pictures(one.reference, one.watched({"a": PICTURES[0]}))) == [
        "a: 100.000 % of the pixels the same class"
    ]
    with pytest.raises(Missed, match="0.000 % of the pixels the same class"):
        list(one.pictures(lambda image: [one.reference(image)[0] + 1], one.watched({"a": PICTURES[0]})))


def test_a_file_that_gives_no_numbers_is_refused() -> None:
    one = gate()
    with pytest.raises(Missed, match="largest error nan"):
        list(one.pictures(lambda image: [one.reference(image)[0] * float("nan")], one.watched({"a": PICTURES[0]})))


def test_a_file_that_does_not_run_is_told_of() -> None:
    def fails(image: np.ndarray) -> list[np.ndarray]:
        raise RuntimeError("shape\nof Concat")

    with pytest.raises(UserError, match=r"does not run on a, try --size \(RuntimeError: shape of Concat\)"):
        one = gate()
        list(one.pictures(fails, one.watched({"a": PICTURES[0]})))


def test_points_that_are_lost_are_counted_against_the_limit() -> None:
    """Labels are the network's own classes: it scores 100, and a file that adds to one class less."""
    one = gate("argmax")
    own = [one.reference(one.module.input(image, RULE))[0][0].astype(np.uint8) for image in PICTURES]
    pairs = list(zip(PICTURES, own, strict=True))
    assert one.score(one.reference, pairs) == 100
    assert "mean IoU 100.000, the network's 100.000, on 2 pictures of mine" in one.labeled(
        one.reference, "mine", pairs, 100
    )
    assert one.proof["labeled"] == {"data": "mine", "pictures": 2, "mean_iou": 100, "network": 100}

    def few(image: np.ndarray) -> list[np.ndarray]:
        (found,) = one.reference(image)
        found = found.copy()
        found[:, :2] = (found[:, :2] + 1) % 19
        return [found]

    with pytest.raises(Missed, match=r"scores worse than the network: .*points lost where 0\.01 may be"):
        one.labeled(few, "mine", pairs, 100)
    assert one.score(few, pairs) > 50


def test_control_of_accuracy_sees_points_and_classes() -> None:
    """Classes that agree on less than the limit count as more than may be lost, also without labels."""
    one = gate("argmax", "int8")
    own = [one.reference(one.module.input(image, RULE))[0][0].astype(np.uint8) for image in PICTURES]
    pairs = list(zip(PICTURES, own, strict=True))

    def wrong(rows: int) -> Callable[[np.ndarray], list[np.ndarray]]:
        def file(image: np.ndarray) -> list[np.ndarray]:
            (found,) = one.reference(image)
            found = found.copy()
            found[:, :rows] = (found[:, :rows] + 1) % 19
            return [found]

        return file

    shown = [*one.watched(dict(zip("ab", PICTURES, strict=True))).values()]
    assert one.lost(one.reference, pairs, shown, 100) == 0
    assert one.lost(wrong(2), pairs, shown, 100) == 100 - one.score(wrong(2), pairs)  # 2 of 60 rows
    assert one.lost(wrong(2), [], shown, 0) == 0
    assert one.lost(wrong(12), [], shown, 0) == pytest.approx(1 + 10)  # 80 % where 90 may be


def test_three_sizes_are_within_what_a_file_takes() -> None:
    shown = three_sizes(PICTURES, (64, 64), fixed=False)
    assert [image.shape[:2] for image in shown.values()] == [(64, 64), (64, 96), (80, 80)]
    assert {image.shape[:2] for image in three_sizes(PICTURES, (64, 96), fixed=True).values()} == {(64, 96)}


def test_raw_and_normalized_input_are_the_same_picture() -> None:
    with torch.inference_mode():
        raw = deployed(raw=True)(torch.from_numpy(deployed(raw=True).input(PICTURES[0], RULE)))
        normalized = deployed()(torch.from_numpy(deployed().input(PICTURES[0], RULE)))
    assert torch.allclose(raw, normalized, atol=1e-6)
