"""What a training run consists of between two steps: everything that a checkpoint has to bring back."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from engine import checkpoint, optimizer_state
from engine.ema import ModelEma
from network.weights import finite
from utils import machine
from utils.distributed import DistributedContext
from utils.errors import UserError


class FiniteGuard:
    """Finds losses that are not finite on the device, so that the host need not wait for their values.

    A forward pass moves the running statistics of `net` even where its step is then left out: they are put back, and
    so are single ones that a finite loss comes with and that overflow, since these would stay infinite. They are many
    and small, so that all of a type are copied at once, into one tensor that stays.
    """

    def __init__(self, net: nn.Module) -> None:
        buffers = list(net.buffers())
        kinds = dict.fromkeys((b.dtype, b.device) for b in buffers)
        self._groups = [_Group([b for b in buffers if (b.dtype, b.device) == kind]) for kind in kinds]
        self._finite: list[Tensor] = []

    @torch.no_grad()
    def copy(self) -> list[Tensor]:
        """Give the running statistics as they are."""
        for group in self._groups:
            torch.ops.aten._foreach_copy_(group.now_parts, group.buffers)
        return [group.now.clone() for group in self._groups]

    @torch.no_grad()
    def begin_again(self, copied: Sequence[Tensor]) -> None:
        """Put back what `copy` gave, and forget the losses since the last `take`."""
        for group, flat in zip(self._groups, copied, strict=True):
            group.now.copy_(flat)
            torch.ops.aten._foreach_copy_(group.buffers, group.now_parts)
        self._finite = []

    @torch.no_grad()
    def keep(self) -> None:
        """Remember the running statistics from before a forward pass."""
        for group in self._groups:
            torch.ops.aten._foreach_copy_(group.kept_parts, group.buffers)

    @torch.no_grad()
    def check(self, loss: Tensor) -> None:
        """Note whether the scalar `loss` is finite; where it is not, put the running statistics back."""
        finite = loss.isfinite()
        for group in self._groups:
            torch.ops.aten._foreach_copy_(group.now_parts, group.buffers)
            torch.where(group.now.isfinite().logical_and_(finite), group.now, group.kept, out=group.now)
            torch.ops.aten._foreach_copy_(group.buffers, group.now_parts)
        self._finite.append(finite)

    def take(self) -> Tensor:
        """Give a bool scalar on the device, whether every loss since the last call is finite; begin anew."""
        finite, self._finite = torch.stack(self._finite).all(), []
        return finite


class _Group:
    """Buffers of one type, and two flat tensors with room for all of them, each with its parts in their shapes."""

    def __init__(self, buffers: list[Tensor]) -> None:
        self.buffers = buffers
        self.kept, self.kept_parts = self._room()
        self.now, self.now_parts = self._room()

    def _room(self) -> tuple[Tensor, list[Tensor]]:
        sizes = [buffer.numel() for buffer in self.buffers]
        flat = self.buffers[0].new_empty(sum(sizes))
        return flat, [part.view(b.shape) for part, b in zip(flat.split(sizes), self.buffers, strict=True)]


class BatchLoss(NamedTuple):
    """The loss of one batch over all ranks, a float64 scalar that may still be computed, and the batch's files.

    `taken`, of the last batch of a step: false where the step was left out, a bool scalar on the device until read.
    """

    iteration: int
    value: Tensor
    names: Sequence[str]
    taken: Tensor | bool | None = None


_TIMES = ("step", "save", "validation", "between", "write")


@dataclass
class Spent:
    """What a run has used of its budget, over all of its starts; `engine.budget` goes by it.

    `before`: seconds of the earlier starts. `limit`: the one that the schedule was fitted to, `progress` the share of
    the schedule that is done, `over`: time was up. `took`: seconds of a batch, of the last checkpoint and validation,
    of the rest that lies between two epochs, and of what is written beside them. `scores`: {epoch: mean IoU} of the
    validations.
    """

    before: float = 0.0
    limit: float = 0.0
    progress: float = 0.0
    over: bool = False
    took: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_TIMES, 0.0))
    scores: dict[int, float] = field(default_factory=dict)
    began: float = field(default_factory=lambda: time.monotonic())

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self.before + time.monotonic() - self.began

    @property
    def without_better(self) -> int:
        """Validations since the best score; of equal ones the first is the best."""
        best, since = -math.inf, 0
        for _, score in sorted(self.scores.items()):
            best, since = (score, 0) if score > best else (best, since + 1)
        return since

    def record(self) -> dict[str, Any]:
        """Give what a checkpoint keeps."""
        kept = {name: getattr(self, name) for name in ("limit", "progress", "over")}
        return {"seconds": self.seconds, **kept, "took": {**self.took}, "scores": {**self.scores}}

    def resume(self, record: Mapping[str, Any]) -> None:
        """Take up what a checkpoint kept; one from before there were budgets has nothing."""
        self.before = record.get("seconds", 0.0)
        self.limit, self.progress = record.get("limit", 0.0), record.get("progress", 0.0)
        self.over = record.get("over", False)
        self.took |= record.get("took", {})
        self.scores |= record.get("scores", {})


@dataclass
class TrainState:
    """Network, optimizer and counters. `epoch` is the last finished one (-1: none), `iteration` the batches done in
    the epoch after it, `step` the optimizer steps of the run, counted on the device; `loss_sum` is the sum over the
    epoch's `loss_count` batches whose losses have been read. `unread`: losses that no one has waited for yet. `parts`:
    in how many a batch is done, since memory has run out. `before`: batches of the run before this epoch."""

    net: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    ema: ModelEma | None = None
    epoch: int = -1
    iteration: int = 0
    step: Tensor = field(init=False)  # int64 scalar
    loss_sum: float = 0.0
    loss_count: int = 0
    bad_steps: int = 0  # in a row, without a finite loss
    unread: list[BatchLoss] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)
    parts: int = 1
    before: int = 0
    _settled: int = 0

    def __post_init__(self) -> None:
        self.step = torch.zeros((), dtype=torch.int64, device=next(self.net.parameters()).device)

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated: the moving average where there is one."""
        return self.ema.net if self.ema else self.net

    def settle(self) -> None:
        """Note that the weights have all batches so far: none waits for its step."""
        self._settled = self.iteration

    def judge(self, taken: Tensor) -> None:
        """Note whether the step of the batches since the last `settle` was taken; it has the files of all of them.

        Where nobody has noted a batch, as in a benchmark's step, there is nothing to tell.
        """
        if not self.unread:
            return
        names = [name for batch in self.unread if batch.iteration > self._settled for name in batch.names]
        self.unread[-1] = self.unread[-1]._replace(names=names, taken=taken)

    def back(self) -> None:
        """Return to the last `settle`: the batches since, whose gradients are lost, are to be done again."""
        self.iteration = self._settled
        self.unread = [batch for batch in self.unread if batch.iteration <= self._settled]

    def read_losses(self) -> list[tuple[BatchLoss, float]]:
        """Give the unread losses that the weights have, with their values; this waits for the device."""
        settled = [batch for batch in self.unread if batch.iteration <= self._settled]
        self.unread = self.unread[len(settled) :]
        judged = [batch.taken for batch in settled if isinstance(batch.taken, Tensor)]
        numbers = torch.stack([*(batch.value for batch in settled), *judged]).tolist() if settled else []
        taken = iter(numbers[len(settled) :])
        found = [b._replace(taken=next(taken) > 0) if isinstance(b.taken, Tensor) else b for b in settled]
        return list(zip(found, numbers, strict=False))

    def finish_epoch(self) -> float:
        """Close the epoch in progress; gives its mean loss, NaN where none was finite."""
        mean = self.loss_sum / self.loss_count if self.loss_count else math.nan
        self.epoch, self.iteration, self.loss_sum, self.loss_count = self.epoch + 1, 0, 0.0, 0
        return mean

    def pack(self, ranks: DistributedContext, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Make the checkpoint of this moment, on all ranks; `facts`: arch, class names, config, command, mean_iu.

        UserError where the weights are no finite numbers: it would take the place of one that is still good.
        """
        if odd := ranks.gather(finite.odd(self.net.state_dict()))[0]:
            raise UserError(
                f"after {int(self.step)} steps weights are no finite numbers, {odd[0]} the first of {len(odd)}: no "
                "checkpoint is written of them; --resume auto goes on from the one before: lower --lr, or --grad_clip 1"
            )
        return {
            "epoch": self.epoch,
            "iteration": self.iteration,
            "step": int(self.step),
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
            "bad_steps": self.bad_steps,
            "parts": self.parts,
            "spent": self.spent.record(),
            "world": ranks.world,
            **facts,
            "versions": machine.facts(ranks.device),
            "net": self.net.state_dict(),
            "ema": self.ema.net.state_dict() if self.ema else None,
            "ema_steps": int(self.ema.steps) if self.ema else 0,
            "optimizer": self.optimizer.state_dict(),
            "optimizer_names": optimizer_state.parameter_names(self.optimizer, self.net),
            "scaler": self.scaler.state_dict(),
            "rng": ranks.gather(checkpoint.random_state(ranks.device)),
        }

    def unpack(self, state: Mapping[str, Any], ranks: DistributedContext) -> str:
        """Continue from a checkpoint of ours, exactly: a net of other names or shapes is an error.

        Gives a remark on parameters for which the optimizer starts anew, or "".
        """
        try:
            self.net.load_state_dict(state["net"])
            if self.ema and state["ema"] is not None:
                self.ema.net.load_state_dict(state["ema"])
                self.ema.steps.fill_(state["ema_steps"])
            names = state.get("optimizer_names", ())
            remark = optimizer_state.take_over(self.optimizer, self.net, state["optimizer"], names)
            optimizer_state.take_rates(self.optimizer, state["optimizer"])
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"--resume: the checkpoint is of another network or optimizer: {reason}") from None
        if self.ema and state["ema"] is None:  # switched on for the rest of the run: it starts from these weights
            self.ema.net.load_state_dict(state["net"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.iteration = state["epoch"], state["iteration"]
        self.step.fill_(state["step"])
        self.loss_sum, self.loss_count, self.bad_steps = state["loss_sum"], state["loss_count"], state["bad_steps"]
        self.spent.resume(state.get("spent", {}))
        self.parts = state.get("parts", 1)
        if self.parts > 1:
            remark += f"; memory has run out before: batches are done in {self.parts} parts"
        # With another number of processes there is no state for the new ones: they keep their seeded start.
        if ranks.rank < len(state["rng"]):
            checkpoint.set_random_state(state["rng"][ranks.rank], ranks.device)
        return remark
