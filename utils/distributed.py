"""Which process this is, and sums over all of them.

Everything works unchanged in one process: sums are identities, the barrier returns at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from utils import rendezvous, watch
from utils.errors import UserError

T = TypeVar("T")
LAUNCHED = "STREETSCALE_LAUNCHED"  # in the environment of processes that `engine.launch` has started
_watching: list[watch.Watch] = []


@dataclass(frozen=True)
class DistributedContext:
    """This process among `world` processes, and the device that it computes on."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_main(self) -> bool:
        """True on the one process that writes files."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """Sum of `value` (any shape, same on all ranks) over the ranks; carries no gradient."""
        if self.world == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total

    def any(self, flag: bool) -> bool:
        """True on every rank if `flag` is true on one of them; the hosts agree, without a wait for their devices."""
        return self.any_of(flag)[0]

    def any_of(self, *flags: bool) -> list[bool]:
        """Tell for each of `flags`, by one message, what `any` tells."""
        return (
            [count > 0 for count in self.sum(torch.tensor(flags, dtype=torch.int64)).tolist()]
            if self.world > 1
            else [*flags]
        )

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        if self.world > 1:
            dist.barrier()

    def broadcast_module(self, module: nn.Module, weights: bool = False) -> None:
        """Give all ranks the main one's buffers, whose running statistics differ unless they are synchronized.

        With `weights` the parameters as well.
        """
        if self.world > 1:
            for tensor in (*(p.detach() for p in module.parameters() if weights), *module.buffers()):
                dist.broadcast(tensor, 0)

    def gather(self, value: Any) -> list[Any]:
        """Give `value` of every rank, in rank order, on every rank (small picklable objects of our own only)."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values


def from_main(ranks: DistributedContext, work: Callable[[], T]) -> T:
    """Give on all processes what `work` gives on the main one. Its UserError is raised on all: nobody waits."""
    found: T | None = None
    failed = ""
    if ranks.is_main:
        try:
            found = work()
        except UserError as error:
            failed = str(error)
    found, failed = ranks.gather((found, failed))[0]
    if failed:
        raise UserError(failed)
    return found  # type: ignore[return-value]


def together(ranks: DistributedContext, work: Callable[[], None], here: bool = True) -> None:
    """Do work on the ranks that are `here`, the others wait. A UserError of one of them is raised on all."""
    failed = ""
    if here:
        try:
            work()
        except UserError as error:
            failed = str(error)
    if failed := next(filter(None, ranks.gather(failed)), ""):
        raise UserError(failed)


def on_each_machine(ranks: DistributedContext, work: Callable[[], None]) -> None:
    """Do `work` once on every machine, since its disk may be its own; the others wait. A UserError is raised on all."""
    together(ranks, work, here=ranks.local_rank == 0)


def init(local_rank: int = 0) -> DistributedContext:
    """Join the process group that `torchrun` or `srun` describes in the environment; one process if there is none.

    `local_rank` is the old launcher's argument, used where the environment has no LOCAL_RANK. UserError for more
    processes than GPUs, and where the processes cannot tell who they are or do not find each other.
    """
    rank, world, local, here = rendezvous.place(os.environ, local_rank)
    if world == 1:
        return DistributedContext(device=_device(0))
    if torch.cuda.is_available() and here > torch.cuda.device_count():
        raise UserError(f"{here} processes for {torch.cuda.device_count()} GPU(s): lower --nproc_per_node")
    device = _device(local)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world))
    silence = rendezvous.number(os.environ, watch.SILENCE, watch.DEFAULT)
    everybody, name = rendezvous.join(rank, world)
    store = dist.PrefixStore(f"streetscale/{name}", everybody)  # type: ignore[attr-defined]
    # A rank that validates or builds centroids alone may take long: the default of 10 minutes is too short.
    backend, longest = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timedelta(minutes=60)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=longest)
    if silence:
        own = dist.PrefixStore(f"watch/{name}", rendezvous.second_connection(world))  # type: ignore[attr-defined]
        _watching.append(watch.Watch(own, rank, world, partial(_sent, device), silence).start())
    return DistributedContext(rank, world, local, device)


def _sent(device: torch.device) -> int:
    """Count the messages, of gradients, sums and whatever else, that this process has given to the others so far."""
    group: Any = dist.group.WORLD
    kinds = {"cpu", device.type}
    return (
        0
        if group is None
        else sum(group._get_backend(torch.device(kind))._get_sequence_number_for_group() for kind in kinds)
    )


def on_hang(say: Callable[[str], None]) -> None:
    """Let `say` have what is found out about a process for which the others wait in vain."""
    for one in _watching:
        one.say = say


def _device(local: int) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", local % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def layout() -> tuple[int, int]:
    """Give (nodes, processes on each) of this run, as its launcher says: torchrun, or srun with a task a process."""
    env = os.environ
    world, nodes = rendezvous.number(env, "WORLD_SIZE", 1), rendezvous.number(env, "SLURM_NNODES", 1, least=1)
    here = rendezvous.number(env, "LOCAL_WORLD_SIZE", max(1, world // nodes), least=1)
    return max(1, world // here), here


def launcher() -> str:
    """Tell how this run was started, for its records: "python", or torchrun or srun with its number of processes."""
    nodes, here = layout()
    if nodes * here == 1 or LAUNCHED in os.environ:
        return "python"
    if "LOCAL_WORLD_SIZE" not in os.environ:
        return f"srun --nodes={nodes} --ntasks-per-node={here} python"
    return f"torchrun {f'--nnodes={nodes} ' if nodes > 1 else ''}--nproc_per_node={here}"


def peer_died(error: RuntimeError) -> bool:
    """Tell whether an error only says that another process has ended, whose own message stands elsewhere."""
    text = str(error)
    signs = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process exited", "Socket")
    died = dist.is_initialized() and any(sign in text for sign in signs)
    for one in _watching if died else ():
        one.let_speak()
    return died


def close() -> None:
    """Leave the process group, if there is one."""
    while _watching:
        _watching.pop().close()
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


class _AllReduce(torch.autograd.Function):
    """Sum over ranks whose gradient is the sum over ranks as well."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:  # noqa: ARG004
        """Sum `value`, of any shape, over the ranks."""
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]  # noqa: ARG004
        """Sum the gradient over the ranks."""
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total


class SyncBatchNorm(nn.BatchNorm2d):
    """Batch norm over all ranks for CPU tensors: torch's own accepts only those of a GPU.

    Sums, sums of squares and pixel counts are added over the ranks (Ioffe and Szegedy 2015, eq. in algorithm 1, on
    the union of the batches); keys of the state are those of `nn.BatchNorm2d`.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if not self.training:
            return super().forward(input)
        x = input.float() if input.dtype in (torch.half, torch.bfloat16) else input
        count = x.new_full((1,), x.numel() / x.shape[1])  # no copy from the host, which would wait
        # Centered on the running mean, E[x^2] - E[x]^2 does not cancel; the shift is equal on all ranks.
        shift = self.running_mean if self.running_mean is not None else x.new_zeros(x.shape[1])
        centered = x - shift.to(x.dtype).detach().view(1, -1, 1, 1)
        sums = _AllReduce.apply(torch.cat([centered.sum((0, 2, 3)), centered.pow(2).sum((0, 2, 3)), count]))
        n = sums[-1]
        mean, square = (sums[:-1] / n).chunk(2)  # (C,) each
        var = (square - mean.pow(2)).clamp(min=0)
        self._track(mean.detach() + shift, var.detach(), n.detach())
        out = (centered - mean.view(1, -1, 1, 1)) * (var + self.eps).rsqrt().view(1, -1, 1, 1)
        if self.affine:
            out = out * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return out.to(input.dtype)

    def _track(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        unbiased = var * count / (count - 1).clamp(min=1)
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)


class SyncBatchNormAct(SyncBatchNorm):
    """The same before the dropout and the activation that timm's batch norms carry."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        x = super().forward(input)
        for name in ("drop", "act"):
            x = self.get_submodule(name)(x)
        return x


def sync_batchnorm(net: nn.Module, ranks: DistributedContext) -> nn.Module:
    """Replace every batch norm by one that works over all ranks; keys and values stay."""
    if ranks.world == 1:
        return net
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    packaged = [module for module in norms if type(module).__module__.startswith("timm.")]  # with activation
    if ranks.device.type == "cuda":
        if not packaged:
            return nn.SyncBatchNorm.convert_sync_batchnorm(net)
        from timm.layers.norm_act import convert_sync_batchnorm  # knows its own

        return convert_sync_batchnorm(net)
    for module in norms:
        # The same state; the forward pass alone differs.
        module.__class__ = SyncBatchNormAct if module in packaged else SyncBatchNorm
    return net
