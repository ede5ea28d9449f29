"""Convolutions with what stands behind them in one kernel, in passes without gradient: batch norm, shortcut, ReLU.

Between two convolutions a network like HRNet walks over its maps three times more: to normalize, to add, to cut off at
zero. On a CPU that is a good part of an evaluation. oneDNN does all of it where the convolution writes its result.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from utils.resize import traced

_PIXELS = 256  # of a result; for fewer, oneDNN takes longer to put the weights in its order than the rest saves
# Weights of more bytes leave the processor's second cache from one part of a large map to the next: so many channels at
# a time go over all of the map.
_WEIGHTS, _LARGE, _CHANNELS = 4 << 20, 4096, 64
_ON: ContextVar[bool] = ContextVar("fused", default=False)


def _on() -> bool:
    return not traced() and _ON.get()  # compilers fuse by themselves, and files have common operators


@contextmanager
def fusing(on: bool = True) -> Iterator[None]:
    """Inside, `normed` and `Chain` use the one kernel where they can; else, and without it, layer goes by layer.

    Batch norms are folded into weights, so that a result differs in its last digits.
    """
    token = _ON.set(on)
    try:
        yield
    finally:
        _ON.reset(token)


def normed(x: Tensor, conv: nn.Conv2d, norm: nn.Module, relu: bool = False, add: Tensor | None = None) -> Tensor:
    """norm(conv(x)), with `add` added, with `relu` cut off at zero: (N, C, h, w) -> (N, K, h', w')."""
    if _on() and isinstance(norm, _BatchNorm) and _fits(x, conv, norm):
        return _one_kernel(x, conv, norm, relu, add)
    y = norm(conv(x))
    y = y if add is None else y + add
    return F.relu_(y) if relu else y


class Chain(nn.Sequential):
    """A sequence of layers in which a convolution, its batch norm and ReLU may be done in one."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers in their order; shapes are theirs."""
        if not _on():
            return super().forward(x)
        layers = [part for layer in self for part in (layer if type(layer) is nn.Sequential else [layer])]
        while layers:
            layer = layers.pop(0)
            if isinstance(layer, nn.Conv2d) and layers and isinstance(layers[0], _BatchNorm):
                norm, relu = layers.pop(0), bool(layers) and type(layers[0]) is nn.ReLU
                x = normed(x, layer, norm, relu)
                layers = layers[relu:]
            else:
                x = layer(x)
        return x


def _fits(x: Tensor, conv: nn.Conv2d, norm: _BatchNorm) -> bool:
    """Whether the kernel is there for these, and pays."""
    pixels = x.shape[0] * x.shape[2] * x.shape[3] / (conv.stride[0] * conv.stride[1])
    return (
        x.device.type == "cpu"
        and x.dtype == conv.weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and not (norm.training or norm.running_mean is None or torch.is_grad_enabled())
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and pixels >= _PIXELS
    )


def _one_kernel(x: Tensor, conv: nn.Conv2d, norm: _BatchNorm, relu: bool, add: Tensor | None) -> Tensor:
    weight, bias = _folded(conv, norm)
    where = (conv.padding, conv.stride, conv.dilation, conv.groups)
    run = torch.ops.mkldnn._convolution_pointwise
    if add is not None:
        return run.binary(x, add, weight, bias, *where, "add", None, "relu" if relu else None, [], None)
    attribute = "relu" if relu else "none"
    if conv.groups > 1 or weight.nbytes <= _WEIGHTS or x.shape[2] * x.shape[3] < _LARGE:
        return run(x, weight, bias, *where, attribute, [], "")
    pieces = zip(weight.split(_CHANNELS), bias.split(_CHANNELS), strict=True)
    return torch.cat([run(x, *piece, *where, attribute, [], "") for piece in pieces], dim=1)


def _folded(conv: nn.Conv2d, norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that does both: w * s, beta + (b - mean) * s with s = gamma / deviation.

    They are made anew in every pass: oneDNN reads the weights in an order of its own, and so copies them anyway.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    factor = (norm.running_var.double() + norm.eps).rsqrt()  # (K,)
    if norm.affine:
        factor = factor * norm.weight
    bias = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean
    bias = bias * factor if not norm.affine else norm.bias + bias * factor
    return conv.weight * factor.float().view(-1, 1, 1, 1), bias.float()
