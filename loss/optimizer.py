"""Optimizers by name, and the rates that their groups of parameters have in a step."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from loss import groups
from loss.groups import Grouping, Params
from options import archs
from utils.errors import UserError


@dataclass(frozen=True)
class Settings:
    """What the optimizers differ in; each takes what it knows."""

    lr: float
    weight_decay: float = 0.0
    momentum: float = 0.9  # SGD only
    amsgrad: bool = False  # Adam and AdamW only (Reddi et al., "On the Convergence of Adam and Beyond", ICLR 2018)
    fused: bool = False  # SGD and Adam: decide on the device whether to step; the last bits of a sum may differ


OPTIMIZERS: dict[str, Callable[[Params, Settings], Optimizer]] = {
    "sgd": lambda p, s: torch.optim.SGD(
        p, s.lr, momentum=s.momentum, weight_decay=s.weight_decay, fused=s.fused or None
    ),
    # Weight decay is part of the gradient.
    "adam": lambda p, s: torch.optim.Adam(
        p, s.lr, weight_decay=s.weight_decay, amsgrad=s.amsgrad, fused=s.fused or None
    ),
    # It is decoupled from the gradient here, and in radam.
    "adamw": lambda p, s: torch.optim.AdamW(p, s.lr, weight_decay=s.weight_decay, amsgrad=s.amsgrad, fused=True),
    # Rectified Adam (Liu et al., arXiv:1908.03265) as its authors' code has it.
    "radam": lambda p, s: torch.optim.RAdam(p, s.lr, weight_decay=s.weight_decay, decoupled_weight_decay=True),
    # NVIDIA apex' fused ones; the weight decay is that of `sgd` and `adam`.
    "apex_sgd": lambda p, s: _apex("apex_sgd").FusedSGD(p, s.lr, momentum=s.momentum, weight_decay=s.weight_decay),
    "apex_adam": lambda p, s: _apex("apex_adam").FusedAdam(p, s.lr, weight_decay=s.weight_decay, adam_w_mode=False),
}


def make(name: str, net: nn.Module, settings: Settings, grouping: Grouping) -> Optimizer:
    """The optimizer `name` for the parameters of `net` that are trained; UserError where there is none."""
    if not any(p.requires_grad for p in net.parameters()):
        raise UserError("nothing to train: every parameter of the network is frozen; give fewer freezing options")
    return OPTIMIZERS[name](groups.of(net, grouping), settings)


def set_rate(optimizer: Optimizer, lr: float, epoch: int) -> None:
    """Give every group the schedule's rate `lr`, times the group's own factor, and 0 before its first epoch."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0) * (epoch >= group.get("from_epoch", 0))


def step_if(optimizer: Optimizer, finite: Tensor) -> None:
    """Take a step where `finite`, a bool scalar on the device, is true, and change nothing where it is false.

    A fused optimizer decides on the device, as a GradScaler lets it. Others, and all of them in their first step, which
    makes their slots, wait for the value: radam, those of apex, and on a CPU, where nothing waits, sgd and adam.
    """
    if optimizer.defaults.get("fused") and optimizer.state:
        optimizer.found_inf = finite.logical_not().float()  # type: ignore[attr-defined]
        optimizer.step()
        del optimizer.found_inf  # type: ignore[attr-defined]
    elif finite:
        optimizer.step()


def build(cfg: Any, net: nn.Module, layers: Mapping[int, int] | None = None) -> Optimizer:
    """The optimizer that the options of OPTIM ask for. `layers`: {id of a trunk's parameter: its layer}."""
    o, m = cfg.OPTIM, cfg.MODEL
    head = archs.parts(archs.find(m.ARCH), m.ENCODER, m.DECODER).head
    # A recipe may have a decoder's rate for another network.
    decoder = o.LR_DECODER / o.LR if head.decoder and o.LR_DECODER else 1.0
    grouping = Grouping(o.WEIGHT_DECAY, decoder, o.TRUNK_LR_MULT, o.LAYER_DECAY, o.DECAY_ON, o.UNFREEZE, layers or {})
    fused = next(net.parameters()).is_cuda
    return make(o.NAME, net, Settings(o.LR, o.WEIGHT_DECAY, o.MOMENTUM, o.AMSGRAD, fused), grouping)


def _apex(name: str) -> Any:
    try:
        return importlib.import_module("apex.optimizers")
    except ImportError as error:
        plain = name.removeprefix("apex_")
        raise UserError(
            f"--optimizer {name} needs NVIDIA apex, which cannot be imported here ({error}); "
            f"use --optimizer {plain}, which needs nothing more"
        ) from None
