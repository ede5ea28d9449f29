"""Memory that runs out in training: the step is taken back, and its batches are done in parts from then on.

All ranks do so together. A rank that fails within a step leaves the others waiting in sums that it does not take part
in: it does the rest of the step with a few pixels, so that the sums arrive, and what they give is thrown away.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import wraps
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from engine import checkpoint
from engine.preflight import single_value_in
from engine.session import Run
from engine.state import BatchLoss, FiniteGuard, TrainState
from inference.memory import is_out_of_memory
from loss.criterion import Criterion
from network.net import Net
from utils.collectives import DataParallel, catching_up, counted
from utils.contracts import Batch
from utils.distributed import DistributedContext
from utils.errors import UserError, in_short

_FEW = 64  # pixels a side, of two images: what every network takes
Work = Callable[[Batch, float], Tensor]  # (batch, or a part; what its loss is divided by) -> its loss over all ranks


class _Added(NamedTuple):
    """A batch of the step, one of `group`."""

    iteration: int
    batch: Batch
    group: int


class OpenStep:
    """The batches of a step until its gradients are complete, and what there was before the first of them."""

    def __init__(
        self,
        net: Net,
        state: TrainState,
        guard: FiniteGuard,
        criterion: Criterion,
        forward: nn.Module | DataParallel,
    ) -> None:
        self.net, self.state, self.guard, self.criterion = net, state, guard, criterion
        self.parallel = forward if isinstance(forward, DataParallel) else None
        self._added: list[_Added] = []
        self._found: list[BatchLoss] = []
        self._failure = ""  # what ran out of memory on this rank
        self._before: tuple[dict[str, Tensor], list[Tensor], list[tuple[Any, Any]]] = ({}, [], [])

    def add(
        self, run: Run, work: Work, batch: Batch, group: int, last: bool, stop: bool = False
    ) -> tuple[Tensor, bool]:
        """Do one of `group` batches; behind the `last` one gradients are the mean over the ranks. All ranks call it.

        Where memory runs out on one of them, the batches of the step are done again, in twice as many parts. Gives the
        batch's loss over all ranks, and behind the last one whether any of them has `stop`: their hosts agree once a
        step, on both. UserError where parts cannot be smaller.
        """
        if not self._added:
            self._remember(run.ranks)
        self._added.append(_Added(self.state.iteration, batch, group))
        self._do(run, work, self._added[-1:], last)
        agree, stops = last or run.ranks.world == 1, False
        while agree:
            failed, stops = run.ranks.any_of(bool(self._failure), stop)
            if not failed:
                break
            self._split(run, _first(run.ranks, self._failure))
            self._take_back(run.ranks)
            self._do(run, work, self._added, last)
        value = self._found[-1].value
        if last:
            self.state.unread += self._found
            self._added, self._found = [], []
        return value, stops

    def alone(self, work: Work, batch: Batch, group: int) -> None:
        """Do one of `group` batches without a step behind it."""
        self._in_parts(work, _Added(self.state.iteration, batch, group), closes=False)

    def _remember(self, ranks: DistributedContext) -> None:
        # A loss counts by a new tensor, so that the old one need not be copied.
        skipped: list[tuple[Any, Any]] = [
            (loss, loss.skipped) for loss in self.criterion.losses if hasattr(loss, "skipped")
        ]
        self._before = checkpoint.random_state(ranks.device), self.guard.copy(), skipped
        if self.parallel:
            self.parallel.open_step()

    def _take_back(self, ranks: DistributedContext) -> None:
        """Put weights, statistics and random states back as they were: no optimizer has seen these gradients."""
        random, statistics, skipped = self._before
        self._failure, self._found = "", []
        self.state.optimizer.zero_grad(set_to_none=True)
        if self.parallel:
            self.parallel.recover()
        self.guard.begin_again(statistics)
        for loss, count in skipped:
            loss.skipped = count
        checkpoint.set_random_state(random, ranks.device)
        _release(ranks.device)

    def _do(self, run: Run, work: Work, todo: Sequence[_Added], last: bool) -> None:
        """Do batches and note their losses, up to where memory runs out; the other ranks get all that they wait for."""
        for added in todo:
            sent: list[str] = []
            closes = last and added is todo[-1]
            if not self._failure:
                self._failure = self._tried(run, work, added, closes, sent)
            if self._failure and self.parallel:
                _release(run.ranks.device)
                self.parallel.recover()
                with catching_up(sent):
                    self._in_parts(lambda part, divisor: work(_few(part), divisor), added, closes)

    def _tried(self, run: Run, work: Work, added: _Added, closes: bool, sent: list[str]) -> str:
        """Do a batch; gives what ran out of memory, or "". Nothing holds a failed pass any more behind it."""
        try:
            with counted(sent) if self.parallel else nullcontext():
                self._in_parts(work, added, closes)
        except (RuntimeError, MemoryError) as error:
            # A compiler may have put sums into its graphs, where nobody counts them.
            if not is_out_of_memory(error) or (run.cfg.TRAIN.COMPILE and self.parallel):
                raise
            return in_short(error)
        return ""

    def _in_parts(self, work: Work, added: _Added, closes: bool) -> None:
        """Do a batch, in as many parts as the run has come to, and note its loss; with the last part it may close."""
        images, batch = len(added.batch["image"]), added.batch
        parts = min(self.state.parts, images)
        ends = [images * i // parts for i in range(parts + 1)]
        values = []
        for start, end in zip(ends, ends[1:], strict=False):
            if self.parallel:
                self.parallel.closes = closes and end == images
            part = batch if parts == 1 else _cut(batch, start, end)
            size = end - start
            values.append(work(part, added.group * (images / size)) * (size / images))
        value = torch.stack(values).sum()
        self._found.append(BatchLoss(added.iteration, value, batch["name"]))

    def _split(self, run: Run, failure: str) -> None:
        """Decide on smaller parts, and say so; the same on all ranks."""
        images, state = len(self._added[0].batch["image"]), self.state
        least = 2 if single_value_in(run.cfg, self.net, run.ranks) else 1
        self.net.start_epoch(state.epoch + 1)  # which looking at the last epoch has changed
        parts = min(2 * state.parts, images // least)
        if parts <= min(state.parts, images):
            size = math.ceil(images / min(state.parts, images))
            raise UserError(
                f"out of memory with {size} image{'s' * (size > 1)} at once ({failure}), and batch norm or the batch "
                "leave no smaller part: lower --crop_size, or add --fp16 or --grad_ckpt"
            )
        state.parts, size = parts, math.ceil(images / parts)
        norms = any(isinstance(module, _BatchNorm) and module.training for module in self.net.modules())
        note = f"; batch norm sees {size} image{'s' * (size > 1)} at a time, whose statistics differ" if norms else ""
        run.log.line(
            f"out of memory in epoch {state.epoch + 1}, iteration {state.iteration} ({failure}): the step is taken "
            f"back, and from here on batches of {images} are done in {parts} parts; a step keeps its images and their "
            f"order{note}"
        )


def _first(ranks: DistributedContext, failure: str) -> str:
    """Tell all ranks of the first of them that ran out of memory."""
    rank, text = next((rank, text) for rank, text in enumerate(ranks.gather(failure)) if text)
    return text if ranks.world == 1 else f"rank {rank}: {text}"


def _cut(batch: Batch, start: int, end: int) -> Batch:
    """Give the images from `start` to `end` of a batch."""
    return {name: value[start:end] for name, value in batch.items()}  # type: ignore[return-value, index]


def _few(batch: Batch) -> Batch:
    """Give a corner of the first image, twice: one value a channel would be too few for a batch norm."""
    image, label = batch["image"], batch["label"]
    stride = max(1, image.shape[-1] // label.shape[-1])
    high, wide = (min(_FEW, side) for side in image.shape[-2:])
    image, label = image[:1, :, :high, :wide], label[:1, : max(1, high // stride), : max(1, wide // stride)]
    return {**batch, "image": image.repeat(2, 1, 1, 1), "label": label.repeat(2, 1, 1)}


def _release(device: torch.device) -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def survive_step(optimizer: Optimizer) -> None:
    """Let `optimizer.step` try once more where memory runs out within it: smaller batches would not help there.

    Its first step, which makes slots, is taken back by a copy of the weights. Later ones ask for memory before they
    change anything; where something has changed all the same, a UserError ends the run.
    """
    step = optimizer.step

    @wraps(step)
    @torch.no_grad()
    def surviving(*args: Any, **kwargs: Any) -> Any:
        weights = [p for group in optimizer.param_groups for p in group["params"]]
        copies = [] if optimizer.state else [p.detach().clone() for p in weights]
        before = _versions(optimizer)
        try:
            return step(*args, **kwargs)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        if copies:
            optimizer.state.clear()
            for p, copied in zip(weights, copies, strict=True):
                p.copy_(copied)
        elif _versions(optimizer) != before:
            raise UserError(
                "out of memory in the middle of the optimizer's step, some of whose weights are changed: "
                "--resume auto goes on from the last checkpoint"
            )
        _release(weights[0].device)
        return step(*args, **kwargs)

    optimizer.step = surviving  # type: ignore[method-assign]


def _versions(optimizer: Optimizer) -> list[int]:
    """Count the changes of each weight and slot so far."""
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    slots = [x for state in optimizer.state.values() for x in state.values() if isinstance(x, Tensor)]
    return [x._version for x in (*weights, *slots)]
