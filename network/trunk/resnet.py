"""ResNet and SE-ResNeXt at output stride 8, as DeepLab dilates them (Chen et al., arXiv:1706.05587).

He et al., arXiv:1512.03385; Xie et al., arXiv:1611.05431; Hu et al., arXiv:1709.01507. N batch, H x W image.
"""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from network.layers import conv_bn, kaiming, scaled
from network.trunk.blocks import Bottleneck, through

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # of the four stages, by depth
STRIDES, DILATIONS = (1, 2, 1, 1), (1, 1, 2, 4)  # dilation instead of stride in the last two stages
GROUPS = 32  # of SE-ResNeXt: 32x4d, 4 channels a group in the first stage


class ResNet(nn.Module):
    """Image (N, 3, H, W) -> fine (N, 256, ~H/4, ~W/4), middle (N, 512, ~H/8, ~W/8), out (N, 2048, ~H/8, ~W/8).

    `mult` scales every channel count. `grad_ckpt`: recompute each block in the backward pass.
    """

    def __init__(self, depth: int = 50, mult: float = 1.0, grad_ckpt: bool = False) -> None:
        super().__init__()
        self.grad_ckpt = grad_ckpt
        channels = [scaled(64 * 2**i, mult) for i in range(4)]
        fine, middle, _, out = (c * Bottleneck.expansion for c in channels)
        self.out_channels = {"fine": fine, "middle": middle, "out": out}
        self.strides = {"fine": 4, "middle": 8, "out": 8}
        inputs = channels[0]
        self.layer0 = self._stem(inputs)
        for i, count in enumerate(BLOCKS[depth]):
            outputs = channels[i] * Bottleneck.expansion
            blocks = [self._block(inputs if n == 0 else outputs, channels[i], i, n, mult) for n in range(count)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
            inputs = outputs
        kaiming(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.layer0(image)  # (N, 64, ~H/4, ~W/4)
        fine = through(self.layer1, x, self.grad_ckpt)  # type: ignore[arg-type]
        middle = through(self.layer2, fine, self.grad_ckpt)  # type: ignore[arg-type]
        x = through(self.layer3, middle, self.grad_ckpt)  # type: ignore[arg-type]
        return {"fine": fine, "middle": middle, "out": through(self.layer4, x, self.grad_ckpt)}  # type: ignore[arg-type]

    def _stem(self, channels: int) -> nn.Sequential:
        norm_relu = *conv_bn(3, channels, kernel=7, stride=2), nn.ReLU(inplace=True)
        return nn.Sequential(*norm_relu, nn.MaxPool2d(3, stride=2, padding=1))

    def _block(self, inputs: int, channels: int, stage: int, number: int, mult: float) -> Bottleneck:
        return Bottleneck(inputs, channels, STRIDES[stage] if number == 0 else 1, DILATIONS[stage])


class CeilPool(nn.MaxPool2d):
    """Max pooling that rounds sizes up, and makes 1 of a side of 1, of which the formula leaves nothing."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, ceil((h - 1) / 2), ...), at least 1."""
        high, wide = (int(side < 2) for side in input.shape[-2:])
        padded = F.pad(input, (0, wide, 0, high), mode="replicate") if high or wide else input
        return super().forward(padded)  # type: ignore[return-value]


class SEResNeXt(ResNet):
    """The same shapes, from grouped convolutions and squeezed channels. `mult` scales the number of groups."""

    def _stem(self, channels: int) -> nn.Sequential:
        convolution, norm = conv_bn(3, channels, kernel=7, stride=2)
        relu, pool = nn.ReLU(inplace=True), CeilPool(3, stride=2, ceil_mode=True)
        return nn.Sequential(OrderedDict(conv1=convolution, bn1=norm, relu1=relu, pool=pool))

    def _block(self, inputs: int, channels: int, stage: int, number: int, mult: float) -> Bottleneck:
        groups = max(1, round(GROUPS * mult))
        stride, width = STRIDES[stage] if number == 0 else 1, groups * 4 * 2**stage
        return Bottleneck(inputs, channels, stride, DILATIONS[stage], width, groups, squeeze=True)
