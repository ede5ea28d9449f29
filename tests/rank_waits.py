"""Worker of tests/engine/test_finite.py: what the host of one of two ranks asks for in an epoch, short or long."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import rank_survival
import torch
from rank_survival import Fault
from torch.utils._python_dispatch import _disable_current_modes
from waits import Waits

import train
from engine.budget import Budget
from engine.meter import StepMeter
from engine.stop import StopRequest
from engine.training import Trainer
from utils import distributed
from utils.collectives import DataParallel
from utils.distributed import DistributedContext

LENGTHS = {"short": 2, "long": 8}


class Batches:
    """A loader of so many batches."""

    left_out = None

    def __init__(self, rank: int, count: int) -> None:
        self.batches = [rank_survival.batch(rank, number) for number in range(count)]

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        pass

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Any:
        return iter(self.batches)


def trainer_of(run: Any, count: int) -> Trainer:
    """A training of `count` batches an epoch, two of them a step, whose optimizer decides where its weights are."""
    found = rank_survival.trainer_of(run, Fault())
    state = found.state
    state.optimizer = torch.optim.SGD(state.net.parameters(), 0.1, momentum=0.9, fused=True)
    budget = Budget(state, run.ranks, epochs=9, batches=99, per_epoch=11)
    return replace(found, loader=Batches(run.ranks.rank, count), budget=budget)  # type: ignore[arg-type]


@contextmanager
def listening(waits: Waits, meetings: list[int]) -> Iterator[None]:
    """Note each value that the host reads in the block in `waits`, but for its meetings with the other hosts."""
    meet, read = DistributedContext.any_of, torch.Tensor.tolist

    def any_of(ranks: DistributedContext, *flags: bool) -> list[bool]:
        meetings.append(len(flags))
        torch.Tensor.tolist = read  # type: ignore[method-assign]
        try:
            with _disable_current_modes():
                return meet(ranks, *flags)
        finally:
            torch.Tensor.tolist = tolist  # type: ignore[method-assign]

    def tolist(value: torch.Tensor) -> Any:
        waits.seen.append("tolist")
        return read(value)

    DistributedContext.any_of, torch.Tensor.tolist = any_of, tolist  # type: ignore[method-assign]
    try:
        with waits:
            yield
    finally:
        DistributedContext.any_of, torch.Tensor.tolist = meet, read  # type: ignore[method-assign]


def epoch(run: Any, count: int) -> dict[str, Any]:
    """What the host reads, how many values the hosts tell each other, and when gradients set out, in one epoch."""
    trainer, waits, meetings = trainer_of(run, count), Waits(), list[int]()
    meter = StepMeter(4, lambda: 1.0, run.ranks.device)
    assert train.train_epoch(run, trainer, meter, StopRequest())  # makes slots, orders buckets
    trainer.state.finish_epoch()
    with listening(waits, meetings):
        assert train.train_epoch(run, trainer, meter, StopRequest())
    return {"waits": waits.seen, "meetings": meetings, "sent": overlap(run, trainer)}


def overlap(run: Any, trainer: Trainer) -> list[str]:
    """The order of gradients and of the collective calls in the backward pass that closes a step."""
    order: list[str] = []
    handles = [p.register_post_accumulate_grad_hook(noted(order, name)) for name, p in trainer.net.named_parameters()]
    real = torch.distributed.all_reduce

    def all_reduce(value: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        order.append("bucket" if kwargs.get("async_op") else "sum")
        return real(value, *args, **kwargs)

    assert isinstance(trainer.forward, DataParallel)
    torch.distributed.all_reduce = all_reduce
    try:
        for trainer.forward.closes in (False, True):
            order.append("pass")
            train.backward(run, trainer, 0, rank_survival.batch(run.ranks.rank, 0), 1.0)
    finally:
        torch.distributed.all_reduce = real
        for handle in handles:
            handle.remove()
    return order


def noted(order: list[str], name: str) -> Callable[[torch.Tensor], None]:
    """A hook that notes `name`."""
    return lambda _: order.append(name)


def main(words: list[str]) -> int:
    """Epochs of both lengths; {length: what there was} of the second rank to a folder."""
    ranks, folder = distributed.init(), Path(words[0])
    run = rank_survival.run_in(folder, ranks, ["--accum", "2", "--log_every", "100"])
    found = {name: epoch(run, count) for name, count in LENGTHS.items()}
    if not ranks.is_main:
        (folder / "waits.json").write_text(json.dumps(found))
    run.close()
    ranks.barrier()
    distributed.close()
    return 0
