"""The families: which trunk and which head, under which names, at one scale or several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from network.head.aspp import ASPP
from network.head.attention import attention_head, old_attention_head
from network.head.ocr import OCRHead
from network.head.segmentation import segmentation_head
from network.layers import conv
from network.mscale import MultiScale
from network.net import Net, Parts
from network.trunk.hrnet import STAGES, HRNet, Stage
from utils.contracts import Outputs


@dataclass(frozen=True)
class Settings:
    """What can be chosen about a network beside its name; the defaults are the published values."""

    num_classes: int
    width: int = 48
    width_mult: float = 1.0
    stages: tuple[Stage, ...] = STAGES
    mid_channels: int = 512
    key_channels: int = 256
    ocr_dropout: float = 0.05
    ocr_aspp: bool = False
    head_channels: int = 256
    aspp_channels: int = 256
    inner_3x3: bool = True
    attention_dropout: bool = False
    old_attention: bool = False
    lo_scale: float = 0.5
    scales: tuple[float, ...] = ()
    align_corners: bool = False
    grad_ckpt: bool = False
    freeze_trunk: bool = False
    second_scale_from: int = 0


Family = Callable[[Settings], Parts]


def hrnet(s: Settings) -> HRNet:
    """The HRNetV2 trunk of these settings."""
    return HRNet(s.width, s.width_mult, s.stages, s.align_corners, s.grad_ckpt)


def basic(s: Settings, head: str = "seg_head") -> Parts:
    """HRNet and the plain head, which is called `head`."""
    trunk = hrnet(s)
    inputs = trunk.out_channels["out"]
    classify = segmentation_head(inputs, s.num_classes, s.head_channels)
    return Parts({"backbone": trunk, head: classify}, partial(_basic_maps, head=head), inputs)


def _basic_maps(net: Any, image: Tensor, head: str) -> tuple[Outputs, Tensor]:
    features = net.backbone(image)["out"]
    return {"pred": net.get_submodule(head)(features)}, features


def aspp(s: Settings) -> Parts:
    """HRNet, ASPP squeezed by `bot_aspp`, and the plain head `final`."""
    trunk = hrnet(s)
    pyramid = ASPP(trunk.out_channels["out"], s.aspp_channels)
    channels = s.aspp_channels
    squeeze = conv(pyramid.out_channels, channels, kernel=1)
    final = segmentation_head(channels, s.num_classes, s.head_channels)
    return Parts({"backbone": trunk, "aspp": pyramid, "bot_aspp": squeeze, "final": final}, _aspp_maps, channels)


def _aspp_maps(net: Any, image: Tensor) -> tuple[Outputs, Tensor]:
    features = net.bot_aspp(net.aspp(net.backbone(image)["out"]))
    return {"pred": net.final(features)}, features


def ocr(s: Settings) -> Parts:
    """HRNet and the OCR head, with an ASPP between them if asked."""
    trunk = hrnet(s)
    modules: dict[str, nn.Module] = {"backbone": trunk}
    inputs = trunk.out_channels["out"]
    if s.ocr_aspp:
        modules["aspp"] = pyramid = ASPP(inputs, s.aspp_channels)
        inputs = pyramid.out_channels
    modules["ocr"] = OCRHead(inputs, s.num_classes, s.mid_channels, s.key_channels, s.ocr_dropout)
    return Parts(modules, _ocr_aspp_maps if s.ocr_aspp else _ocr_maps, s.mid_channels)


def _ocr_maps(net: Any, image: Tensor) -> tuple[Outputs, Tensor]:
    pred, aux, features = net.ocr(net.backbone(image)["out"])
    return {"pred": pred, "aux": aux}, features


def _ocr_aspp_maps(net: Any, image: Tensor) -> tuple[Outputs, Tensor]:
    pred, aux, features = net.ocr(net.aspp(net.backbone(image)["out"]))
    return {"pred": pred, "aux": aux}, features


def single(family: Family, s: Settings) -> Net:
    """The family's parts at one scale."""
    return Net(family(s), s.align_corners, s.freeze_trunk)


def multiscale(family: Family, s: Settings) -> MultiScale:
    """The family's parts with hierarchical scale attention."""
    parts = family(s)
    if s.old_attention:
        attention = old_attention_head(parts.channels, 1, s.head_channels)
    else:
        attention = attention_head(parts.channels, 1, s.head_channels, s.inner_3x3, s.attention_dropout)
    return MultiScale(parts, attention, s.lo_scale, s.scales, s.align_corners, s.freeze_trunk, s.second_scale_from)
