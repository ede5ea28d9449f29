"""What a training run consists of between two steps: everything that a checkpoint has to bring back."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from engine import checkpoint, optimizer_state
from engine.ema import ModelEma
from utils.distributed import DistributedContext
from utils.errors import UserError


class BufferGuard:
    """Running statistics from before a step: the forward pass moves them even where the step is then left out."""

    def __init__(self, net: nn.Module) -> None:
        self._live = list(net.buffers())
        self._kept = [buffer.clone() for buffer in self._live]

    def keep(self) -> None:
        """Remember them now."""
        _copy(self._live, self._kept)

    def restore(self) -> None:
        """Put them back."""
        _copy(self._kept, self._live)


@torch.no_grad()
def _copy(source: list[torch.Tensor], target: list[torch.Tensor]) -> None:
    for mine, other in zip(target, source, strict=True):
        mine.copy_(other)


@dataclass
class TrainState:
    """Network, optimizer and counters. `epoch` is the last finished one (-1: none), `iteration` the batches done in
    the epoch after it, `step` the optimizer steps of the run; `loss_sum` over the epoch's `loss_count` batches."""

    net: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    ema: ModelEma | None = None
    epoch: int = -1
    iteration: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    bad_steps: int = 0  # in a row, without a finite loss
    _settled: tuple[int, float, int, int] = (0, 0.0, 0, 0)

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated: the moving average where there is one."""
        return self.ema.net if self.ema else self.net

    def settle(self) -> None:
        """The counters belong to the weights: no batch waits for its step."""
        self._settled = self.iteration, self.loss_sum, self.loss_count, self.bad_steps

    def back(self) -> None:
        """The counters of the last `settle`: the batches since, whose gradients are lost, are to be done again."""
        self.iteration, self.loss_sum, self.loss_count, self.bad_steps = self._settled

    def finish_epoch(self) -> float:
        """Close the epoch in progress; gives its mean loss."""
        mean = self.loss_sum / max(1, self.loss_count)
        self.epoch, self.iteration, self.loss_sum, self.loss_count = self.epoch + 1, 0, 0.0, 0
        return mean

    def pack(self, ranks: DistributedContext, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Checkpoint of this moment. All ranks call it; `facts`: arch, class names, config, command, mean_iu."""
        return {
            "epoch": self.epoch,
            "iteration": self.iteration,
            "step": self.step,
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
            "bad_steps": self.bad_steps,
            "world": ranks.world,
            **facts,
            "versions": {"torch": str(torch.__version__), "python": platform.python_version()},
            "net": self.net.state_dict(),
            "ema": self.ema.net.state_dict() if self.ema else None,
            "ema_steps": self.ema.steps if self.ema else 0,
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
                self.ema.steps = state["ema_steps"]
            names = state.get("optimizer_names", ())
            remark = optimizer_state.take_over(self.optimizer, self.net, state["optimizer"], names)
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"--resume: the checkpoint is of another network or optimizer: {reason}") from None
        if self.ema and state["ema"] is None:  # switched on for the rest of the run: it starts from these weights
            self.ema.net.load_state_dict(state["net"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.iteration, self.step = state["epoch"], state["iteration"], state["step"]
        self.loss_sum, self.loss_count, self.bad_steps = state["loss_sum"], state["loss_count"], state["bad_steps"]
        # With another number of processes there is no state for the new ones: they keep their seeded start.
        if ranks.rank < len(state["rng"]):
            checkpoint.set_random_state(state["rng"][ranks.rank], ranks.device)
        return remark
