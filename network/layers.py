"""Small parts that trunks and heads share: conv-norm-relu, initialization, frozen and recomputed modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from utils.resize import traced

_AT_ONCE = 1 << 21  # elements of a map whose rows `in_rows` takes together on a CPU


def scaled(channels: int, mult: float) -> int:
    """Channels times a factor: a multiple of 4, at least 4; as given when the factor is 1."""
    return channels if mult == 1 else max(4, round(channels * mult / 4) * 4)


def conv(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Convolution padded so that stride 1 keeps the size: (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ...)."""
    padding = dilation * (kernel // 2)
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias)


class Classifier(nn.Conv2d):
    """Class scores of each pixel for itself: (N, inputs, h, w) -> (N, classes, h, w)."""

    def __init__(self, inputs: int, classes: int, bias: bool = True) -> None:
        super().__init__(inputs, classes, kernel_size=1, bias=bias)


def conv_bn(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1, groups: int = 1, bias: bool = False
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """Convolution and batch norm."""
    return conv(inputs, outputs, kernel, stride, dilation, groups, bias), nn.BatchNorm2d(outputs)


def conv_bn_relu(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1, bias: bool = False
) -> list[nn.Module]:
    """Convolution, batch norm, ReLU: entries 0 and 1 of a Sequential hold the weights."""
    return [*conv_bn(inputs, outputs, kernel, stride, dilation, bias=bias), nn.ReLU(inplace=True)]


def bn_relu(channels: int) -> nn.Sequential:
    """Batch norm and ReLU as one child, so that the weights are called `<n>.0.weight`."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def _with_memory(module: nn.Module) -> Iterator[nn.Module]:
    """The parts that can be filled: on the meta device, where shapes alone are asked for, each try takes long."""
    return (part for part in module.modules() if not any(p.is_meta for p in part.parameters(recurse=False)))


def kaiming(module: nn.Module) -> None:
    """Kaiming-normal convolutions (He et al., arXiv:1502.01852, fan out), batch norms at 1 and 0."""
    for part in _with_memory(module):
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, _BatchNorm) and part.affine:
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


def xavier_classifiers(module: nn.Module) -> None:
    """Xavier-uniform classifiers (Glorot & Bengio 2010), bias 0: scores that already differ from class to class.

    PyTorch's own start is some 2.5 times smaller: a short training at Adam's steps then leaves rare classes out.
    """
    for part in _with_memory(module):
        if isinstance(part, Classifier):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def small_normal(module: nn.Module, spread: float = 0.001) -> None:
    """Convolutions normal with deviation `spread`, as HRNet's segmentation networks start; batch norms stay."""
    for part in _with_memory(module):
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, std=spread)


def set_bn_momentum(module: nn.Module, momentum: float) -> None:
    """Give every batch norm inside this momentum (the share of the new batch in the running statistics)."""
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.momentum = momentum


def in_rows(module: nn.Module, x: Tensor, *others: Tensor, over: bool = False, grad_ckpt: bool = False) -> Tensor:
    """`module(x, *others)` of a module that looks at each pixel by itself: (N, C, h, w) -> (N, c, h, w).

    In evaluation without gradients some rows at a time, so that what lies between is never as large as the map; `over`:
    the result, of C channels, is written over `x`. With `grad_ckpt` training recomputes what lies between.
    """
    n, channels, height, width = x.shape
    if module.training or torch.is_grad_enabled() or traced():
        return recomputed(module, grad_ckpt)(x, *others)
    at_once = _AT_ONCE if x.device.type == "cpu" else _AT_ONCE << 3  # a GPU waits for small kernels to be launched
    step = max(1, at_once // (n * channels * width))
    if step >= height:
        return module(x, *others)
    whole = x if over else None
    for top in range(0, height, step):
        part = module(x[:, :, top : top + step], *others)
        if whole is None:
            layout = torch.channels_last if x.stride(1) == 1 else torch.contiguous_format
            whole = part.new_empty((n, part.shape[1], height, width)).contiguous(memory_format=layout)
        whole[:, :, top : top + step] = part
    return whole  # type: ignore[return-value]


def recomputed(module: nn.Module, enabled: bool) -> Callable[..., Any]:
    """`module` as a function that, if enabled, keeps no activations but recomputes them in the backward pass.

    Gradients and running statistics are the ones without it: the second pass draws the same dropout and leaves
    the statistics of batch norms alone. Inside of what is compiled the compiler itself chooses what is kept.
    """
    if not (enabled and module.training and torch.is_grad_enabled()) or torch.compiler.is_compiling():
        return module

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(module)  # of the forward pass, of the recomputation

    def run(*given: Any) -> Any:
        if isinstance(given[0], Tensor):
            return checkpoint(module, *given, use_reentrant=False, context_fn=contexts)
        # One by one, so that autograd keeps them as it keeps any tensor, and `--summary` counts them.
        return checkpoint(lambda *xs: module(list(xs)), *given[0], use_reentrant=False, context_fn=contexts)

    return run


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Batch norms inside still normalize with the batch, but their running statistics stay as they are.

    Momentum 0 rather than `track_running_stats = False`: the tensors that autograd saves must be as many as before.
    """
    with ExitStack() as stack:
        for part in module.modules():
            if isinstance(part, _BatchNorm):
                stack.enter_context(_norm_kept(part))
        yield


class RunningStatistics:
    """Batch norms of a network that recomputes by itself leave their running statistics when something is recomputed.

    For networks whose recomputation is not ours, see `recomputed`: `with statistics.first_time(net)` around a pass.
    """

    def __init__(self) -> None:
        self.first = False
        self._entered: dict[nn.Module, AbstractContextManager[None]] = {}

    @contextmanager
    def first_time(self, net: nn.Module) -> Iterator[None]:
        """Inside, running statistics move; norms that came since the last pass (synchronized ones) are watched too."""
        for part in net.modules():
            if isinstance(part, _BatchNorm) and not hasattr(part, "watched"):
                part.watched = True  # type: ignore[assignment]
                part.register_forward_pre_hook(self._before)
                part.register_forward_hook(self._after, always_call=True)  # recomputation ends by an exception
        self.first = True
        try:
            yield
        finally:
            self.first = False

    def _before(self, norm: nn.Module, _: object) -> None:
        if norm.training and not self.first and isinstance(norm, _BatchNorm):
            self._entered[norm] = _norm_kept(norm)
            self._entered[norm].__enter__()

    def _after(self, norm: nn.Module, *_: object) -> None:
        if norm in self._entered:
            self._entered.pop(norm).__exit__(None, None, None)


@contextmanager
def _norm_kept(norm: _BatchNorm) -> Iterator[None]:
    momentum, count = norm.momentum, norm.num_batches_tracked
    norm.momentum = 0.0
    norm.num_batches_tracked = None if count is None else torch.zeros_like(count)  # counts into a scratch tensor
    try:
        yield
    finally:
        norm.momentum, norm.num_batches_tracked = momentum, count
