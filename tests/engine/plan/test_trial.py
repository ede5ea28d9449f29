"""The largest batch that fits is taken, and a step keeps its images."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

import pytest

from engine.plan.rules import Choice
from engine.plan.trial import Measured, TooLarge, fitted, run
from utils.errors import UserError

START = [Choice("DATASET.CROP_SIZE", (256, 256), "")]


class Machine:
    """Takes a byte a pixel, and runs out of memory above 1.5 times what is free."""

    def __init__(self, memory: int) -> None:
        self.memory, self.tried = memory, []

    def __call__(self, values: Mapping[str, object]) -> Measured:
        height, width = values.get("DATASET.CROP_SIZE", (256, 256))  # type: ignore[misc]
        size = int(str(values["TRAIN.BATCH_SIZE"]))
        self.tried.append((size, height))
        if size * height * width > 1.5 * self.memory:
            raise TooLarge
        return Measured(0.5, size * height * width)


def planned(memory: int, given: Mapping[str, object] | None = None) -> tuple[dict[str, object], Machine]:
    machine = Machine(memory)
    start = [choice for choice in START if choice.key not in (given or {})]
    found, _ = fitted(start, (8, 1), given or {}, memory, machine)
    return {choice.key: choice.value for choice in found}, machine


def test_what_fits_at_once_is_tried_once() -> None:
    found, machine = planned(8 * 256**2 * 2)
    assert found == {"DATASET.CROP_SIZE": (256, 256), "TRAIN.BATCH_SIZE": 8, "TRAIN.ACCUM": 1}
    assert machine.tried == [(8, 256)]


@pytest.mark.parametrize("share", [0.7, 1.0])  # one that runs out of memory, one that comes too near
def test_half_a_batch_is_accumulated_twice(share: float) -> None:
    found, machine = planned(int(4 * 256**2 / 0.8) + 1 if share < 1 else int(8 * 256**2 * share))
    assert found["TRAIN.BATCH_SIZE"] == 4 and found["TRAIN.ACCUM"] == 2
    assert machine.tried == [(8, 256), (4, 256)]


def test_where_one_image_does_not_fit_crops_are_halved() -> None:
    found, machine = planned(200**2)
    assert found["TRAIN.BATCH_SIZE"] == 1 and found["TRAIN.ACCUM"] == 8 and found["DATASET.CROP_SIZE"] == (128, 128)
    assert machine.tried[-1] == (1, 128)


def test_what_somebody_chose_stays() -> None:
    found, machine = planned(5 * 256**2, {"TRAIN.BATCH_SIZE": 4})
    assert "TRAIN.BATCH_SIZE" not in found and found["TRAIN.ACCUM"] == 1 and machine.tried == [(4, 256)]
    with pytest.raises(UserError, match=r"one image a step does not fit .* smaller --crop_size"):
        planned(100**2, {"DATASET.CROP_SIZE": (256, 256)})


def test_a_given_batch_that_does_not_fit_gets_smaller_crops() -> None:
    found, _ = planned(4 * 150**2, {"TRAIN.BATCH_SIZE": 4})
    assert found["DATASET.CROP_SIZE"] == (128, 128)


def test_nothing_fits() -> None:
    with pytest.raises(UserError, match="does not fit into memory"):
        planned(10)


@pytest.mark.parametrize(
    ("code", "words", "error"),
    [
        (2, "a line\nerror: unknown --dataset 'nosuch'\n", UserError),
        (2, "error: out of memory: lower --bs_trn", TooLarge),
        (-9, "", TooLarge),
    ],
)
def test_a_trial_that_fails(code: int, words: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def imitated(command: list[str], **_: object) -> subprocess.CompletedProcess:
        seen.append(command)
        return subprocess.CompletedProcess(command, code, "", words)

    monkeypatch.setattr(subprocess, "run", imitated)
    with pytest.raises(error) as raised:
        run(["--dataset", "nosuch"], "SEED: 1\n")
    if error is UserError:
        assert str(raised.value) == "--auto: the trial of 6 steps failed: unknown --dataset 'nosuch'"
    assert seen[0][2:4] == ["--cfg", seen[0][3]] and "OPTIONS.AUTO" in seen[0]


def test_a_trial_is_no_run_of_the_trackers_and_ends_by_its_steps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import config

    seen: list[list[str]] = []

    def imitated(command: list[str], **_: object) -> subprocess.CompletedProcess:
        seen.append(command[2:])
        file = command[3]
        cfg = config.load(command[2:], dry=True)
        assert (cfg.TRAIN.TRACK, cfg.TRAIN.PATIENCE, cfg.TRAIN.TIME_LIMIT, cfg.TRAIN.MAX_ITERS) == (("none",), 0, 0, 6)
        assert not cfg.OPTIONS.AUTO and not cfg.TRAIN.DO_EVAL and file.endswith("tried.yaml")
        return subprocess.CompletedProcess(command, 2, "", "error: enough")

    monkeypatch.setattr(subprocess, "run", imitated)
    words = ["--dataset", "camvid", "--auto", "--dry_run", "--patience", "5", "--time_limit", "9s", "--track", "wandb"]
    with pytest.raises(UserError, match="enough"):
        run(words, "SEED: 1\n")
    assert seen
