"""Trainings that end by themselves, through train.py: what is left in the folder, what a resume makes of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from runs import folder, last, rows

import train
from engine.session import Run
from engine.state import TrainState

pytestmark = pytest.mark.usefixtures("signals_restored")


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What each epoch scores, in place of a validation; 0.5 where there is none."""
    found: list[float] = []

    def validate(run: Run, state: TrainState) -> None:
        score = dict(enumerate(found)).get(state.epoch, 0.5)
        state.spent.scores[state.epoch] = score
        run.log.metric("val", {"mean_iu": score}, state.epoch)

    monkeypatch.setattr(train, "validate", validate)
    return found


def epochs(words: list[str], phase: str) -> list[float]:
    return [row["epoch"] for row in rows(words, phase)]


def log(words: list[str]) -> str:
    return (folder(words) / "train.log").read_text()


def test_a_training_ends_where_nothing_gets_better(tiny_run: list[str], scores: list[float]) -> None:
    """Killed before the checkpoint that knows of the second score; resumed with more patience it goes on."""
    scores += [0.6, 0.6, 0.5]
    words = [*tiny_run, "--max_epoch", "9", "--patience", "1", "--resume", "auto"]
    assert train.main(words) == 0
    assert epochs(words, "train") == epochs(words, "val") == [0, 1]
    line = "ends after epoch 1: 1 validation without a better mean IoU than 60.00 % of epoch 0 (--patience)"
    assert log(words).count(line) == 1
    assert last(words)["spent"]["scores"] == {0: 0.6}  # the checkpoint is older than its score
    assert train.main(words) == 0
    assert epochs(words, "train") == [0, 1] and log(words).count(line) == 2
    assert train.main([*words, "--patience", "2"]) == 0
    assert epochs(words, "train") == epochs(words, "val") == [0, 1, 2]


class Clock:
    """A clock that goes on by a second a step, two a checkpoint and three a validation."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def paces(self, patch: pytest.MonkeyPatch, **seconds: float) -> None:
        for name, taken in seconds.items():
            patch.setattr(train, name, partial(self._act, getattr(train, name), taken))

    def _act(self, act: Callable[..., Any], taken: float, *args: Any) -> Any:
        self.now += taken
        return act(*args)


def rates(words: list[str]) -> list[float]:
    return [float(text) for text in re.findall(r" lr (\S+) images", log(words))]


def test_a_training_ends_in_time(tiny_run: list[str], scores: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of an epoch or not; a resume under the same limit ends at once, under a longer one it goes on."""
    clock: Any = Clock()
    clock.paces(monkeypatch, optimizer_step=1, save=2, validate=3)
    for module in ("budget", "session", "state"):
        monkeypatch.setattr(f"engine.{module}.time", clock)
    monkeypatch.setattr("engine.budget.expected_seconds", lambda run, net: 3.0)
    words = [*tiny_run, "--max_epoch", "50", "--time_limit", "27", "--resume", "auto", "--val_freq", "2"]
    assert train.main(words) == 0
    state, found = last(words), rates(words)
    assert state["spent"]["over"] and state["iteration"] == 0 and 0 < state["epoch"] < 20
    assert 17 < clock.now - 100 <= 27
    assert epochs(words, "val")[-1] == state["epoch"] == epochs(words, "train")[-1]
    assert found[0] == 0.01 and found[-1] < 0.003 and found == sorted(found, reverse=True)
    assert "ends in time after epoch" in log(words)
    steps = state["step"]
    assert train.main(words) == 0 and last(words)["step"] == steps
    assert train.main([*words, "--time_limit", "0m45s"]) == 0
    more = rates(words)[len(found) :]
    assert last(words)["step"] == steps + len(more) > steps + 1
    assert more[0] > found[-1] and more[-1] < 0.003


def test_a_run_without_limits_says_what_it_used(trained: list[str]) -> None:
    state = last(trained)["spent"]
    assert state["seconds"] > 0 == state["limit"] == state["progress"] and not state["over"]
