"""MobileNetV2 (Sandler et al., arXiv:1801.04381), late strides turned into dilation. N batch, H x W image."""

from __future__ import annotations

from torch import Tensor, nn

from network.fused import Chain
from network.layers import conv_bn, kaiming, recomputed, scaled
from network.trunk import Features, Level, OwnTrunk

# Expansion, channels, blocks, stride of each group; then at which stride of the whole its blocks look further apart.
GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM = 32
TAKEN = (2, 4, 7, 14, 17)  # blocks whose maps are given


class InvertedResidual(nn.Module):
    """1x1 wider, 3x3 of each channel alone, 1x1 narrower: (N, inputs, h, w) -> (N, outputs, ...), shortcut."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        wide = inputs * expansion
        layers = [*conv_bn(inputs, wide, kernel=1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        layers += [*conv_bn(wide, wide, stride=stride, dilation=dilation, groups=wide), nn.ReLU6(inplace=True)]
        self.conv = Chain(*layers, *conv_bn(wide, outputs, kernel=1))
        self.shortcut = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(OwnTrunk):
    """Image (N, 3, H, W) -> 24 channels at 1/4, 32 at 1/8, 64 at 1/16, 160 and 320 at 1/32, none beyond 1 / `stride`.

    `stride` 32, 16 or 8. `width_mult` scales every channel count. `grad_ckpt`: recompute each block in the backward
    pass.
    """

    regions = (InvertedResidual,)

    def __init__(self, stride: int = 32, width_mult: float = 1.0, grad_ckpt: bool = False) -> None:
        super().__init__(grad_ckpt)
        inputs = scaled(STEM, width_mult)
        blocks: list[nn.Module] = [Chain(*conv_bn(3, inputs, stride=2), nn.ReLU6(inplace=True))]
        self.levels = ()
        reached, dilation = 2, 1
        for expansion, channels, count, step in GROUPS:
            outputs = scaled(channels, width_mult)
            for number in range(count):
                taken = step if number == 0 else 1
                first = dilation
                if taken == 2 and reached >= stride:
                    dilation, taken = 2 * dilation, 1
                elif number == 0:
                    reached *= taken
                blocks.append(InvertedResidual(inputs, outputs, expansion, taken, first if number == 0 else dilation))
                inputs = outputs
                if len(blocks) - 1 in TAKEN:
                    self.levels += (Level(reached, outputs),)
        self.features = nn.Sequential(*blocks)
        kaiming(self)

    def forward(self, image: Tensor) -> Features:
        features: Features = []
        x = image
        for place, block in enumerate(self.features):
            x = recomputed(block, self.grad_ckpt and place > 0)(x)
            if place in TAKEN:
                features.append(x)
        return features
