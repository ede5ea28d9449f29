"""Blocks that several trunks are made of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from network.fused import Chain, normed
from network.layers import conv, conv_bn, recomputed

REDUCTION = 16  # channels of the squeezed vector are this many times fewer


class SqueezeExcite(nn.Module):
    """Channels weighed by what their means say (Hu et al., arXiv:1709.01507): (N, c, h, w) -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(1, channels // REDUCTION)
        self.fc1 = conv(channels, squeezed, kernel=1, bias=True)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = conv(squeezed, channels, kernel=1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=(2, 3), keepdim=True)  # (N, c, 1, 1)
        return x * self.fc2(self.relu(self.fc1(means))).sigmoid()


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut (He et al., arXiv:1512.03385): (N, inputs, h, w) -> (N, 4 * channels, ...).

    The 3x3 convolution has the stride, the dilation, and `width` channels (None: `channels`) in `groups`
    (ResNeXt, arXiv:1611.05431). `squeeze`: the channels are weighed before the shortcut is added.
    """

    expansion = 4

    def __init__(
        self,
        inputs: int,
        channels: int,
        stride: int = 1,
        dilation: int = 1,
        width: int | None = None,
        groups: int = 1,
        squeeze: bool = False,
    ) -> None:
        super().__init__()
        outputs, width = channels * self.expansion, width or channels
        self.conv1, self.bn1 = conv_bn(inputs, width, kernel=1)
        self.conv2, self.bn2 = conv_bn(width, width, stride=stride, dilation=dilation, groups=groups)
        self.conv3, self.bn3 = conv_bn(width, outputs, kernel=1)
        self.se_module = SqueezeExcite(outputs) if squeeze else nn.Identity()
        fits = inputs == outputs and stride == 1
        self.downsample = nn.Identity() if fits else Chain(*conv_bn(inputs, outputs, kernel=1, stride=stride))

    def forward(self, x: Tensor) -> Tensor:
        y = normed(x, self.conv1, self.bn1, relu=True)
        y = normed(y, self.conv2, self.bn2, relu=True)
        if isinstance(self.se_module, nn.Identity):
            return normed(y, self.conv3, self.bn3, relu=True, add=self.downsample(x))
        y = self.se_module(normed(y, self.conv3, self.bn3))
        return F.relu_(y + self.downsample(x))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He et al., arXiv:1512.03385): (N, inputs, h, w) -> (N, channels, ...).

    The first has the stride and `dilation`, the second `second_dilation`.
    """

    def __init__(
        self, inputs: int, channels: int, stride: int = 1, dilation: int = 1, second_dilation: int = 1
    ) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(inputs, channels, stride=stride, dilation=dilation)
        self.conv2, self.bn2 = conv_bn(channels, channels, dilation=second_dilation)
        fits = inputs == channels and stride == 1
        self.downsample = nn.Identity() if fits else Chain(*conv_bn(inputs, channels, kernel=1, stride=stride))

    def forward(self, x: Tensor) -> Tensor:
        y = normed(x, self.conv1, self.bn1, relu=True)
        return normed(y, self.conv2, self.bn2, relu=True, add=self.downsample(x))


def through(stage: nn.Sequential, x: Tensor, grad_ckpt: bool) -> Tensor:
    """A stage of blocks; with `grad_ckpt` every block's activations are recomputed in the backward pass."""
    for block in stage:
        x = recomputed(block, grad_ckpt)(x)
    return x
