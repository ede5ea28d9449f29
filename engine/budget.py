"""When a training ends: after its last epoch, after validations that bring nothing better, or in time.

With a limit of time the schedule is fitted to it: a step moves it on by one part in as many as there is time for, so
that the rate is at its end when time is up. How many these are is measured anew all along: what a step, a checkpoint
and a validation take. The main rank's clock decides for all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch

from engine.meter import duration
from engine.session import Run
from engine.state import Spent, TrainState
from engine.validation import expected_seconds
from utils.contracts import Batch
from utils.distributed import DistributedContext, from_main

_SPARE = 0.1  # of what the end takes, for what lasts longer than it did
_MOST_SPARE = 30.0  # seconds kept free beside, or a hundredth of the limit
_EASE = 0.3  # share by which a validation or checkpoint that took less than those before lowers what is kept free
_KEPT = 0.9  # share of what was measured before that a step leaves
_DISK = 5e7  # bytes a second, of a checkpoint before one was written


@dataclass
class Budget:
    """What is left of a training of `epochs`, `batches` in all and `per_epoch` in each.

    `limit`: seconds, 0 for any. `patience`: validations without a better score, 0 for any; `val_freq`: epochs from one
    to the next, 0 without. `accum` batches make a step; `look_every`: batches from one look at the clock to the next.
    """

    state: TrainState
    ranks: DistributedContext
    epochs: int
    batches: int
    per_epoch: int
    limit: float = 0.0
    patience: int = 0
    val_freq: int = 1
    accum: int = 1
    look_every: int = 20
    _left: float = math.inf  # batches that there is time for
    _since: int = 0  # batches since the last look
    _looked: float = 0.0
    _closed: float = 0.0  # when the batches of an epoch were through
    _timed: float = 0.0  # seconds of what was measured by itself since then

    @property
    def spent(self) -> Spent:
        """What the run has used so far."""
        return self.state.spent

    @property
    def over(self) -> bool:
        """Whether the training has ended; changes at the end of an epoch and of a validation alone."""
        out_of_patience = 0 < self.patience <= self.spent.without_better
        return self.state.epoch + 1 >= self.epochs or self.spent.over or out_of_patience

    def left(self) -> float:
        """Batches that are left: of the last epoch's end, or those that there is time for."""
        to_the_end = self.batches - (self.state.epoch + 1) * self.per_epoch - self.state.iteration
        return min(to_the_end, max(0.0, self._left))

    def progress(self) -> float:
        """Share of the training that is done, 0 to 1, by which the schedule goes under a limit."""
        return self.spent.progress

    def start(self, resumed: bool) -> None:
        """Take up what a checkpoint says: under another limit than its own, the schedule is fitted anew."""
        spent, done = self.spent, (self.state.epoch + 1) * self.per_epoch + self.state.iteration
        if self.limit != spent.limit:
            spent.over = False
        if not self.limit:
            return
        self._look()
        if self.limit != spent.limit and resumed:
            spent.progress = done / max(1.0, done + self.left())
        spent.limit = self.limit
        # In the middle of an epoch there is always a step more: with it comes the score.
        spent.over |= resumed and not self.state.iteration and self._left < 1

    def in_time(self, batches: Iterable[Batch]) -> Iterable[Batch]:
        """Give the batches of an epoch that there is time for; the loop has to count them in `state.iteration`."""
        return self._until_over(batches) if self.limit else batches

    def _until_over(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        self._looked, self._since = time.monotonic(), 0
        if self._closed:
            self.spent.took["between"] = max(0.0, self._looked - self._closed - self._timed)
        for batch in batches:
            yield batch
            self._count()
            if self.state.iteration % self.accum == 0 and self._left < 1:
                self.spent.over = True
                break
        self._closed, self._timed = time.monotonic(), 0.0

    def _count(self) -> None:
        """Move on by the batch that was trained; look at the clock now and then, near the end after each."""
        spent, done = self.spent, self.state.iteration
        self._left, self._since = self._left - 1, self._since + 1
        spent.progress += (1 - spent.progress) / (1 + self.left())
        first = self.state.epoch < 0 and done <= self.look_every
        if first or done % self.look_every == 0 or self._left < self.look_every:
            self._look()

    def _look(self) -> None:
        """Measure what a batch takes, and say anew how many there is time for: on all ranks what the main one says."""
        now, took = time.monotonic(), self.spent.took
        if self._since:
            taken, kept = (now - self._looked) / self._since, _KEPT**self._since
            took["step"] = kept * took["step"] + (1 - kept) * taken if took["step"] else taken
        self._looked, self._since = now, 0
        left = self._time_for() if took["step"] else math.inf
        self._left = float(self.ranks.sum(torch.tensor(left if self.ranks.is_main else 0.0, dtype=torch.float64)))

    def _time_for(self) -> float:
        """Count the batches that the rest of the time is enough for, with what comes between the epochs and behind."""
        state, took, batches = self.state, self.spent.took, 0.0
        free, of_epoch = self.limit - self.spent.seconds - self.closing(), self.per_epoch - state.iteration
        for epoch in range(state.epoch + 1, self.epochs):
            if free < (of_epoch + 1) * took["step"]:
                return batches + max(0.0, free / took["step"] - 1)
            batches, free = batches + of_epoch, free - of_epoch * took["step"]
            free -= took["between"] + took["save"] + (took["validation"] if self._validates(epoch) else 0.0)
            of_epoch = self.per_epoch
        return batches

    def _validates(self, epoch: int) -> bool:
        return self.val_freq > 0 and (epoch + 1) % self.val_freq == 0

    def closing(self) -> float:
        """Seconds that are kept for the last checkpoint and its score."""
        end = sum(self.spent.took[what] for what in ("between", "save", "validation", "write"))
        return (1 + _SPARE) * end + min(_MOST_SPARE, 0.01 * self.limit)

    def close_epoch(self) -> None:
        """Decide whether there is time for another; before its checkpoint, which says so."""
        self._look_between()

    def time(self, what: str, work: Callable[[], None]) -> None:
        """Measure a "save" or a "validation"; after the latter decide whether there is time for more."""
        began = time.monotonic()
        work()
        taken = time.monotonic() - began
        self.spent.took[what] = max(taken, (1 - _EASE) * self.spent.took[what] + _EASE * taken)
        self._timed += taken
        if what == "validation":
            self._look_between()

    def _look_between(self) -> None:
        if self.limit:
            self._since = 0
            self._look()
            self.spent.over |= self._left < 1

    def tell(self, say: Callable[[str], None]) -> None:
        """Say why the training has ended, if that was before its last epoch."""
        spent, where = self.spent, f"after epoch {self.state.epoch}"
        if self.state.epoch + 1 >= self.epochs:
            return
        if spent.over:
            rate = f"{100 * spent.progress:.1f} % of the schedule are done"
            say(f"ends in time {where}: {duration(spent.seconds)} of {duration(self.limit)} (--time_limit); {rate}")
            return
        best = max(spent.scores, key=lambda epoch: (spent.scores[epoch], -epoch), default=-1)
        score = f"{100 * spent.scores.get(best, math.nan):.2f} % of epoch {best}"
        count = f"{spent.without_better} validation{'s' * (spent.without_better > 1)}"
        say(f"ends {where}: {count} without a better mean IoU than {score} (--patience)")


def build(run: Run, state: TrainState, per_epoch: int, resumed: bool) -> Budget:
    """Make the budget that TRAIN asks for, of a run that begins or goes on; says what it knows of its time."""
    t, spent = run.cfg.TRAIN, state.spent
    batches = t.MAX_ITERS or t.MAX_EPOCH * per_epoch
    frequency = t.VAL_FREQ if t.DO_EVAL else 0
    found = Budget(
        state, run.ranks, t.MAX_EPOCH, batches, per_epoch, t.TIME_LIMIT, t.PATIENCE, frequency, t.ACCUM, t.LOG_EVERY
    )
    spent.began = run.began
    if resumed:  # a run may have been killed between a score and its next checkpoint
        spent.scores |= from_main(run.ranks, lambda: _history(run, state))
    if t.TIME_LIMIT:
        size = sum(p.numel() * p.element_size() for p in state.net.parameters())
        spent.took["save"] = spent.took["save"] or 3 * size / _DISK  # with the optimizer's slots, or an average
        if frequency and not spent.took["validation"]:
            spent.took["validation"] = expected_seconds(run, state.evaluated)
    found.start(resumed)
    if t.TIME_LIMIT:
        before = f"{duration(spent.before)} of it used before, " if resumed else ""
        keeps = f"about {duration(found.closing())} kept for the last checkpoint and its score"
        warning = "warning: " if found.closing() > t.TIME_LIMIT / 2 else ""
        run.log.line(f"{warning}--time_limit {duration(t.TIME_LIMIT)}: {before}{keeps}")
    return found


def _history(run: Run, state: TrainState) -> dict[int, float]:
    """Read {epoch: score} of the run's validations up to where it stands."""
    rows = [row for row in run.log.history("val") if "mean_iu" in row]
    return {int(row["epoch"]): row["mean_iu"] for row in rows if row["epoch"] <= state.epoch}
