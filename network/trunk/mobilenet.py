"""MobileNetV2 (Sandler et al., arXiv:1801.04381) as an encoder, late strides turned into dilation. N batch, H x W."""

from __future__ import annotations

from torch import Tensor, nn

from network.layers import conv_bn, kaiming, recomputed, scaled

# Expansion, channels, blocks, stride of each group; then at which stride of the whole its blocks look further apart.
GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM = 32
TAKEN = {2: "c1", 4: "c2", 7: "c3", 14: "c4"}  # blocks whose maps are given, beside the last


class InvertedResidual(nn.Module):
    """1x1 wider, 3x3 of each channel alone, 1x1 narrower: (N, inputs, h, w) -> (N, outputs, ...), shortcut."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        wide = inputs * expansion
        layers = [*conv_bn(inputs, wide, kernel=1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        layers += [*conv_bn(wide, wide, stride=stride, dilation=dilation, groups=wide), nn.ReLU6(inplace=True)]
        self.conv = nn.Sequential(*layers, *conv_bn(wide, outputs, kernel=1))
        self.shortcut = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    """Image (N, 3, H, W) -> {"c1" 24 at 1/4, "c2" 32 at 1/8, "c3" 64, "c4" 160, "c5" 320 at 1 / `stride`}.

    `stride` 32, 16 or 8. `mult` scales every channel count. `grad_ckpt`: recompute each block in the backward pass.
    """

    def __init__(self, stride: int = 32, mult: float = 1.0, grad_ckpt: bool = False) -> None:
        super().__init__()
        self.grad_ckpt = grad_ckpt
        inputs = scaled(STEM, mult)
        blocks: list[nn.Module] = [nn.Sequential(*conv_bn(3, inputs, stride=2), nn.ReLU6(inplace=True))]
        self.out_channels: dict[str, int] = {}
        self.strides: dict[str, int] = {}
        reached, dilation = 2, 1
        for expansion, channels, count, step in GROUPS:
            outputs = scaled(channels, mult)
            for number in range(count):
                taken = step if number == 0 else 1
                first = dilation
                if taken == 2 and reached >= stride:
                    dilation, taken = 2 * dilation, 1
                elif number == 0:
                    reached *= taken
                blocks.append(InvertedResidual(inputs, outputs, expansion, taken, first if number == 0 else dilation))
                inputs = outputs
                self._note(len(blocks) - 1, outputs, reached)
        self.features = nn.Sequential(*blocks)
        self.out_channels["c5"], self.strides["c5"] = inputs, reached
        kaiming(self)

    def _note(self, place: int, channels: int, stride: int) -> None:
        if place in TAKEN:
            self.out_channels[TAKEN[place]], self.strides[TAKEN[place]] = channels, stride

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        found, x = {}, image
        for place, block in enumerate(self.features):
            x = recomputed(block, self.grad_ckpt and place > 0)(x)
            if place in TAKEN:
                found[TAKEN[place]] = x
        return found | {"c5": x}
