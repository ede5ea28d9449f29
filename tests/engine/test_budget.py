"""When a training ends: in time with the schedule at its end, or after validations that bring nothing better."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.budget import Budget
from engine.state import Spent
from engine.validation import validation_due
from utils.distributed import DistributedContext

ONE = DistributedContext()


class Clock:
    """A clock that stands still unless it is told to go on."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    for module in ("budget", "state"):
        monkeypatch.setattr(f"engine.{module}.time", found)
    return found


def budget(limit: float, ranks: Any = ONE, epochs: int = 50, per_epoch: int = 40, **more: Any) -> Budget:
    state: Any = SimpleNamespace(epoch=-1, iteration=0, spent=Spent(limit=limit))
    found = Budget(state, ranks, epochs, epochs * per_epoch, per_epoch, limit, **more)
    found.start(resumed=False)
    return found


def said(part: Budget) -> str:
    lines: list[str] = []
    part.tell(lines.append)
    return "\n".join(lines)


class Training:
    """The loop of `train.fit` in seconds alone; `rates`: progress before each step, `scored`: epochs validated."""

    def __init__(self, clock: Clock, step: float = 1.0, save: float = 2.0, validation: float = 9.0) -> None:
        self.clock, self.step, self.save, self.validation = clock, step, save, validation
        self.noise, self.rates, self.scored = random.Random(0), [], []

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds * self.noise.uniform(0.9, 1.1)

    def run(self, part: Budget, val_freq: int = 1, stop_after: int = 10**9) -> None:
        """`stop_after`: steps, after which it saves as if asked to stop."""
        state, t = part.state, SimpleNamespace(MAX_EPOCH=part.epochs, DO_EVAL=True, VAL_FREQ=val_freq)
        cfg: Any = SimpleNamespace(TRAIN=t)
        while not part.over:
            self.wait(3 * self.step)  # loaders start
            for _ in part.in_time(iter([{}] * (part.per_epoch - state.iteration))):  # type: ignore[arg-type]
                self.rates.append(part.progress())
                self.wait(self.step)
                state.iteration += 1
                stop_after -= 1
                if not stop_after:
                    return
            state.epoch, state.iteration = state.epoch + 1, 0
            self.wait(self.step)  # rows, curves
            part.close_epoch()
            part.time("save", lambda: self.wait(self.save))
            if validation_due(cfg, state.epoch, part.over):
                part.time("validation", lambda: self.wait(self.validation))
                self.scored.append(state.epoch)


@pytest.mark.parametrize("limit", [120, 500, 1111, 1500])
@pytest.mark.parametrize("val_freq", [1, 3, 100])
def test_a_training_ends_in_time_with_its_schedule(clock: Clock, limit: float, val_freq: int) -> None:
    part, training = budget(limit, val_freq=val_freq), Training(clock)
    part.spent.took |= {"save": 2.0, "validation": 9.0}
    training.run(part, val_freq)
    assert min(0.85 * limit, limit - 35) < clock.now - 1000 <= limit
    assert part.spent.over and part.spent.progress > 0.97 and "ends in time" in said(part)
    assert training.scored[-1] == part.state.epoch < 49  # what is there at the end has a score
    assert all(a < b for a, b in zip(training.rates, training.rates[1:], strict=False))


def test_the_last_epoch_is_the_upper_bound(clock: Clock) -> None:
    part, training = budget(1e6, epochs=3), Training(clock)
    training.run(part)
    assert 3 < part.spent.took["between"] < 5 and 1 < part.spent.took["save"] < 3
    assert (part.state.epoch, len(training.rates), said(part)) == (2, 120, "")
    assert training.rates == pytest.approx([i / 120 for i in range(120)])


def test_slow_steps_are_noticed_before_the_first_look_of_a_log(clock: Clock) -> None:
    part, training = budget(100, look_every=1000), Training(clock, step=8, save=0, validation=0)
    training.run(part)
    assert clock.now - 1000 <= 100 and training.scored == [0] and len(training.rates) > 5


def test_gradients_that_are_added_up_are_not_cut_apart(clock: Clock) -> None:
    part, training = budget(60, accum=4), Training(clock)
    training.run(part)
    assert part.spent.over and len(training.rates) % 4 == 0


def test_a_requeue_goes_on_with_what_is_left(clock: Clock) -> None:
    first, training = budget(300), Training(clock)
    training.run(first, stop_after=100)
    record, used = first.spent.record(), clock.now - 1000
    assert record["seconds"] == used
    clock.now += 1e6  # in the queue
    began = clock.now
    second = budget(300)
    second.state.epoch, second.state.iteration = first.state.epoch, first.state.iteration
    second.state.spent = Spent()
    second.spent.resume(record)
    second.start(resumed=True)
    assert second.progress() == first.progress()
    training.run(second)
    assert 0.85 * 300 < used + clock.now - began <= 300 and second.progress() > 0.97


def resumed(clock: Clock, before: float, limit: float, iteration: int = 0) -> Budget:
    """Ended in time after 100 seconds and two epochs of 40; another limit from then on."""
    part = budget(0)
    part.state.epoch, part.state.iteration = 1, iteration
    took = {"step": 1.0, "save": 2.0, "validation": 5.0}
    part.spent.resume({"seconds": before, "limit": 100.0, "progress": 1.0, "over": not iteration, "took": took})
    part.limit = limit
    part.start(resumed=True)
    return part


def test_what_has_ended_in_time_stays_so_and_a_longer_limit_fits_anew(clock: Clock) -> None:
    assert resumed(clock, 100, 100).over
    longer = resumed(clock, 100, 200)
    assert not longer.over and longer.progress() == pytest.approx(80 / (80 + longer.left()))
    assert 60 < longer.left() < 90
    assert not resumed(clock, 100, 0).over  # without a limit


def test_a_run_that_stopped_in_an_epoch_takes_a_step_and_is_scored(clock: Clock) -> None:
    part, training = resumed(clock, 99, 100, iteration=7), Training(clock)
    assert not part.over
    training.run(part)
    assert len(training.rates) == 1 and training.scored == [2]


class Other(DistributedContext):
    """A rank beside the main one, whose words it hears."""

    heard = 0.0

    @property
    def is_main(self) -> bool:
        return False

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        assert float(value) == 0
        return value + self.heard


def test_the_main_ranks_clock_decides(clock: Clock) -> None:
    ranks = Other(rank=1, world=2)
    object.__setattr__(ranks, "heard", 5.0)
    part = budget(10, ranks)
    clock.now += 1e6  # this one's clock is wild
    part.close_epoch()
    assert not part.over and part.left() == 5
    object.__setattr__(ranks, "heard", 0.5)
    part.close_epoch()
    assert part.over


@pytest.mark.parametrize(
    ("scores", "count"),
    [([], 0), ([0.5], 0), ([0.5, 0.4], 1), ([0.5, 0.5, 0.5], 2), ([0.5, 0.4, 0.6], 0), ([math.nan, 0.1, math.nan], 1)],
)
def test_validations_without_a_better_score(scores: list[float], count: int) -> None:
    spent = Spent(scores={2 * i: score for i, score in enumerate(scores)})
    assert spent.without_better == count
    again = Spent()
    again.resume(spent.record())
    assert again.without_better == count


def test_patience_ends_a_training_and_says_so() -> None:
    part = budget(0, patience=2)
    part.state.epoch = 5
    part.spent.scores.update({0: 0.5, 2: 0.6})
    assert not part.over
    part.spent.scores.update({4: 0.6, 5: 0.1})
    assert part.over
    assert said(part) == (
        "ends after epoch 5: 2 validations without a better mean IoU than 60.00 % of epoch 2 (--patience)"
    )


def test_without_a_limit_nothing_is_asked_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    part = budget(0)
    monkeypatch.setattr("engine.budget.time", None)
    batches = iter([1])
    assert part.in_time(batches) is batches  # type: ignore[arg-type, comparison-overlap]
    part.close_epoch()
    assert not part.over and part.left() == 2000
