"""Worker of tests/engine/test_survival.py: trainings in which memory runs out, beside those that are split by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import config
import datasets
import loss
import train
from engine.ema import ModelEma
from engine.log import RunLog
from engine.session import Run
from engine.state import FiniteGuard, TrainState
from engine.survival import survive_step
from engine.training import Trainer
from loss.criterion import Criterion, Term
from loss.cross_entropy import CrossEntropy
from utils import amp, distributed
from utils.collectives import DataParallel
from utils.normalization import Normalization

PLACES = ("transfer", "forward", "statistics", "loss", "backward", "end of backward")
STEPS, ACCUM, IMAGES = 3, 2, 4


@dataclass
class Fault:
    """Memory runs out at `place`, once, in a batch of `step`, by default the second, on `rank`, or on all (-1)."""

    place: str = ""
    step: int = 1
    rank: int = 0
    batch: int = 1
    now: int = -1  # batches so far
    left: int = 1

    def at(self, place: str, rank: int) -> None:
        here = place == self.place and self.rank in (rank, -1)
        if here and self.left and self.now == self.step * ACCUM + self.batch:
            self.left -= 1
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, look: Any) -> Tensor:
        ctx.look = look
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        ctx.look()
        return grad, None


class Tiny(nn.Module):
    """Two convolutions with a batch norm and dropout between them, for 3 classes; `look(place)` at its places."""

    def __init__(self, look: Any) -> None:
        super().__init__()
        self.one, self.norm, self.two = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1)
        self.look = look

    def start_epoch(self, epoch: int) -> None:
        pass

    def forward(self, image: Tensor, size: object = None) -> dict[str, Tensor]:  # noqa: ARG002
        self.look("forward")
        x = self.one(image)
        x = _Backward.apply(x, partial(self.look, "end of backward"))
        x = self.norm(x)
        self.look("statistics")
        x = torch.dropout(x, 0.3, train=self.training)
        return {"pred": _Backward.apply(self.two(x), partial(self.look, "backward"))}


class Looking(CrossEntropy):
    """Looks behind the sum over the ranks."""

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        value = super().forward(logits, label)
        self.look("loss")
        return value


def trainer_of(run: Run, fault: Fault) -> Trainer:
    """A training of the tiny network that looks for its fault."""
    torch.manual_seed(0)
    look = partial(fault.at, rank=run.ranks.rank)
    net: Any = distributed.sync_batchnorm(Tiny(look), run.ranks)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    state = TrainState(net, optimizer, run.precision.scaler, ModelEma(net, 0.9))
    measure = Looking(3, ranks=run.ranks)
    measure.look = look  # type: ignore[assignment]
    criterion = Criterion([Term("main", ("pred",), 1.0, measure)], 3)
    normalize = Normalization((0.5,) * 3, (0.2,) * 3, run.ranks.device)
    survive_step(optimizer)
    nothing: Any = None
    rate = loss.schedule.rate_function(run.cfg)
    forward = DataParallel(net, run.ranks, bucket=1e-5) if run.ranks.world > 1 else net  # a bucket for each weight
    return Trainer(state, net, forward, criterion, rate, nothing, normalize, FiniteGuard(net), nothing)


def batch(rank: int, number: int) -> Any:
    """Images and labels of a rank."""
    drawn = torch.Generator().manual_seed(100 * rank + number)
    image = torch.rand(IMAGES, 3, 6, 6, generator=drawn)
    label = torch.randint(0, 3, (IMAGES, 6, 6), generator=drawn)
    return {"image": image, "label": label, "name": ["some"] * IMAGES, "size": []}


def trained(run: Run, fault: Fault, split_at: int = STEPS) -> tuple[Trainer, list[Tensor]]:
    """Train with a fault, or with batches in two parts from the step `split_at` on; the trainer, and what it has."""
    trainer = trainer_of(run, fault)
    state = trainer.state
    torch.manual_seed(7 + run.ranks.rank)
    for number in range(STEPS * ACCUM):
        fault.now, state.iteration = number, number + 1
        state.parts = 2 if number == split_at * ACCUM else state.parts
        work = partial(transferred, run, trainer, fault)
        trainer.open_step.add(run, work, batch(run.ranks.rank, number), ACCUM, number % ACCUM == 1)
        if number % ACCUM == 1:
            train.optimizer_step(run, trainer, 0.1)
            state.settle()
    return trainer, everything(state)


def transferred(run: Run, trainer: Trainer, fault: Fault, part: Any, divisor: float) -> Tensor:
    """The work of a batch, behind the first place."""
    fault.at("transfer", run.ranks.rank)
    return train.backward(run, trainer, 0, part, divisor)


def everything(state: TrainState) -> list[Tensor]:
    """Weights, averages, statistics, slots, random state and losses."""
    slots = [x for slots in state.optimizer.state.values() for x in slots.values() if isinstance(x, Tensor)]
    assert state.ema is not None
    parts = [*state.net.state_dict().values(), *state.ema.net.state_dict().values(), state.ema.steps, state.step]
    return [x.clone() for x in (*parts, *slots, torch.get_rng_state(), *(b.value for b in state.unread))]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    """Equal to the last bit."""
    return len(one) == len(other) and all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


def run_in(folder: Path, ranks: distributed.DistributedContext, more: Sequence[str] = ()) -> Run:
    """A run that logs to `folder`; `more` options."""
    words = ["--dataset", "toy", "--arch", "basic.HRNet", "--crop_size", "64", "--bs_trn", "4", "--syncbn", *more]
    cfg = config.load(words)
    log = RunLog(folder, main=ranks.is_main)
    return Run(cfg, datasets.spec(cfg), ranks, log, amp.build(False, "O1", ranks.device), "")


def main(words: list[str]) -> int:
    """Memory runs out at each place on the second rank; {place: equal to the split run} and the lines to a folder."""
    ranks, folder = distributed.init(), Path(words[0])
    run = run_in(folder, ranks)
    found: dict[str, Any] = {}
    _, plain = trained(run, Fault())
    for step in (0, 1):
        _, wanted = trained(run, Fault(), split_at=step)
        found[f"split from {step} on differs"] = not same(wanted, plain)
        for place in PLACES:
            _, got = trained(run, Fault(place, step, rank=1))
            found[f"{place} in step {step}"] = same(wanted, got)
    for rank, batch, place in ((1, 0, "transfer"), (0, 0, "end of backward"), (-1, 0, "loss"), (-1, 1, "backward")):
        _, got = trained(run, Fault(place, 1, rank, batch))
        found[f"{place} in batch {batch} of rank {rank}"] = same(wanted, got)
    found["all"] = all(part for parts in ranks.gather(found) for part in parts.values())
    if ranks.is_main:
        (folder / "found.json").write_text(json.dumps(found))
    run.close()
    ranks.barrier()
    distributed.close()
    return 0
