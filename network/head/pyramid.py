"""Decoders of scene parsing: C1, pyramid pooling (Zhao et al., arXiv:1612.01105), UPerNet (Xiao et al. 2018).

UPerNet is arXiv:1807.10221. Each reads a trunk's maps (N, c, h, w), the coarsest last, and gives logits (N, K, h, w),
in some variants with those of a second head on the map before the last, for deep supervision. Bilinear
resizing never aligns corners.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from network.fused import Chain
from network.layers import Classifier, conv_bn_relu
from network.trunk import Features
from utils.contracts import Outputs
from utils.resize import resize

BINS = (1, 2, 3, 6)  # places along a side that a map is pooled to
POOLED = 512  # channels of a pooled map
DROPOUT = 0.1


def block(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return Chain(*conv_bn_relu(inputs, outputs, kernel))


class C1(nn.Module):
    """One 3x3 convolution and the classifier; `second` channels: of the map for deep supervision, 0 for none."""

    def __init__(self, num_classes: int, channels: int, second: int = 0) -> None:
        super().__init__()
        inner = channels // 4
        self.cbr = block(channels, inner)
        if second:
            self.cbr_deepsup = block(second, inner)
        self.conv_last = Classifier(inner, num_classes)
        if second:
            self.conv_last_deepsup = Classifier(inner, num_classes)
        self.second = second

    def forward(self, maps: Features) -> Outputs:
        found = {"pred": self.conv_last(self.cbr(maps[-1]))}
        if self.second:
            found["deepsup"] = self.conv_last_deepsup(self.cbr_deepsup(maps[-2]))
        return found


class PPM(nn.Module):
    """The map beside what pooling to 1, 2, 3 and 6 places makes of it; `second` as in C1."""

    def __init__(self, num_classes: int, channels: int, second: int = 0, pooled: int = POOLED) -> None:
        super().__init__()
        self.ppm = nn.ModuleList(
            Chain(nn.AdaptiveAvgPool2d(n), *conv_bn_relu(channels, pooled, kernel=1)) for n in BINS
        )
        if second:
            self.cbr_deepsup = block(second, channels // 4)
        self.conv_last = Chain(
            *conv_bn_relu(channels + len(BINS) * pooled, pooled),
            nn.Dropout2d(DROPOUT),
            Classifier(pooled, num_classes),
        )
        if second:
            self.conv_last_deepsup = Classifier(channels // 4, num_classes)
            self.dropout_deepsup = nn.Dropout2d(DROPOUT)
        self.second = second

    def forward(self, maps: Features) -> Outputs:
        x = maps[-1]
        pooled = [resize(pool(x), x.shape[-2:], False) for pool in self.ppm]
        found = {"pred": self.conv_last(torch.cat([x, *pooled], dim=1))}
        if self.second:
            y = self.dropout_deepsup(self.cbr_deepsup(maps[-2]))
            found["deepsup"] = self.conv_last_deepsup(y)
        return found


class UPerNet(nn.Module):
    """Pyramid pooling on the coarsest map, then step by step up to the finest, all of them fused there.

    `channels`: of the maps, fine to coarse. `inner`: of the pyramid's maps, 512, or 256 in the light variant.
    Pooled maps are resized first and convolved then.
    """

    def __init__(self, num_classes: int, channels: Sequence[int], inner: int = 512, pooled: int = POOLED) -> None:
        super().__init__()
        *finer, coarsest = channels
        self.ppm_pooling = nn.ModuleList(nn.AdaptiveAvgPool2d(n) for n in BINS)
        self.ppm_conv = nn.ModuleList(block(coarsest, pooled, kernel=1) for _ in BINS)
        self.ppm_last_conv = block(coarsest + len(BINS) * pooled, inner)
        self.fpn_in = nn.ModuleList(block(c, inner, kernel=1) for c in finer)
        self.fpn_out = nn.ModuleList(nn.Sequential(block(inner, inner)) for _ in finer)
        self.conv_last = nn.Sequential(block(len(channels) * inner, inner), Classifier(inner, num_classes))

    def forward(self, maps: Features) -> Outputs:
        *finer, x = maps
        steps = zip(self.ppm_pooling, self.ppm_conv, strict=True)
        pooled = [convolve(resize(pool(x), x.shape[-2:], False)) for pool, convolve in steps]
        top = self.ppm_last_conv(torch.cat([x, *pooled], dim=1))  # (N, inner, H/32, W/32)
        levels = [top]
        for x, lateral, out in zip(reversed(finer), reversed(self.fpn_in), reversed(self.fpn_out), strict=True):
            x = lateral(x)
            top = x + resize(top, x.shape[-2:], False)
            levels.append(out(top))
        size = levels[-1].shape[-2:]
        fused = torch.cat([resize(level, size, False) for level in reversed(levels)], dim=1)
        return {"pred": self.conv_last(fused)}
