"""ResNet and ResNeXt as encoders: a stem of three 3x3 convolutions (Zhao et al., arXiv:1612.01105), stride 32, 16 or 8.

He et al., arXiv:1512.03385; Xie et al., arXiv:1611.05431; dilation: Yu et al., arXiv:1705.09914. N batch, H x W image.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from network.layers import conv_bn, kaiming, scaled
from network.trunk.blocks import BasicBlock, Bottleneck, through

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # of the four stages, by depth
# Stride and dilation of each stage for the stride of the whole.
STRIDES = {32: (1, 2, 2, 2), 16: (1, 2, 2, 1), 8: (1, 2, 1, 1)}
DILATIONS = {32: (1, 1, 1, 1), 16: (1, 1, 1, 2), 8: (1, 1, 2, 4)}
GROUPS = 32  # of ResNeXt: 32x4d


class EncoderResNet(nn.Module):
    """Image (N, 3, H, W) -> {"c2", "c3", "c4", "c5"}: what the four stages give, the last at 1 / `stride`.

    `depth` 18 has basic blocks, 50 and 101 bottlenecks; `grouped`: ResNeXt's. `mult` scales every channel count.
    `grad_ckpt`: recompute each block in the backward pass.
    """

    def __init__(
        self, depth: int, stride: int = 32, grouped: bool = False, mult: float = 1.0, grad_ckpt: bool = False
    ) -> None:
        super().__init__()
        self.grad_ckpt = grad_ckpt
        stem, channels = scaled(64, mult), [scaled(64 * 2**i, mult) for i in range(4)]
        # As many groups as divide the channels of every stage: 32 at full width, perhaps fewer in a narrow network.
        self.groups = math.gcd(GROUPS, *(2 * c for c in channels)) if grouped else 0
        expansion = 1 if depth == 18 else Bottleneck.expansion
        outputs = [c * expansion for c in channels]
        self.out_channels = {f"c{i + 2}": c for i, c in enumerate(outputs)}
        self.strides = {"c2": 4, "c3": 8, "c4": min(16, stride), "c5": stride}
        self.conv1, self.bn1 = conv_bn(3, stem, stride=2)
        self.conv2, self.bn2 = conv_bn(stem, stem)
        self.conv3, self.bn3 = conv_bn(stem, 2 * stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = 2 * stem
        for i, count in enumerate(BLOCKS[depth]):
            dilation = DILATIONS[stride][i]
            # The convolution that a stride was taken from looks half as far apart as those behind it.
            first = dilation // 2 if dilation > 1 else 1
            blocks = [self._block(depth, inputs, channels[i], STRIDES[stride][i], first, dilation)]
            blocks += [self._block(depth, outputs[i], channels[i], 1, dilation, dilation) for _ in range(count - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
            inputs = outputs[i]
        kaiming(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.relu(self.bn1(self.conv1(image)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.maxpool(self.relu(self.bn3(self.conv3(x))))  # (N, 128, H/4, W/4)
        found: dict[str, Tensor] = {}
        for i in range(4):
            x = through(self.get_submodule(f"layer{i + 1}"), x, self.grad_ckpt)  # type: ignore[arg-type]
            found[f"c{i + 2}"] = x
        return found

    def _block(self, depth: int, inputs: int, channels: int, stride: int, first: int, dilation: int) -> nn.Module:
        if depth == 18:
            return BasicBlock(inputs, channels, stride, first, dilation)
        if not self.groups:
            return Bottleneck(inputs, channels, stride, first)
        return Bottleneck(inputs, channels, stride, first, width=2 * channels, groups=self.groups)
