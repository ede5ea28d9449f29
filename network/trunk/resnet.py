"""ResNet, ResNeXt and SE-ResNeXt at stride 32, 16 or 8, with a stem of one 7x7 or of three 3x3 convolutions.

He et al., arXiv:1512.03385; Xie et al., arXiv:1611.05431; Hu et al., arXiv:1709.01507; three 3x3: Zhao et al.,
arXiv:1612.01105; dilation instead of stride: Chen et al., arXiv:1706.05587, Yu et al., arXiv:1705.09914. N batch, H x W
image.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from network.fused import Chain, normed
from network.layers import conv_bn, kaiming, scaled
from network.trunk import Features, Level, OwnTrunk
from network.trunk.blocks import BasicBlock, Bottleneck, through

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # of the four stages, by depth
# Stride and dilation of each stage for the stride of the whole.
STRIDES = {32: (1, 2, 2, 2), 16: (1, 2, 2, 1), 8: (1, 2, 1, 1)}
DILATIONS = {32: (1, 1, 1, 1), 16: (1, 1, 1, 2), 8: (1, 1, 2, 4)}
GROUPS = 32  # of ResNeXt and SE-ResNeXt: 32x4d, 4 channels a group in the first stage


class ResNet(OwnTrunk):
    """Image (N, 3, H, W) -> the four stages' maps, at 1/4, 1/8, ... until 1 / `stride` is reached.

    `depth` 18 has basic blocks, 50 and 101 bottlenecks. `width_mult` scales every channel count. `grad_ckpt`: recompute
    each block in the backward pass. The stem is one 7x7 convolution, `layer0`.
    """

    halves = False  # whether the convolution that a stride was taken from looks half as far apart as those behind it

    regions = (BasicBlock, Bottleneck)

    def __init__(self, depth: int = 50, width_mult: float = 1.0, grad_ckpt: bool = False, stride: int = 8) -> None:
        super().__init__(grad_ckpt)
        self.depth, self.width_mult = depth, width_mult
        expansion = 1 if depth == 18 else Bottleneck.expansion
        channels = [scaled(64 * 2**i, width_mult) for i in range(4)]
        self.levels = tuple(Level(min(4 * 2**i, stride), c * expansion) for i, c in enumerate(channels))
        inputs = self._add_stem(channels[0])
        for i, count in enumerate(BLOCKS[depth]):
            dilation = DILATIONS[stride][i]
            first = max(1, dilation // 2) if self.halves else dilation
            blocks = [self._block(inputs, i, STRIDES[stride][i], first, dilation)]
            inputs = self.levels[i].channels
            blocks += [self._block(inputs, i, 1, dilation, dilation) for _ in range(count - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        kaiming(self)

    def forward(self, image: Tensor) -> Features:
        x = self._stem(image)  # (N, channels of the stem, ~H/4, ~W/4)
        features: Features = []
        for i in range(4):
            x = through(self.get_submodule(f"layer{i + 1}"), x, self.grad_ckpt)  # type: ignore[arg-type]
            features.append(x)
        return features

    def _add_stem(self, channels: int) -> int:
        """Add the layers before the first stage; gives the channels that they end in."""
        norm_relu = *conv_bn(3, channels, kernel=7, stride=2), nn.ReLU(inplace=True)
        self.layer0 = Chain(*norm_relu, nn.MaxPool2d(3, stride=2, padding=1))
        return channels

    def _stem(self, image: Tensor) -> Tensor:
        return self.layer0(image)

    def _block(self, inputs: int, stage: int, stride: int, dilation: int, second_dilation: int) -> nn.Module:
        channels = scaled(64 * 2**stage, self.width_mult)
        if self.depth == 18:
            return BasicBlock(inputs, channels, stride, dilation, second_dilation)
        return Bottleneck(inputs, channels, stride, dilation)


class CeilPool(nn.MaxPool2d):
    """Max pooling that rounds sizes up, and makes 1 of a side of 1, of which the formula leaves nothing."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, ceil((h - 1) / 2), ...), at least 1."""
        high, wide = (int(side < 2) for side in input.shape[-2:])
        padded = F.pad(input, (0, wide, 0, high), mode="replicate") if high or wide else input
        return super().forward(padded)  # type: ignore[return-value]


class SEResNeXt(ResNet):
    """The same shapes, from grouped convolutions and squeezed channels. `width_mult` scales the number of groups."""

    def _add_stem(self, channels: int) -> int:
        convolution, norm = conv_bn(3, channels, kernel=7, stride=2)
        relu, pool = nn.ReLU(inplace=True), CeilPool(3, stride=2, ceil_mode=True)
        self.layer0 = Chain(OrderedDict(conv1=convolution, bn1=norm, relu1=relu, pool=pool))
        return channels

    def _block(self, inputs: int, stage: int, stride: int, dilation: int, second_dilation: int) -> nn.Module:
        groups, channels = max(1, round(GROUPS * self.width_mult)), scaled(64 * 2**stage, self.width_mult)
        return Bottleneck(inputs, channels, stride, dilation, groups * 4 * 2**stage, groups, squeeze=True)


class DeepStemResNet(ResNet):
    """The same shapes behind three 3x3 convolutions `conv1` to `conv3`, as scene parsing has it."""

    halves = True

    def _add_stem(self, channels: int) -> int:
        self.conv1, self.bn1 = conv_bn(3, channels, stride=2)
        self.conv2, self.bn2 = conv_bn(channels, channels)
        self.conv3, self.bn3 = conv_bn(channels, 2 * channels)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        return 2 * channels

    def _stem(self, image: Tensor) -> Tensor:
        x = normed(image, self.conv1, self.bn1, relu=True)
        x = normed(x, self.conv2, self.bn2, relu=True)
        return self.maxpool(normed(x, self.conv3, self.bn3, relu=True))


class DeepStemResNeXt(DeepStemResNet):
    """The same from grouped convolutions, in as many groups as divide the channels of every stage: 32 at full width."""

    def _block(self, inputs: int, stage: int, stride: int, dilation: int, second_dilation: int) -> nn.Module:
        widths = [2 * scaled(64 * 2**i, self.width_mult) for i in range(4)]
        groups = math.gcd(GROUPS, *widths)
        return Bottleneck(inputs, widths[stage] // 2, stride, dilation, widths[stage], groups)
