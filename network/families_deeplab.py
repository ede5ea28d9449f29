"""DeepLab's families: DeepLabV3, DeepLabV3+ and the deeper decoder.

N batch, K classes, H x W image; sizes are those of trunks with maps at 1/2, 1/4 and 1/8.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from network.families import Family, Maps, Settings
from network.head.aspp import ASPP, SQUEEZED
from network.head.decoder import ConvNormReLU
from network.head.segmentation import segmentation_head
from network.layers import Classifier, conv, kaiming
from network.trunk import Trunk
from utils.errors import UserError
from utils.resize import resize

Blend = Callable[[Tensor], Tensor]  # the pyramid of one scale -> mixed with another scale's

FINE = 48  # channels that the fine features are squeezed to in DeepLabV3+
DEEPER = 64, 32  # the same in the deeper decoder, of the second finest and the finest map


class DeepLab(Family):
    """DeepLabV3 (Chen et al., arXiv:1706.05587): trunk, ASPP, plain head."""

    def __init__(self, trunk: Trunk, s: Settings) -> None:
        super().__init__(trunk, s)
        self.aspp = ASPP(self.joined_level.channels, s.aspp_channels)
        self.channels = self.aspp.out_channels
        self.final = segmentation_head(self.channels, s.num_classes, s.head_channels)
        kaiming(self.aspp)
        kaiming(self.final)

    def maps(self, image: Tensor) -> Maps:
        features = self.aspp(self.joined(image))
        return Maps({"pred": self.final(features)}, features)


class DeepLabPlus(Family):
    """DeepLabV3+ (Chen et al., arXiv:1802.02611): the pyramid beside the trunk's finest map, then the plain head.

    With `init_all` not only the last part has a Kaiming-normal start.
    """

    def __init__(self, trunk: Trunk, s: Settings) -> None:
        super().__init__(trunk, s)
        self.channels = FINE + SQUEEZED
        self.aspp = ASPP(self.joined_level.channels, s.aspp_channels)
        self.bot_fine = conv(trunk.levels[0].channels, FINE, kernel=1)
        self.bot_aspp = conv(self.aspp.out_channels, SQUEEZED, kernel=1)
        self.final = segmentation_head(self.channels, s.num_classes, s.head_channels)
        for part in (self.aspp, self.bot_fine, self.bot_aspp, self.final) if s.init_all else (self.final,):
            kaiming(part)

    def maps(self, image: Tensor, blend: Blend | None = None) -> Maps:
        """As any family's; `blend`: what is done with the pyramid before it is squeezed."""
        features = self.trunk_module(image)
        pyramid = self.aspp(self.join(features))  # (N, 5 * channels, H/8, W/8)
        pyramid = blend(pyramid) if blend else pyramid
        fine = self.bot_fine(features[0])
        coarse = resize(self.bot_aspp(pyramid), fine.shape[-2:], self.align_corners)
        joint = torch.cat([fine, coarse], dim=1)  # (N, 304, H/2, W/2), or a quarter of the image
        return Maps({"pred": self.final(joint)}, joint)


class Deeper(Family):
    """A deeper decoder (DeeperLab, arXiv:1902.05093): two steps up, beside the two finest maps."""

    def __init__(self, trunk: Trunk, s: Settings) -> None:
        super().__init__(trunk, s)
        strides = [level.stride for level in trunk.levels[:2]]
        if len(strides) < 2 or not strides[0] < strides[1] <= self.joined_level.stride:
            joined = self.joined_level.stride
            raise UserError(
                f"the deeper decoder goes up in two steps, from 1/{joined} of the image over the trunk's finest maps, "
                f"here 1/{', 1/'.join(map(str, strides))}: take a trunk with two maps before its last, or a larger "
                "--neck_stride"
            )
        fine, middle = trunk.levels[:2]
        squeezed_middle, squeezed_fine = DEEPER
        self.channels = channels = s.head_channels
        self.aspp = ASPP(self.joined_level.channels, s.aspp_channels)
        self.convs2 = conv(fine.channels, squeezed_fine, kernel=1)
        self.convs4 = conv(middle.channels, squeezed_middle, kernel=1)
        self.conv_up1 = conv(self.aspp.out_channels, channels, kernel=1)
        self.conv_up2 = ConvNormReLU(channels + squeezed_middle, channels, kernel=5)
        self.conv_up3 = ConvNormReLU(channels + squeezed_fine, channels, kernel=5)
        self.conv_up5 = Classifier(channels, s.num_classes, bias=False)

    def maps(self, image: Tensor) -> Maps:
        features = self.trunk_module(image)
        x = self.conv_up1(self.aspp(self.join(features)))  # (N, channels, H/8, W/8)
        for squeezed, step in (
            (self.convs4(features[1]), self.conv_up2),  # -> (N, channels, H/4, W/4)
            (self.convs2(features[0]), self.conv_up3),  # -> (N, channels, H/2, W/2)
        ):
            x = step(torch.cat([resize(x, squeezed.shape[-2:], self.align_corners), squeezed], dim=1))
        return Maps({"pred": self.conv_up5(x)}, x)
