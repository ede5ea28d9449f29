"""Optimizers by name. One parameter group, in the order of the network, so that a published state fits by position."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from utils.errors import UserError, nearest


@dataclass(frozen=True)
class Settings:
    """What the optimizers differ in; each takes what it knows."""

    lr: float
    weight_decay: float = 0.0
    momentum: float = 0.9  # SGD only
    amsgrad: bool = False  # Adam and AdamW only (Reddi et al., "On the Convergence of Adam and Beyond", ICLR 2018)


Params = list[nn.Parameter]


def sgd(params: Params, s: Settings) -> Optimizer:
    """Momentum SGD."""
    return torch.optim.SGD(params, s.lr, momentum=s.momentum, weight_decay=s.weight_decay)


def adam(params: Params, s: Settings) -> Optimizer:
    """Adam; weight decay is part of the gradient."""
    return torch.optim.Adam(params, s.lr, weight_decay=s.weight_decay, amsgrad=s.amsgrad)


def adamw(params: Params, s: Settings) -> Optimizer:
    """Adam with decoupled weight decay."""
    return torch.optim.AdamW(params, s.lr, weight_decay=s.weight_decay, amsgrad=s.amsgrad, fused=True)


def radam(params: Params, s: Settings) -> Optimizer:
    """Rectified Adam (Liu et al., arXiv:1908.03265) with decoupled weight decay, as its authors' code has it."""
    return torch.optim.RAdam(params, s.lr, weight_decay=s.weight_decay, decoupled_weight_decay=True)


def apex_sgd(params: Params, s: Settings) -> Optimizer:
    """NVIDIA apex' fused SGD."""
    return _apex("apex_sgd").FusedSGD(params, s.lr, momentum=s.momentum, weight_decay=s.weight_decay)


def apex_adam(params: Params, s: Settings) -> Optimizer:
    """NVIDIA apex' fused Adam, with the weight decay of `adam`. It has no AMSGrad."""
    if s.amsgrad:
        raise UserError("--optimizer apex_adam has no --amsgrad; use --optimizer adam, or leave --amsgrad out")
    return _apex("apex_adam").FusedAdam(params, s.lr, weight_decay=s.weight_decay, adam_w_mode=False)


OPTIMIZERS: dict[str, Callable[[Params, Settings], Optimizer]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
    "radam": radam,
    "apex_sgd": apex_sgd,
    "apex_adam": apex_adam,
}


def make(name: str, net: nn.Module, settings: Settings) -> Optimizer:
    """The optimizer `name` for the parameters of `net` that are trained; UserError for an unknown name or none."""
    if name not in OPTIMIZERS:
        raise UserError(f"--optimizer {name!r} is unknown{nearest(name, OPTIMIZERS)}; known: {', '.join(OPTIMIZERS)}")
    params = [p for p in net.parameters() if p.requires_grad]
    if not params:
        raise UserError("nothing to train: every parameter of the network is frozen; give fewer freezing options")
    return OPTIMIZERS[name](params, settings)


def build(cfg: Any, net: nn.Module) -> Optimizer:
    """The optimizer that OPTIM.{NAME, LR, WEIGHT_DECAY, MOMENTUM, AMSGRAD} ask for."""
    o = cfg.OPTIM
    return make(o.NAME, net, Settings(o.LR, o.WEIGHT_DECAY, o.MOMENTUM, o.AMSGRAD))


def _apex(name: str) -> Any:
    try:
        return importlib.import_module("apex.optimizers")
    except ImportError as error:
        plain = name.removeprefix("apex_")
        raise UserError(
            f"--optimizer {name} needs NVIDIA apex, which cannot be imported here ({error}); "
            f"use --optimizer {plain}, which needs nothing more"
        ) from None
