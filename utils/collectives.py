"""What the processes of a training send to each other within a step, and what one that fails there still sends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from utils.distributed import DistributedContext

# What a step sends: gradients, sums of losses, statistics of batch norm, which torch's versions gather by two names.
_NAMES = ("all_reduce", "all_gather", "all_gather_into_tensor", "all_gather_single")
_NEVER = 2**31 - 1


class DataParallel:
    """A network as training calls it on several ranks: a pass that `closes` a step averages the gradients over them.

    Torch's DistributedDataParallel does so, a bucket at a time, while the backward pass is still under way.
    `bucket`: MiB of gradients that travel together, by default torch's 25.
    """

    def __init__(self, net: nn.Module, ranks: DistributedContext, bucket: float | None = None) -> None:
        self.net, self.closes, self._share = net, True, 1 / ranks.world
        self._under_way: list[Any] = []
        self._ddp: Any = DistributedDataParallel(
            net,
            device_ids=[ranks.device] if ranks.device.type == "cuda" else None,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
            bucket_cap_mb=bucket,  # type: ignore[arg-type]
        )
        self._ddp.register_comm_hook(None, lambda state, bucket: self._average(bucket))  # noqa: ARG005
        self._ddp._set_ddp_runtime_logging_sample_rate(_NEVER)  # it would wait for the device, to take times

    def open_step(self) -> None:
        """Let torch order its buckets as gradients have come. It does so once, by sums of its own.

        Here no rank can have failed; a pass would do it by itself.
        """
        self._ddp.reducer._rebuild_buckets()

    def recover(self) -> None:
        """Forget a pass, which may have failed in the middle; buckets stay as they are, and torch orders them anew."""
        for work in self._under_way:  # into buckets that are filled again
            work.wait()
        self._under_way = []
        self._ddp.reducer._reset_state()

    def train(self) -> None:
        """Set the network to training."""
        self.net.train()

    def __call__(self, *args: Any) -> Any:
        """Do the forward pass; arguments and outputs are the network's."""
        self._under_way = []
        with nullcontext() if self.closes else self._ddp.no_sync():
            return self._ddp(*args)

    def _average(self, bucket: Any) -> torch.futures.Future[Tensor]:
        """Begin to put the mean over the ranks in place of a bucket's gradients."""
        gradients: Tensor = bucket.buffer().mul_(self._share)
        work: Any = dist.all_reduce(gradients, async_op=True)
        if work is None:  # left out
            future: torch.futures.Future[Tensor] = torch.futures.Future()
            future.set_result(gradients)
            return future
        self._under_way.append(work)
        return work.get_future().then(lambda found: found.value()[0])


@contextmanager
def counted(sent: list[str]) -> Iterator[None]:
    """Add to `sent` the collective calls of the block, by name, as they return."""

    def call(name: str, real: Any, *args: Any, **kwargs: Any) -> Any:
        found = real(*args, **kwargs)
        sent.append(name)
        return found

    with _replaced(call):
        yield


@contextmanager
def catching_up(sent: Iterable[str]) -> Iterator[None]:
    """Leave out the collective calls of the block that `sent` has already; those give what is here alone.

    So a process that has failed within a step takes part in what the others still wait for. A scalar that it sends is
    NaN: no loss that the others get from it is taken for one.
    """
    left_out = iter(sent)

    def call(name: str, real: Any, out: Any, *args: Any, **kwargs: Any) -> Any:
        if next(left_out, None) is not None:
            return _alone(name, out, *args)
        if isinstance(out, Tensor) and out.dim() == 0 and out.is_floating_point():
            out.fill_(math.nan)
        return real(out, *args, **kwargs)

    with _replaced(call):
        yield


@contextmanager
def _replaced(call: Any) -> Iterator[None]:
    """Hand the collective calls of the block to `call`, with their names and functions."""
    real = {name: getattr(dist, name) for name in _NAMES if hasattr(dist, name)}
    try:
        for name, function in real.items():
            setattr(dist, name, partial(call, name, function))
        yield
    finally:
        for name, function in real.items():
            setattr(dist, name, function)


def _alone(name: str, out: Any, *args: Any) -> None:
    """Do what a collective call would do if all processes had what this one has; a sum stays what it is."""
    if name == "all_gather":
        for place in out:
            place.copy_(args[0])
    elif name != "all_reduce":
        out.view(-1, args[0].numel()).copy_(args[0].reshape(1, -1))
