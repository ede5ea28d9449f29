"""One kernel for convolution, batch norm, shortcut and ReLU gives what the layers give."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from network import fused
from network.fused import Chain, fusing, normed
from network.layers import bn_relu, conv, conv_bn, conv_bn_relu
from network.trunk.blocks import BasicBlock, Bottleneck


class Kernels(TorchDispatchMode):
    """Counts calls of the one kernel."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ == "_convolution_pointwise"
        return func(*args, **(kwargs or {}))


def lively(module: nn.Module) -> nn.Module:
    """In evaluation mode, its batch norms with statistics and weights that do something."""
    torch.manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for x, low, high in ((norm.running_mean, -1, 1), (norm.running_var, 0.5, 2)):
                assert x is not None
                x.uniform_(low, high)
            for p, low, high in ((norm.weight, 0.5, 2), (norm.bias, -1, 1)) if norm.affine else ():
                nn.init.uniform_(p, low, high)
    return module.eval()


def both(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, int]:
    """What the layers give, what the kernel gives, and how often it was called."""
    with torch.inference_mode():
        plain = module(x)
        with fusing(), Kernels() as kernels:
            return plain, module(x), kernels.count


PARTS = {
    "basic": (lambda: BasicBlock(8, 8), 2),
    "basic, strided": (lambda: BasicBlock(8, 12, stride=2), 3),
    "bottleneck": (lambda: Bottleneck(8, 4), 4),
    "grouped": (lambda: Bottleneck(16, 4, width=8, groups=2), 3),
    "squeezed": (lambda: Bottleneck(16, 4, squeeze=True), 3),
    "chain": (lambda: Chain(*conv_bn_relu(8, 8), *conv_bn(8, 6), nn.ReLU6(), conv(6, 4, bias=True)), 2),
    "nested": (lambda: Chain(conv(8, 6, bias=True), bn_relu(6), nn.Dropout2d(0.5), Chain(*conv_bn_relu(6, 6))), 2),
    "norm without weights": (lambda: Chain(conv(8, 6), nn.BatchNorm2d(6, affine=False)), 1),
}


@pytest.mark.parametrize("name", PARTS)
def test_equals_the_layers(name: str) -> None:
    make, calls = PARTS[name]
    module = lively(make())
    first = next(layer for layer in module.modules() if isinstance(layer, nn.Conv2d))
    for layout in (torch.channels_last, torch.contiguous_format):
        x = torch.randn(1, first.in_channels, 36, 40).to(memory_format=layout)
        before = x.clone()
        plain, one, count = both(module, x)
        torch.testing.assert_close(one, plain, rtol=1e-5, atol=1e-5)
        assert count == calls and torch.equal(x, before), "the input stays as it is"


def test_large_weights_go_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_WEIGHTS", 1000), ("_LARGE", 400), ("_CHANNELS", 8)):
        monkeypatch.setattr(fused, name, value)
    plain, one, count = both(lively(Chain(*conv_bn_relu(8, 20))), torch.randn(2, 8, 20, 20))
    torch.testing.assert_close(one, plain, rtol=1e-5, atol=1e-5)
    assert count == 3


def test_layer_by_layer_where_the_kernel_does_not_fit() -> None:
    """In training, with gradients, in other precision, on few pixels: the same bits as without."""
    module, x = lively(Chain(*conv_bn_relu(8, 8))), torch.randn(1, 8, 20, 20)
    with fusing(), Kernels() as kernels:
        module(x)
        with torch.no_grad():
            module(x[..., :8, :8])
            module.double()(x.double())
            module.float().train()(x)
            with torch.autocast("cpu", torch.bfloat16):
                module.eval()(x)
            with fusing(False):
                module(x)
        assert kernels.count == 0
        with torch.no_grad():
            module(x)
        assert kernels.count == 1


def test_the_layers_are_those_of_a_plain_sequence() -> None:
    """The same bits and gradients as nn.Sequential's, in training too."""
    torch.manual_seed(0)
    layers, x = conv_bn_relu(4, 4), torch.randn(2, 4, 8, 8)
    found = []
    for run in (nn.Sequential(*layers), Chain(*layers), lambda y: normed(y, layers[0], layers[1], relu=True)):  # type: ignore[arg-type]
        layers[0].zero_grad()
        out = run(x)
        out.square().sum().backward()
        found.append((out, layers[0].weight.grad))
    assert all(torch.equal(*pair) for other in found[1:] for pair in zip(found[0], other, strict=True))
