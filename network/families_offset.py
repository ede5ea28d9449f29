"""Networks with offset vectors: HRNet whose last stages exist twice, and the offset head behind any other family.

N batch, K classes, H x W image, h x w head's resolution. "OVeNet", arXiv:2303.14516; `network.head.offset`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from network.families import Family, Settings, hrnet, multiscale, single
from network.families_deeplab import (
    deeplab_plus,
    resnet50,
    se_resnext50,
    se_resnext101,
    wide_resnet38,
    xception71,
)
from network.families_parsing import encoder_decoder
from network.head.ocr import Distribute, gather
from network.head.offset import SeedSampling
from network.head.segmentation import pointwise_head
from network.layers import conv, conv_bn_relu, set_bn_momentum, small_normal
from network.net import Maps, Net, Parts
from network.trunk.hrnet import SECOND_BRANCH, HRNet, Stage
from utils.contracts import Outputs
from utils.errors import UserError
from utils.resize import resize

MOMENTUM = 0.01  # of batch norm, as published with HRNet
HEAD, OCR_HEAD = "offset_layer", "aux_head_offset"  # published names of the offset head
THRESHOLD, OCR_THRESHOLD = 0.5, 0.2  # published lengths of the longest offset
_EVIDENCE = "_evidence"  # what the offset head reads, on its way through the outputs


def seg_hrnet(s: Settings, second_branch: tuple[Stage, ...] = ()) -> Parts:
    """HRNet and its own head of 1x1 convolutions, as published; `second_branch`: stages that exist twice."""
    trunk = hrnet(s, second_branch)
    channels = trunk.out_channels["out"]
    modules: dict[str, nn.Module] = {"": trunk, "last_layer": pointwise_head(channels, s.num_classes)}
    return _started(Parts(modules, _seg_hrnet_maps, channels, trunk=""))


def _seg_hrnet_maps(net: Any, image: Tensor) -> tuple[Outputs, Tensor]:
    found = net.trunk_module(image)
    return {"pred": net.last_layer(found["out"])} | _evidence(found), found["out"]


def _evidence(found: Outputs) -> Outputs:
    return {_EVIDENCE: found["twin"]} if "twin" in found else {}


def hrnet_ocr(s: Settings) -> Parts:
    """HRNet with two ways and OCR's head (arXiv:1909.11065) on the first, its parts beside the trunk's."""
    trunk = hrnet(s, s.second_branch)
    inputs, middle = trunk.out_channels["out"], s.mid_channels
    modules: dict[str, nn.Module] = {
        "": trunk,
        "conv3x3_ocr": nn.Sequential(*conv_bn_relu(inputs, middle, bias=True)),
        "ocr_distri_head": Distribute(middle, s.key_channels, s.ocr_dropout),
        "cls_head": conv(middle, s.num_classes, kernel=1, bias=True),
        "aux_head": pointwise_head(inputs, s.num_classes),
    }
    return _started(Parts(modules, _hrnet_ocr_maps, middle, trunk=""))


def _hrnet_ocr_maps(net: Any, image: Tensor) -> tuple[Outputs, Tensor]:
    found = net.trunk_module(image)
    aux, pixels = net.aux_head(found["out"]), net.conv3x3_ocr(found["out"])
    features = net.ocr_distri_head(pixels, gather(pixels, aux))
    return {"pred": net.cls_head(features), "aux": aux} | _evidence(found), features


def _started(parts: Parts) -> Parts:
    """As published with HRNet: small normal convolutions, slow running statistics."""
    for part in parts.modules.values():
        small_normal(part)
        set_bn_momentum(part, MOMENTUM)
    return parts


def offsets(s: Settings, family: Family, head: str = HEAD, threshold: float = THRESHOLD) -> Parts:
    """Any family with an offset head.

    `pred` is the fused prediction then, beside `initial` and `seed`, all (N, K, h, w), `offset` (N, 2, h, w) and
    `confidence` (N, 1, h, w). An `aux` is treated in the same way, with `initial_aux` and `seed_aux`.
    """
    parts = family(s)
    trunk = parts.modules[parts.trunk]
    inputs = trunk.out_channels["twin"] if isinstance(trunk, HRNet) and trunk.branch_from < 5 else parts.channels
    layer = pointwise_head(inputs, 3)
    small_normal(layer)
    if isinstance(trunk, HRNet):
        set_bn_momentum(layer, MOMENTUM)
    longest = threshold if s.offset_threshold < 0 else s.offset_threshold
    sampling = SeedSampling(longest, s.refinements, s.offset_logits, s.offset_aligned)
    maps = partial(_offset_maps, scores=parts.maps, head=head, sampling=sampling)
    return parts._replace(modules=parts.modules | {head: layer}, maps=maps)


def _offset_maps(net: Any, image: Tensor, scores: Maps, head: str, sampling: SeedSampling) -> tuple[Outputs, Tensor]:
    outputs, features = scores(net, image)
    raw = net.get_submodule(head)(outputs.pop(_EVIDENCE, features))  # (N, 3, h, w)
    seeds = sampling.read(resize(raw, outputs["pred"].shape[-2:], net.align_corners))
    for name, end in (("pred", ""), ("aux", "_aux")):
        if name in outputs:
            settled = sampling.settle(outputs[name], seeds)
            outputs |= {name: settled.fused, f"initial{end}": settled.initial, f"seed{end}": settled.seed}
    return outputs | {"offset": seeds.offset, "confidence": seeds.confidence}, features


def offset_hrnet(s: Settings) -> Parts:
    """HRNet with two ways: the first gives scores, the second offsets and confidence."""
    return offsets(s, partial(seg_hrnet, second_branch=s.second_branch))


def offset_hrnet_ocr(s: Settings) -> Parts:
    """The same with OCR on the first way (the paper's second network); shorter offsets."""
    return offsets(s, hrnet_ocr, OCR_HEAD, OCR_THRESHOLD)


def _plus(trunk: Callable[[Settings], nn.Module]) -> Family:
    return partial(offsets, family=partial(deeplab_plus, trunk=trunk))


def _aligned(s: Settings) -> Settings:
    return replace(s, align_corners=True)


def freeze_first_way(net: Net) -> None:
    """Train the offset head and the stages before it that exist twice; all the rest stays as it is loaded.

    Raises UserError for a network without an offset head.
    """
    parts = dict(net.named_children())
    if not {HEAD, OCR_HEAD} & parts.keys():
        raise UserError("MODEL.FREEZED_PAR trains the offset branch alone: take an --arch offset...., or leave it out")
    net.freeze(
        part for name, part in parts.items() if not name.endswith(SECOND_BRANCH) and name not in (HEAD, OCR_HEAD)
    )


# Networks that align corners, whatever --align_corners says.
ALIGNED: dict[str, Callable[[Settings], Net]] = {
    "offset.HRNet_OCR": lambda s: single(offset_hrnet_ocr, _aligned(s)),
    "offset.HRNet_OCR_Mscale": lambda s: multiscale(offset_hrnet_ocr, _aligned(s)),
}
NETS: dict[str, Callable[[Settings], Net]] = {
    **ALIGNED,
    "offset.DeepV3PlusR50": lambda s: single(_plus(resnet50), s),
    "offset.DeepV3PlusSRNX50": lambda s: single(_plus(se_resnext50), s),
    "offset.DeepV3PlusSRNX101": lambda s: single(_plus(se_resnext101), s),
    "offset.DeepV3PlusW38": lambda s: single(_plus(wide_resnet38), s),
    "offset.DeepV3PlusW38_Mscale": lambda s: multiscale(_plus(wide_resnet38), s),
    "offset.DeepV3PlusX71": lambda s: single(_plus(xception71), s),
    "offset.HRNet": lambda s: single(offset_hrnet, s),
    "offset.HRNet_Mscale": lambda s: multiscale(offset_hrnet, s),
    "offset.encoder_decoder": lambda s: single(partial(offsets, family=encoder_decoder), s),
    "seg_hrnet.HRNet": lambda s: single(seg_hrnet, s),
}
