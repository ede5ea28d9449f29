"""The benchmark of the finder: faults planted in labels that a stub network knows, and what counts as found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import label_errors
from benchmarks.label_errors import (
    TOP,
    Outcome,
    Predicted,
    areas_of,
    check_record,
    enlarged,
    judge,
    ours,
    peers,
    row,
    write_array,
)
from benchmarks.planted_faults import Planted, places, plant_all
from utils.contracts import DatasetSpec
from utils.errors import UserError

SPEC = DatasetSpec("drawn", ("road", "sky", "car", "person"), tuple((40 * k, 0, 0) for k in range(4)))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Predicted:
    """Scenes with objects here and there, and a network that is right and sure, but for noise and some errors."""
    folder, rng = tmp_path_factory.mktemp("probabilities"), np.random.default_rng(0)
    labels, files = [], []
    for number in range(40):
        label = np.zeros((64, 96), np.uint8)
        label[:20] = 1
        for left in (4, 34, 66):
            top = rng.integers(26, 40)
            label[top : top + 18, left : left + 20] = rng.choice([2, 3])
        seen = label.copy()
        seen[20 : rng.integers(21, 28)] = 1  # of the horizon it is never sure
        logits = np.where(np.arange(4)[:, None, None] == seen, 6, 0) + rng.normal(0, 1, (4, *label.shape))
        p = np.exp(logits)
        files.append(folder / f"{number:06d}.npy")
        write_array(files[-1], (p / p.sum(0)).astype(np.float16))
        labels.append(label)
    return Predicted(SPEC, [f"{n}" for n in range(40)], labels, files)


def test_planted_faults_are_found(everything: Predicted) -> None:
    where = places(everything.labels, SPEC.ignore_label)
    planted = plant_all(everything.labels, where, 0.3, SPEC.ignore_label, 0)
    found = ours(everything, planted)["ours"]
    assert len(planted.kinds) == 36 and len(found.found) > 30
    assert found.precision > 0.3  # 36 faults, of which some have two areas, and 100 places
    nothing = ours(everything, Planted({}, {}, []))["ours"]
    assert nothing == (0.0, 0.0, set())
    assert 0.8 < found.r_precision <= 1 and found.precision <= 0.5  # 100 places, 36 faults


def test_half_of_an_area_has_to_be_changed() -> None:
    faults = np.full((4, 10), -1, np.int32)
    faults[:, :5] = 3
    planted = Planted({0: np.zeros((4, 10), np.uint8)}, {0: faults}, ["dropped"] * 4)
    whole = np.ones((4, 10), bool)
    assert judge([(0, whole), (1, whole)], planted) == (1 / TOP, 1 / 4, {3})
    whole[0, :1] = False
    assert judge([(0, whole)], planted) == (0.0, 0.0, set())


def test_as_many_areas_as_faults_are_judged_by_themselves() -> None:
    planted = Planted({0: np.zeros((4, 10), np.uint8)}, {0: np.zeros((4, 10), np.int32)}, ["dropped"] * (TOP + 50))
    whole = np.ones((4, 10), bool)
    found = judge([(0, whole)] * TOP + [(1, whole)] * 50, planted)
    assert found == (1.0, TOP / (TOP + 50), {0})


def test_a_line_of_the_table() -> None:
    planted = Planted({}, {}, ["dropped", "swapped"])
    line = row("0.05", "ours", [planted, planted], [Outcome(0.5, 0.4, {0}), Outcome(0.7, 0.6, {0, 1})])
    cells = ["0.05", "ours", "2/2", "60.00 (from 50.00 to 70.00)", "2.00", "50.00 (from 40.00 to 60.00)", "75.00"]
    assert line == f"| {' | '.join([*cells, '100.00', '50.00', '0.00'])} |"


def test_areas_of_single_pixels_that_stand_for_squares() -> None:
    issues = np.zeros((2, 6, 10), bool)
    issues[1, 1:3, 2:4], issues[1, 5, 9] = True, True
    quality = np.full(issues.shape, 0.25)
    found = list(areas_of(issues, quality))
    assert [(image, mean, size) for image, mean, size, _ in found] == [(1, 0.25, 4), (1, 0.25, 1)]
    mask = enlarged(found[0][3], (6, 10), 2, (11, 20))
    assert mask.shape == (11, 20) and mask.sum() == 16 and mask[2:6, 4:8].all()


def test_without_cleanlab_it_is_left_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(label_errors.importlib.util, "find_spec", lambda name: None)
    assert peers() == [] and "cleanlab is not installed" in capsys.readouterr().out


def test_probabilities_of_another_run_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "val.json"
    check_record(path, {"snapshot": "a"})
    check_record(path, {"snapshot": "a"})
    with pytest.raises(UserError, match="give another --out"):
        check_record(path, {"snapshot": "b"})
