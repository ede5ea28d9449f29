"""The families: which trunk and which head, under which names, at one scale or several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from network.attnscale import AttentionToScale, PairwiseAttentionToScale
from network.head.aspp import ASPP, SQUEEZED
from network.head.attention import attention_head, old_attention_head, weights_head
from network.head.ocr import OCRHead
from network.head.segmentation import segmentation_head
from network.layers import conv
from network.mscale import FusedPyramids, MultiScale, PairedMultiScale
from network.net import Net, Parts
from network.trunk.hrnet import STAGES, TWINS, HRNet, Stage
from utils.contracts import Outputs
from utils.errors import UserError


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
    attnscale_norm: bool = False
    lo_scale: float = 0.5
    scales: tuple[float, ...] = ()
    align_corners: bool = False
    grad_ckpt: bool = False
    freeze_trunk: bool = False
    second_scale_from: int = 0
    encoder: str = "resnet50dilated"
    decoder: str = "ppm_deepsup"
    fc_dim: int = 0
    second_branch: tuple[Stage, ...] = TWINS[-1:]  # HRNet's last stages that exist twice, in networks with offsets
    offset_threshold: float = -1.0  # below 0: the network's published value
    refinements: int = 0
    offset_logits: bool = True
    offset_aligned: bool = True


Family = Callable[[Settings], Parts]


def hrnet(s: Settings, second_branch: tuple[Stage, ...] = ()) -> HRNet:
    """The HRNetV2 trunk of these settings; `second_branch`: its stages that exist twice."""
    return HRNet(s.width, s.width_mult, s.stages, s.align_corners, s.grad_ckpt, second_branch)


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
    squeeze = conv(pyramid.out_channels, SQUEEZED, kernel=1)
    final = segmentation_head(SQUEEZED, s.num_classes, s.head_channels)
    return Parts({"backbone": trunk, "aspp": pyramid, "bot_aspp": squeeze, "final": final}, _aspp_maps, SQUEEZED)


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
    return MultiScale(parts, _attention(parts, s), *_scaling(s))


def fused_pyramids(family: Family, s: Settings, attentions: int = 1) -> FusedPyramids:
    """The same with pyramids blended between scales; `attentions` 2: they have an attention of their own."""
    parts = family(s)
    return FusedPyramids(parts, _attention(parts, s, attentions), *_scaling(s))


def paired(family: Family, s: Settings) -> PairedMultiScale:
    """The family's parts with attention from the features of two scales."""
    parts = family(s)
    attention = old_attention_head(2 * parts.channels, 1, s.head_channels, spread=0.01)
    return PairedMultiScale(parts, attention, *_scaling(s))


def attention_to_scale(family: Family, s: Settings, norm: bool = False) -> AttentionToScale:
    """The family's parts with weights from the features of all scales at once."""
    parts, scales = family(s), _given_scales(s)
    head = weights_head(len(scales) * parts.channels, len(scales), s.head_channels, norm or s.attnscale_norm)
    return AttentionToScale(parts, head, *_scaling(s))


def pairwise_attention_to_scale(family: Family, s: Settings) -> PairwiseAttentionToScale:
    """The family's parts with weights from the features of two neighbouring scales at a time."""
    parts = family(s)
    _given_scales(s)
    head = old_attention_head(2 * parts.channels, 2, s.head_channels, spread=0.01)
    return PairwiseAttentionToScale(parts, head, *_scaling(s))


def _attention(parts: Parts, s: Settings, outputs: int = 1) -> nn.Sequential:
    if s.old_attention:
        return old_attention_head(parts.channels, outputs, s.head_channels)
    return attention_head(parts.channels, outputs, s.head_channels, s.inner_3x3, s.attention_dropout)


def _scaling(s: Settings) -> tuple[float, tuple[float, ...], bool, bool, int]:
    """The last arguments of every network of several scales."""
    return s.lo_scale, s.scales, s.align_corners, s.freeze_trunk, s.second_scale_from


def _given_scales(s: Settings) -> tuple[float, ...]:
    if not s.scales:
        raise UserError("an attnscale network is built for its scales: give them, for instance --n_scales 0.5,1.0,2.0")
    return s.scales
