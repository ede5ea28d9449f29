"""What the processes of a training send to each other within a step, and what one that fails there still sends."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
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

    Torch's DistributedDataParallel does so, a bucket at a time, while the backward pass is still under way. Where a
    pass fails, it stays in the middle of its buckets: `stand_in` sends what the other ranks wait for, and they all
    `begin_anew`. Weights and buffers are those of each rank; nobody sends them here.

    `bucket`: MiB of gradients that travel together, by default torch's 25.
    """

    def __init__(self, net: nn.Module, ranks: DistributedContext, bucket: float | None = None) -> None:
        self.net, self.ranks, self.bucket, self.closes = net, ranks, bucket, True
        self._zeros: list[Tensor] = []
        self._waiting: list[set[int]] = []  # for the gradients of these parameters, a set for each bucket
        self._sent: list[Any] = []
        self.begin_anew()

    def begin_anew(self) -> None:
        """Make new buckets, on all ranks alike. No gradient may be left."""
        self._ddp: Any = None
        self._zeros, self._waiting, self._sent, self._failed = [], [], [], False
        gc.collect()  # the old buckets would stand beside the new ones
        self._ddp = DistributedDataParallel(
            self.net,
            device_ids=[self.ranks.device] if self.ranks.device.type == "cuda" else None,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
            init_sync=False,
            bucket_cap_mb=self.bucket,  # type: ignore[arg-type]
        )
        world = self.ranks.world
        self._ddp.register_comm_hook(None, lambda state, bucket: _average(bucket, world))  # noqa: ARG005
        self._ddp._set_ddp_runtime_logging_sample_rate(_NEVER)  # it would wait for the device, to take times

    def open_step(self) -> None:
        """Let torch order its buckets as gradients have come. It does so once, by sums of its own.

        Here no rank can have failed; a pass would do it by itself.
        """
        self._ddp.reducer._rebuild_buckets()

    def train(self) -> None:
        """Set the network to training."""
        self.net.train()

    def __call__(self, *args: Any) -> Any:
        """Do the forward pass; arguments and outputs are the network's."""
        if self._failed:
            return self.net(*args)
        with nullcontext() if self.closes else self._ddp.no_sync():
            return self._ddp(*args)

    @contextmanager
    def stand_in(self) -> Iterator[None]:
        """Send zeros as gradients, when and where passes of the block come to them; its own are let go of."""
        if not self._failed:
            self._ddp.reducer._remove_autograd_hooks()
            buckets = self._ddp.reducer._get_zeros_like_grad_buckets()
            self._zeros = [bucket.buffer() for bucket in buckets]
            self._waiting = [{id(p) for p in bucket.parameters()} for bucket in buckets]
            self._failed = True
        trained = [p for p in self.net.parameters() if p.requires_grad]
        handles = [p.register_post_accumulate_grad_hook(self._came) for p in trained]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        if self.closes:
            self._send(all_of_them=True)
        for work in self._sent:
            work.wait()

    def _came(self, parameter: Tensor) -> None:
        """Take a gradient for one that has its place in a bucket, as the reducer does."""
        parameter.grad = None
        if self.closes:
            for waiting in self._waiting:
                waiting.discard(id(parameter))
            self._send()

    def _send(self, all_of_them: bool = False) -> None:
        """Send the buckets whose gradients are complete, in their order."""
        while self._waiting and (all_of_them or not self._waiting[0]):
            del self._waiting[0]
            if work := dist.all_reduce(self._zeros.pop(0), async_op=True):
                self._sent.append(work)


def _average(bucket: Any, world: int) -> torch.futures.Future[Tensor]:
    """Begin to put the mean over the ranks in place of a bucket's gradients."""
    work: Any = dist.all_reduce(bucket.buffer().mul_(1 / world), async_op=True)
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
def catching_up(sent: Sequence[str]) -> Iterator[None]:
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
