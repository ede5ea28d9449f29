"""DeepLab's families: DeepLabV3, DeepLabV3+ and the deeper decoder, on any trunk at stride 8.

N batch, K classes, H x W image. Trunks give `fine` (stride 2 or 4), `middle` (4 or 8) and `out` (8).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from network.families import Settings, single
from network.head.aspp import ASPP, SQUEEZED
from network.head.decoder import ConvNormReLU
from network.head.segmentation import segmentation_head
from network.layers import conv, kaiming
from network.net import Net, Parts
from network.trunk.resnet import ResNet, SEResNeXt
from network.trunk.wide_resnet import WideResNet38
from network.trunk.xception import Xception71
from utils.contracts import Outputs
from utils.resize import resize

Trunk = Callable[[Settings], nn.Module]
Blend = Callable[[Tensor], Tensor]  # the pyramid of one scale -> mixed with another scale's

FINE = 48  # channels that the fine features are squeezed to in DeepLabV3+
DEEPER = 64, 32  # the same in the deeper decoder, middle and fine


def resnet50(s: Settings) -> ResNet:
    """ResNet-50 of these settings."""
    return ResNet(50, s.width_mult, s.grad_ckpt)


def se_resnext50(s: Settings) -> SEResNeXt:
    """SE-ResNeXt-50 32x4d of these settings."""
    return SEResNeXt(50, s.width_mult, s.grad_ckpt)


def se_resnext101(s: Settings) -> SEResNeXt:
    """SE-ResNeXt-101 32x4d of these settings."""
    return SEResNeXt(101, s.width_mult, s.grad_ckpt)


def wide_resnet38(s: Settings) -> WideResNet38:
    """Wide-ResNet-38 of these settings."""
    return WideResNet38(s.width_mult, s.grad_ckpt)


def xception71(s: Settings) -> Xception71:
    """Xception-71 of these settings."""
    return Xception71(s.width_mult, s.grad_ckpt)


def deeplab(s: Settings, trunk: Trunk) -> Parts:
    """DeepLabV3 (Chen et al., arXiv:1706.05587): trunk, ASPP, plain head."""
    backbone = trunk(s)
    pyramid = ASPP(_channels(backbone, "out"), s.aspp_channels)
    final = segmentation_head(pyramid.out_channels, s.num_classes, s.head_channels)
    kaiming(pyramid)
    kaiming(final)
    return Parts({"backbone": backbone, "aspp": pyramid, "final": final}, _deeplab_maps, pyramid.out_channels)


def _deeplab_maps(net: Any, image: Tensor) -> tuple[Outputs, Tensor]:
    features = net.aspp(net.backbone(image)["out"])
    return {"pred": net.final(features)}, features


def deeplab_plus(s: Settings, trunk: Trunk, init_all: bool = False, name: str = "backbone") -> Parts:
    """DeepLabV3+ (Chen et al., arXiv:1802.02611): the pyramid beside the trunk's fine features, then the plain head.

    `init_all`: a Kaiming-normal start not only of the last part. The trunk is `name`; see `Parts` for an empty one.
    """
    backbone = trunk(s)
    pyramid = ASPP(_channels(backbone, "out"), s.aspp_channels)
    channels = FINE + SQUEEZED
    head: dict[str, nn.Module] = {
        "aspp": pyramid,
        "bot_fine": conv(_channels(backbone, "fine"), FINE, kernel=1),
        "bot_aspp": conv(pyramid.out_channels, SQUEEZED, kernel=1),
        "final": segmentation_head(channels, s.num_classes, s.head_channels),
    }
    for part in head if init_all else ("final",):
        kaiming(head[part])
    return Parts({name: backbone} | head, _deeplab_plus_maps, channels, name)


def aligned_plus(s: Settings, trunk: Trunk, init_all: bool = True) -> Net:
    """DeepLabV3+ as published with label relaxation (Zhu et al., arXiv:1812.01593), at one scale.

    Corners are aligned in every resizing, whatever the settings say, and the trunk has no name of its own.
    """
    return single(partial(deeplab_plus, trunk=trunk, init_all=init_all, name=""), replace(s, align_corners=True))


def _deeplab_plus_maps(net: Any, image: Tensor, blend: Blend | None = None) -> tuple[Outputs, Tensor]:
    features = net.trunk_module(image)
    pyramid = net.aspp(features["out"])  # (N, 5 * channels, H/8, W/8)
    pyramid = blend(pyramid) if blend else pyramid
    fine = net.bot_fine(features["fine"])
    coarse = resize(net.bot_aspp(pyramid), fine.shape[-2:], net.align_corners)
    joint = torch.cat([fine, coarse], dim=1)  # (N, 304, H/2, W/2), or a quarter of the image
    return {"pred": net.final(joint)}, joint


def deeper(s: Settings, trunk: Trunk, name: str = "backbone") -> Parts:
    """A deeper decoder (DeeperLab, arXiv:1902.05093): two steps up, beside earlier features; the trunk is `name`."""
    backbone = trunk(s)
    pyramid = ASPP(_channels(backbone, "out"), s.aspp_channels)
    middle, fine, channels = *DEEPER, s.head_channels
    modules: dict[str, nn.Module] = {
        name: backbone,
        "aspp": pyramid,
        "convs2": conv(_channels(backbone, "fine"), fine, kernel=1),
        "convs4": conv(_channels(backbone, "middle"), middle, kernel=1),
        "conv_up1": conv(pyramid.out_channels, channels, kernel=1),
        "conv_up2": ConvNormReLU(channels + middle, channels, kernel=5),
        "conv_up3": ConvNormReLU(channels + fine, channels, kernel=5),
        "conv_up5": conv(channels, s.num_classes, kernel=1),
    }
    return Parts(modules, _deeper_maps, channels, name)


def _deeper_maps(net: Any, image: Tensor) -> tuple[Outputs, Tensor]:
    features = net.trunk_module(image)
    x = net.conv_up1(net.aspp(features["out"]))  # (N, channels, H/8, W/8)
    for squeezed, step in (
        (net.convs4(features["middle"]), net.conv_up2),  # -> (N, channels, H/4, W/4)
        (net.convs2(features["fine"]), net.conv_up3),  # -> (N, channels, H/2, W/2)
    ):
        x = step(torch.cat([resize(x, squeezed.shape[-2:], net.align_corners), squeezed], dim=1))
    return {"pred": net.conv_up5(x)}, x


def _channels(trunk: Any, name: str) -> int:
    return trunk.out_channels[name]
