"""Aligned Xception-71 (Chollet, arXiv:1610.02357; DeepLabV3+, arXiv:1802.02611) at output stride 8.

As the published weights have it, which is not quite DeepLab's: three blocks before the middle flow instead of five.
N batch, H x W image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from network.layers import conv, conv_bn, kaiming, recomputed, scaled
from network.trunk import Features, Level, OwnTrunk

MIDDLE = 16  # blocks of the middle flow


class Separable(nn.Module):
    """Depthwise 3x3, norm, 1x1: (N, inputs, h, w) -> (N, outputs, ceil(h / stride), ...)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn = conv_bn(inputs, inputs, stride=stride, dilation=dilation, groups=inputs)
        self.pointwise = conv(inputs, outputs, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.bn(self.conv1(x)))


class Block(nn.Module):
    """Separable convolutions, one for each step between two `channels`, with a shortcut; the last one has the stride.

    With `start_relu` the input is rectified for both the convolutions and the shortcut: published weights were
    trained so.
    """

    def __init__(
        self, channels: Sequence[int], stride: int = 1, dilations: Sequence[int] = (1, 1, 1), start_relu: bool = True
    ) -> None:
        super().__init__()
        self.start_relu = start_relu
        self.skip, self.skipbn = None, None
        if channels[0] != channels[-1] or stride != 1:
            self.skip, self.skipbn = conv_bn(channels[0], channels[-1], kernel=1, stride=stride)
        layers: list[nn.Module] = [nn.Identity()] if start_relu else []  # its ReLU stands in `forward`
        last = len(channels) - 2
        for i, (inputs, outputs) in enumerate(zip(channels, channels[1:], strict=False)):
            layers += [nn.ReLU(inplace=True)] if i else []
            layers += [Separable(inputs, outputs, stride if i == last else 1, dilations[i]), nn.BatchNorm2d(outputs)]
        self.rep = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x) if self.start_relu else x
        shortcut = x if self.skip is None or self.skipbn is None else self.skipbn(self.skip(x))
        return self.rep(x) + shortcut


class Xception71(OwnTrunk):
    """Image (N, 3, H, W) -> (N, 64, ~H/2, ~W/2), (N, 128, ~H/4, ~W/4), (N, 2048, ~H/8, ~W/8).

    `width_mult` scales every channel count. `grad_ckpt`: recompute each block in the backward pass.
    """

    regions = (Block,)

    def __init__(self, width_mult: float = 1.0, grad_ckpt: bool = False) -> None:
        super().__init__(grad_ckpt)
        stem, fine, middle, wide, core, exit1, exit2, out = (
            scaled(c, width_mult) for c in (32, 64, 128, 256, 728, 1024, 1536, 2048)
        )
        self.levels = (Level(2, fine), Level(4, middle), Level(8, out))
        self.conv1, self.bn1 = conv_bn(3, stem, stride=2)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv_bn(stem, fine)
        self.block1 = Block((fine, middle, middle, middle), stride=2, start_relu=False)
        self.block2 = Block((middle, wide, wide), start_relu=False)
        self.block3 = Block((wide, core, core, core), stride=2)
        for i in range(4, 4 + MIDDLE):
            self.add_module(f"block{i}", Block((core,) * 4, dilations=(2, 2, 2)))
        self.block20 = Block((core, core, exit1, exit1), dilations=(2, 2, 1))
        for i, inputs, outputs in ((3, exit1, exit2), (4, exit2, exit2), (5, exit2, out)):
            self.add_module(f"conv{i}", Separable(inputs, outputs, dilation=4))
            self.add_module(f"bn{i}", nn.BatchNorm2d(outputs))
        kaiming(self)

    def forward(self, image: Tensor) -> Features:
        x = self.relu(self.bn1(self.conv1(image)))
        fine = self.relu(self.bn2(self.conv2(x)))  # (N, 64, ~H/2, ~W/2)
        x = middle = self.relu(recomputed(self.block1, self.grad_ckpt)(fine))  # (N, 128, ~H/4, ~W/4)
        for i in range(2, 21):
            x = recomputed(self.get_submodule(f"block{i}"), self.grad_ckpt)(x)  # from block3 on (N, 728, ~H/8, ~W/8)
        x = self.relu(x)
        for i in (3, 4, 5):
            x = self.relu(self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(x)))
        return [fine, middle, x]
