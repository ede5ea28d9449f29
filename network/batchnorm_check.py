"""Batch norm over one value: found from shapes, without computing anything (meta device), before the first step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from network.net import Net, published
from network.summary import in_mode, on_meta


class _SingleValueError(Exception):
    """Raised out of a forward pass; its argument is the batch norm."""


def single_value(net: Net, size: tuple[int, int], last_epoch: int, images: int = 1) -> str:
    """Name of a batch norm in training that gets one value a channel from `images` of `size` (H, W), or "".

    Every scale is looked at that the network is trained with up to `last_epoch`. `net` stays as it is.
    """
    hooks = [part.register_forward_pre_hook(_watch) for part in net.modules() if isinstance(part, _BatchNorm)]
    net.start_epoch(last_epoch)
    try:
        with in_mode(net, training=True), torch.no_grad():
            torch.func.functional_call(net, on_meta(net), (torch.empty(images, 3, *size, device="meta"),))
    except _SingleValueError as found:
        return published(net, next(name for name, part in net.named_modules() if part is found.args[0]))
    finally:
        net.start_epoch(0)
        for hook in hooks:
            hook.remove()
    return ""


def _watch(norm: nn.Module, inputs: tuple[Any, ...]) -> None:
    """One value a channel has no variance: torch refuses it, in the epoch that first has it."""
    x: Tensor = inputs[0]
    if norm.training and x.numel() == x.shape[1]:
        raise _SingleValueError(norm)
