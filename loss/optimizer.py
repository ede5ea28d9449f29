"""Optimizers by name. One parameter group, in the order of the network, so that a published state fits by position.

A decoder's own rate, and weight decay on the weights of convolutions alone, make more groups. A group's rate is that of
the schedule times its `lr_scale`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import Optimizer

from options import archs
from utils.errors import UserError


@dataclass(frozen=True)
class Settings:
    """What the optimizers differ in; each takes what it knows."""

    lr: float
    weight_decay: float = 0.0
    momentum: float = 0.9  # SGD only
    amsgrad: bool = False  # Adam and AdamW only (Reddi et al., "On the Convergence of Adam and Beyond", ICLR 2018)
    lr_decoder: float = 0.0  # of parameters inside `decoder`; 0: lr
    decay_on: str = "all"  # or "conv": weights of convolutions and linear layers; neither biases nor batch norms


Params = list[nn.Parameter] | list[dict[str, Any]]


OPTIMIZERS: dict[str, Callable[[Params, Settings], Optimizer]] = {
    "sgd": lambda p, s: torch.optim.SGD(p, s.lr, momentum=s.momentum, weight_decay=s.weight_decay),
    # Weight decay is part of the gradient.
    "adam": lambda p, s: torch.optim.Adam(p, s.lr, weight_decay=s.weight_decay, amsgrad=s.amsgrad),
    # It is decoupled from the gradient here, and in radam.
    "adamw": lambda p, s: torch.optim.AdamW(p, s.lr, weight_decay=s.weight_decay, amsgrad=s.amsgrad, fused=True),
    # Rectified Adam (Liu et al., arXiv:1908.03265) as its authors' code has it.
    "radam": lambda p, s: torch.optim.RAdam(p, s.lr, weight_decay=s.weight_decay, decoupled_weight_decay=True),
    # NVIDIA apex' fused ones; the weight decay is that of `sgd` and `adam`.
    "apex_sgd": lambda p, s: _apex("apex_sgd").FusedSGD(p, s.lr, momentum=s.momentum, weight_decay=s.weight_decay),
    "apex_adam": lambda p, s: _apex("apex_adam").FusedAdam(p, s.lr, weight_decay=s.weight_decay, adam_w_mode=False),
}


def make(name: str, net: nn.Module, settings: Settings) -> Optimizer:
    """The optimizer `name` for the parameters of `net` that are trained; UserError where there is none."""
    if not any(p.requires_grad for p in net.parameters()):
        raise UserError("nothing to train: every parameter of the network is frozen; give fewer freezing options")
    return OPTIMIZERS[name](_params(net, settings), settings)


def set_rate(optimizer: Optimizer, lr: float) -> None:
    """Give every group the schedule's rate `lr`, times the group's own factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)


def step_if(optimizer: Optimizer, finite: Tensor) -> None:
    """Take a step where `finite`, a bool scalar on the device, is true, and change nothing where it is false.

    A fused optimizer decides on the device, as a GradScaler lets it. Others, and all of them in their first step, which
    makes their slots, wait for the value.
    """
    if optimizer.defaults.get("fused") and optimizer.state:
        optimizer.found_inf = finite.logical_not().float()  # type: ignore[attr-defined]
        optimizer.step()
        del optimizer.found_inf  # type: ignore[attr-defined]
    elif finite:
        optimizer.step()


def _params(net: nn.Module, s: Settings) -> Params:
    """What is trained: one list, or groups with an `lr_scale` and a `weight_decay` of their own."""
    every = {name: p for name, p in net.state_dict(keep_vars=True).items() if isinstance(p, nn.Parameter)}
    trained = [(name, p) for name, p in every.items() if p.requires_grad]
    if not s.lr_decoder and s.decay_on == "all":
        return [p for _, p in trained]
    layers = [part for part in net.modules() if isinstance(part, (_ConvNd, nn.Linear))]
    weights = {id(part.weight) for part in layers}
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, p in trained:
        decay = s.weight_decay if s.decay_on == "all" or id(p) in weights else 0.0
        groups.setdefault((bool(s.lr_decoder) and not name.startswith("encoder."), decay), []).append(p)
    return [
        {"params": params, "lr_scale": s.lr_decoder / s.lr if own else 1.0, "weight_decay": decay}
        for (own, decay), params in groups.items()
    ]


def build(cfg: Any, net: nn.Module) -> Optimizer:
    """The optimizer that OPTIM.{NAME, LR, LR_DECODER, WEIGHT_DECAY, DECAY_ON, MOMENTUM, AMSGRAD} ask for."""
    o, m = cfg.OPTIM, cfg.MODEL
    head = archs.parts(archs.find(m.ARCH), m.ENCODER, m.DECODER).head
    lr_decoder = o.LR_DECODER if head.decoder else 0.0  # a recipe may have it for another network
    return make(o.NAME, net, Settings(o.LR, o.WEIGHT_DECAY, o.MOMENTUM, o.AMSGRAD, lr_decoder, o.DECAY_ON))


def _apex(name: str) -> Any:
    try:
        return importlib.import_module("apex.optimizers")
    except ImportError as error:
        plain = name.removeprefix("apex_")
        raise UserError(
            f"--optimizer {name} needs NVIDIA apex, which cannot be imported here ({error}); "
            f"use --optimizer {plain}, which needs nothing more"
        ) from None
