"""Atrous spatial pyramid pooling (Chen et al., arXiv:1706.05587 and 1802.02611)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from network.fused import Chain
from network.layers import conv_bn_relu
from utils.errors import UserError
from utils.resize import resize

RATES = {8: (12, 24, 36), 16: (6, 12, 18)}  # dilations by output stride of the trunk
FIXED = 105  # places of a map at 1/8: those of a training crop of 840 pixels
SQUEEZED = 256  # channels that the pyramid is squeezed to before a decoder, at any width of its branches


class ASPP(nn.Module):
    """(N, inputs, h, w) -> (N, 5 * channels, h, w): the image's mean, a 1x1 and three dilated 3x3 branches.

    Training needs more than one image in a batch: the first branch normalizes one value an image. The drivers say so
    before the first step (`network.batchnorm_check`).
    """

    def __init__(self, inputs: int, channels: int = 256, rates: Sequence[int] = RATES[8]) -> None:
        super().__init__()
        self.out_channels = (2 + len(rates)) * channels
        branches = [conv_bn_relu(inputs, channels, kernel=1)]
        branches += [conv_bn_relu(inputs, channels, dilation=rate) for rate in rates]
        self.features = nn.ModuleList(Chain(*branch) for branch in branches)
        self.img_pooling: nn.Module = nn.AdaptiveAvgPool2d(1)
        self.img_conv = Chain(*conv_bn_relu(inputs, channels, kernel=1))

    def forward(self, x: Tensor) -> Tensor:
        mean = resize(self.img_conv(self.img_pooling(x)), x.shape[-2:])  # (N, channels, 1, 1) spread over h x w
        return torch.cat([mean, *(branch(x) for branch in self.features)], dim=1)


class FixedPool(nn.Module):
    """(N, C, h, w) -> means of squares of `side` places side by side, or of the whole map where it is smaller.

    The image's mean has seen crops of one size in training; so the pyramid gets means of that size from any image.
    """

    def __init__(self, side: int = FIXED) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, (min(self.side, x.shape[-2]), min(self.side, x.shape[-1])))


def fix_pooling(net: nn.Module) -> None:
    """Every pyramid of `net` averages with `FixedPool` from then on. UserError if it has none."""
    pyramids = [module for module in net.modules() if isinstance(module, ASPP)]
    if not pyramids:
        raise UserError("--fixed_aspp_pool: this network has no ASPP; leave it out")
    for pyramid in pyramids:
        pyramid.img_pooling = FixedPool()
