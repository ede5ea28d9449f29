"""What the processes of a training send to each other within a step, and what one that fails there leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from utils.distributed import DistributedContext

BUCKET = 25 << 20  # bytes of gradients that travel together
# What a step sends to the other processes: sums of losses, and the statistics of batch norm.
_SENT = ("all_reduce", "all_gather", "all_gather_into_tensor")


@contextmanager
def counted(skip: int = 0) -> Iterator[list[str]]:
    """Note the collective calls of the block, by name, as they return. The first `skip` give what is here alone.

    With those a process that has failed within a step takes part in what the others still wait for.
    """
    sent: list[str] = []
    real = {name: getattr(dist, name) for name in _SENT}

    def call(name: str, out: Any, *args: Any, **kwargs: Any) -> Any:
        found = _alone(name, out, *args) if len(sent) < skip else real[name](out, *args, **kwargs)
        sent.append(name)
        return found

    try:
        for name in _SENT:
            setattr(dist, name, partial(call, name))
        yield sent
    finally:
        for name, function in real.items():
            setattr(dist, name, function)


def _alone(name: str, out: Any, *args: Any) -> None:
    """Do what a collective call would do if all processes had what this one has; a sum stays what it is."""
    if name == "all_gather":
        for place in out:
            place.copy_(args[0])
    elif name == "all_gather_into_tensor":
        out.view(-1, args[0].numel()).copy_(args[0].reshape(1, -1))


def average_gradients(parameters: Iterable[nn.Parameter], ranks: DistributedContext, most: int = BUCKET) -> None:
    """Put the mean over the ranks in place of each gradient; where a rank has none, it counts as zeros.

    They travel in buffers of about `most` bytes, of which the next is filled while one is under way.
    """
    if ranks.world == 1:
        return
    under_way: list[tuple[list[Tensor], Tensor, Any]] = []
    for grads in _groups([p for p in parameters if p.requires_grad], most):
        joined = torch.cat([grad.flatten() for grad in grads]).mul_(1 / ranks.world)
        under_way.append((grads, joined, dist.all_reduce(joined, async_op=True)))
        _arrive(under_way, left=1)
    _arrive(under_way, left=0)


def _groups(parameters: Sequence[nn.Parameter], most: int) -> Iterator[list[Tensor]]:
    """Give the gradients in groups of one type and about `most` bytes."""
    group: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        grad = parameter.grad
        if group and (grad.dtype != group[0].dtype or sum(g.nbytes for g in group) + grad.nbytes > most):
            yield group
            group = []
        group.append(grad)
    if group:
        yield group


def _arrive(under_way: list[tuple[list[Tensor], Tensor, Any]], left: int) -> None:
    while len(under_way) > left:
        grads, joined, work = under_way.pop(0)
        work.wait()
        for grad, part in zip(grads, joined.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(part.view_as(grad))
