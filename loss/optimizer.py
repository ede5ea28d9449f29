"""Optimizers by name. One parameter group, in the order of the network, so that a published state fits by position."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from utils.errors import UserError, nearest


def _sgd(params: Iterable[nn.Parameter], lr: float, decay: float, momentum: float, amsgrad: bool):  # noqa: ARG001
    return torch.optim.SGD(params, lr, momentum=momentum, weight_decay=decay)
