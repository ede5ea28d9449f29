"""Numbers that are none, thrown at a training of a tiny network: in one process, or on a rank as a worker.

A case is a loss, a fault, a way of training and the ranks that have the fault. Of three steps the second has it;
`broken` says what has to hold.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rank_survival import everything, run_in
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import train
from engine.ema import ModelEma
from engine.session import Run
from engine.state import FiniteGuard, TrainState
from engine.training import Trainer
from loss import LOSSES, schedule, table
from loss.criterion import Criterion, Term
from utils import distributed
from utils.collectives import DataParallel
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.normalization import Normalization

K, SIDE, IMAGES = 19, 16, 2
NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
# Where the second step has a number that is none.
PLACES = ("image", "output", "loss", "gradient", "weight")
BAD = [f"{place} {name}" for place in PLACES for name in NUMBERS]
# What is odd, and finite all the same.
ODD = ("all ignored", "one class", "one color", "constant outputs", "large outputs")
WAYS = ("plain", "accum", "recomputed", "scaled", "parts")


class Case(NamedTuple):
    """A loss of the table, a fault of BAD or ODD, a way of training, the rank that has the fault (-1: all)."""

    loss: str
    fault: str
    way: str = "plain"
    rank: int = -1


def cases(world: int = 1) -> list[Case]:
    """All of them."""
    ranks = range(-1, world) if world > 1 else (-1,)
    return [Case(*given) for given in itertools.product(LOSSES, (*BAD, *ODD), WAYS, ranks)]


class Tiny(nn.Module):
    """A convolution, a batch norm, dropout and what every loss reads; `bend` has the scores at the end."""

    def __init__(self, recomputed: bool) -> None:
        super().__init__()
        self.one, self.norm, self.two = nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.Conv2d(6, K + 3, 1)
        self.recomputed = recomputed
        self.bend: Callable[[Tensor], Tensor] = lambda x: x

    def start_epoch(self, epoch: int) -> None:
        pass

    def features(self, image: Tensor) -> Tensor:
        return torch.dropout(self.norm(self.one(image)).relu(), 0.2, train=self.training)

    def forward(self, image: Tensor, size: object = None) -> dict[str, Tensor]:  # noqa: ARG002
        x = checkpoint(self.features, image, use_reentrant=False) if self.recomputed else self.features(image)
        scores = self.bend(self.two(x))
        pred = scores[:, :K]
        seeds = {"offset": scores[:, K : K + 2].tanh(), "confidence": scores[:, K + 2 :].sigmoid()}
        return {"pred": pred, "teacher": pred.detach().roll(1, 1), **seeds}


def trainer_of(run: Run, case: Case) -> Trainer:
    """A training of the tiny network by a loss, which learns nothing from outputs that its loss does not read."""
    torch.manual_seed(0)
    net: Any = distributed.sync_batchnorm(Tiny(case.way == "recomputed"), run.ranks)
    optimizer = torch.optim.AdamW(net.parameters(), 0.01, fused=True)
    state = TrainState(net, optimizer, run.precision.scaler, ModelEma(net, 0.9))
    term = Term("main", table.find(case.loss).outputs, 1.0, table.make(run.cfg, case.loss, run.ranks))
    normalize = Normalization((0.5,) * 3, (0.2,) * 3, run.ranks.device)
    forward = DataParallel(net, run.ranks) if run.ranks.world > 1 else net
    nothing: Any = None
    rate = schedule.rate_function(run.cfg)
    criterion = Criterion([term], K)
    return Trainer(state, net, forward, criterion, rate, nothing, normalize, FiniteGuard(net), nothing)


def batch(rank: int, number: int, fault: str = "") -> Any:
    """Images and labels of a rank; images are floats that are normalized, as --aug_table paddle gives them."""
    drawn = torch.Generator().manual_seed(100 * rank + number)
    image = torch.randn(IMAGES, 3, SIDE, SIDE, generator=drawn)
    label = torch.randint(0, K, (IMAGES, SIDE // 4, SIDE // 4), generator=drawn).repeat_interleave(4, 1)
    label = label.repeat_interleave(4, 2)
    label[:, :2] = 255
    if fault.startswith("image"):
        image[0, 0, 8, 8] = NUMBERS[fault.split()[1]]
    elif fault == "all ignored":
        label[:] = 255
    elif fault == "one class":
        label[label != 255] = 3
    elif fault == "one color":
        image[:] = image[0, 0, 0, 0]
    return {"image": image, "label": label, "name": [f"{rank}-{number}-{i}" for i in range(IMAGES)], "size": []}


@contextmanager
def faulty(trainer: Trainer, fault: str) -> Iterator[None]:
    """Have a fault in the passes of the block."""
    place, _, name = fault.partition(" ")
    net: Any = trainer.state.net
    bad, hooks = NUMBERS.get(name, 0.0), []

    if place == "output":
        net.bend = lambda scores: torch.where(one(scores), bad, scores)
    elif fault == "constant outputs":
        net.bend = lambda scores: scores * 0
    elif fault == "large outputs":
        net.bend = lambda scores: scores * 1e4
    elif place == "loss":
        hooks.append(trainer.criterion.register_forward_hook(lambda m, given, out: (out[0] + bad, out[1])))
    elif place == "gradient":
        hooks.append(net.two.weight.register_hook(lambda g: g.clone().index_fill_(0, torch.tensor([2, K + 2]), bad)))
    elif place == "weight":
        with torch.no_grad():
            net.two.weight[[2, K + 2], 0] = bad
    try:
        yield
    finally:
        net.bend = lambda x: x
        for hook in hooks:
            hook.remove()


def one(scores: Tensor) -> Tensor:
    """True at one pixel of the first image that has a label: (N, C, H, W) -> bool of that shape."""
    place = torch.zeros_like(scores, dtype=torch.bool)
    place[0, :, 8, 8] = True
    return place


def step(run: Run, trainer: Trainer, case: Case, number: int, fault: str) -> None:
    """A step of one batch, or two of which the first has the fault."""
    state, count = trainer.state, 2 if case.way == "accum" else 1
    for i in range(count):
        state.iteration += 1
        here = fault if i == 0 else ""
        with faulty(trainer, here):
            given = batch(run.ranks.rank, 10 * number + i, here)
            trainer.open_step.add(run, partial(train.backward, run, trainer, 0), given, count, i == count - 1)
    train.optimizer_step(run, trainer, 0.01)
    state.settle()


def broken(run: Run, case: Case) -> str:
    """Do three steps; say what does not hold, or nothing.

    A step with a bad number changes no weight, slot, average or count, and of a bad loss no statistic; the next one is
    taken. One that is odd is taken, and everything stays finite. Ranks have the same weights. A weight that is none
    lets no later step be taken, and no checkpoint of it is written.
    """
    if case.way == "scaled":
        scaler = torch.amp.GradScaler("cpu", init_scale=1.0, growth_interval=100)
        run = replace(run, precision=replace(run.precision, scaler=scaler))
    trainer = trainer_of(run, case)
    state = trainer.state
    state.parts = 2 if case.way == "parts" else 1
    torch.manual_seed(7 + run.ranks.rank)
    mine = case.fault if case.rank in (-1, run.ranks.rank) else ""
    step(run, trainer, case, 0, "")
    before = everything(state)[: -1 - len(state.unread)]
    step(run, trainer, case, 1, mine)
    after = everything(state)[: -1 - len(state.unread)]
    step(run, trainer, case, 2, "")
    weights = torch.cat([p.detach().flatten() for p in (*state.net.parameters(), *state.ema.net.parameters())])  # type: ignore[union-attr]
    if case.fault.startswith("weight"):
        return _of_weights(run, state)
    if not weights.isfinite().all():
        return "weights or averages that are none"
    if any(not torch.equal(weights, other) for other in run.ranks.gather(weights)):
        return "ranks have other weights"
    if case.fault in ODD:
        return "" if int(state.step) == 3 else "an odd step was left out"
    if case.fault.startswith(("image", "output")) and int(state.step) == 3 and _unread(case):
        return ""
    moved = [i for i, (x, y) in enumerate(zip(before, after, strict=True)) if not torch.equal(x, y)]
    statistics = {
        i for i, name in enumerate(state.net.state_dict()) if name.startswith("norm.") and "weight" not in name
    }
    # Gradients go wrong behind a sound loss, as where seeds that are none lie at the first pixel, which is ignored;
    # another batch of the step, or part of the batch, is sound.
    behind = case.fault.startswith("gradient") or case.loss == "confidence"
    allowed = statistics if behind or case.way in ("accum", "parts") else set()
    if {*moved} - allowed:
        return f"a bad step moved {sorted({*moved} - allowed)}"
    return "" if int(state.step) == 2 else f"{int(state.step)} steps were taken"


def _unread(case: Case) -> bool:
    """Whether the loss reads a part of the outputs that is finite: those of a seed elsewhere."""
    return case.loss == "confidence" and case.fault.startswith("output")


def _of_weights(run: Run, state: TrainState) -> str:
    """A weight that is none: the run ends, and no checkpoint is written of it."""
    mine = not all(p.isfinite().all() for p in state.net.parameters())
    try:
        if run.ranks.any(mine):
            state.pack(run.ranks, {})
    except UserError:
        return "" if int(state.step) == 1 else f"{int(state.step)} steps were taken"
    return "" if not run.ranks.gather(mine)[0] else "a checkpoint of such weights was made"


def campaign(run: Run, chosen: Sequence[Case]) -> dict[str, str]:
    """{case: what does not hold} of all that are broken, by this rank."""
    found = {}
    for case in chosen:
        if said := broken(run, case):
            found[" / ".join(map(str, case))] = said
    return found


def main(words: list[str]) -> int:
    """Throw cases at two ranks; what is broken goes to FOLDER/broken<rank>.json. FOLDER EVERY: each so many-th case."""
    ranks, folder = distributed.init(), Path(words[0])
    chosen = cases(ranks.world)[:: int(words[1])]
    found = campaign(run_in(folder, ranks), chosen)
    text = json.dumps({"cases": len(chosen), "broken": found}, indent=1)
    (folder / f"broken{ranks.rank}.json").write_text(text)
    return 0


def alone(folder: Path) -> Run:
    """A run of one process."""
    return run_in(folder, DistributedContext())
