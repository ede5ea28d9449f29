"""Scene parsing's family: any encoder with any decoder that can read its maps, as `encoder` and `decoder`.

Zhou et al., "Semantic Understanding of Scenes through the ADE20K Dataset", arXiv:1608.05442.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from network.families import Settings
from network.head.pyramid import C1, PPM, UPerNet
from network.layers import kaiming, set_bn_momentum
from network.net import Parts
from network.trunk.encoder_resnet import EncoderResNet
from network.trunk.hrnet import HRNet
from network.trunk.mobilenet import MobileNetV2
from utils.contracts import Outputs
from utils.errors import UserError, nearest

MOMENTUM = 0.001  # of batch norm, as published, but for HRNet
STRIDES = {"": 32, "dilated": 8, "_dilated8": 8, "_dilated16": 16}  # of the whole encoder, by the end of its name

Channels = Mapping[str, int]

# Base name -> encoder of (stride, width multiplier, whether to recompute activations).
ENCODERS: dict[str, Callable[[int, float, bool], nn.Module]] = {
    "resnet18": lambda stride, mult, ckpt: EncoderResNet(18, stride, False, mult, ckpt),
    "resnet50": lambda stride, mult, ckpt: EncoderResNet(50, stride, False, mult, ckpt),
    "resnet101": lambda stride, mult, ckpt: EncoderResNet(101, stride, False, mult, ckpt),
    "resnext101": lambda stride, mult, ckpt: EncoderResNet(101, stride, True, mult, ckpt),
    "mobilenetv2": lambda stride, mult, ckpt: MobileNetV2(stride, mult, ckpt),
    "hrnetv2": lambda stride, mult, ckpt: HRNet(mult=mult, grad_ckpt=ckpt),
}
DECODERS: dict[str, Callable[[int, Channels], nn.Module]] = {
    "c1": lambda classes, maps: C1(classes, _last(maps)),
    "c1_deepsup": lambda classes, maps: C1(classes, _last(maps), _second(maps)),
    "ppm": lambda classes, maps: PPM(classes, _last(maps)),
    "ppm_deepsup": lambda classes, maps: PPM(classes, _last(maps), _second(maps)),
    "upernet": lambda classes, maps: UPerNet(classes, tuple(maps.values())),
    "upernet_lite": lambda classes, maps: UPerNet(classes, tuple(maps.values()), 256),
}


def encoder_decoder(s: Settings) -> Parts:
    """The encoder and the decoder of the settings; UserError for unknown names and pairs that do not fit."""
    name = s.decoder.replace("_bilinear", "")  # an older spelling
    if name not in DECODERS:
        raise UserError(
            f"unknown --arch_decoder {s.decoder!r}{nearest(s.decoder, DECODERS)}; known: {', '.join(DECODERS)}"
        )
    encoder = _encoder(s)
    branches = isinstance(encoder, HRNet) and name.startswith("upernet")
    maps: Channels = getattr(encoder, "branch_channels" if branches else "out_channels")
    _check_pair(s, name, maps)
    decoder = DECODERS[name](s.num_classes, maps)
    kaiming(decoder)
    for part in (decoder,) if isinstance(encoder, HRNet) else (encoder, decoder):
        set_bn_momentum(part, MOMENTUM)
    modules: dict[str, nn.Module] = {"encoder": encoder, "decoder": decoder}
    return Parts(modules, _branch_maps if branches else _maps, _last(maps), "encoder")


def _maps(net: Any, image: Tensor) -> tuple[Outputs, Tensor]:
    maps = net.encoder(image)
    return net.decoder(maps), list(maps.values())[-1]


def _branch_maps(net: Any, image: Tensor) -> tuple[Outputs, Tensor]:
    maps = {f"branch{i}": x for i, x in enumerate(net.encoder.branches(image))}
    return net.decoder(maps), maps["branch3"]


def _encoder(s: Settings) -> nn.Module:
    if not s.encoder:
        raise UserError("the checkpoint does not tell its encoder's dilation: give --arch_encoder")
    match = re.fullmatch(r"(.*?)(dilated|_dilated8|_dilated16|)", s.encoder)
    base, end = (match[1], match[2]) if match else (s.encoder, "")
    if base not in ENCODERS or (base == "hrnetv2" and end):
        known = [f"{name}{end}" for name in ENCODERS for end in STRIDES if name != "hrnetv2" or not end]
        raise UserError(f"unknown --arch_encoder {s.encoder!r}{nearest(s.encoder, known)}; known: {', '.join(known)}")
    return ENCODERS[base](STRIDES[end], s.width_mult, s.grad_ckpt)


def _check_pair(s: Settings, decoder: str, maps: Channels) -> None:
    if s.fc_dim and s.fc_dim != _last(maps):
        raise UserError(f"--fc_dim {s.fc_dim}: {s.encoder} ends in {_last(maps)} channels; give that, or leave it out")
    if len(maps) == 1 and decoder.endswith("deepsup"):
        plain = decoder.removesuffix("_deepsup")
        raise UserError(
            f"--arch_decoder {s.decoder} supervises the map before the last, but {s.encoder} gives one: take {plain}"
        )


def _last(maps: Channels) -> int:
    return list(maps.values())[-1]


def _second(maps: Channels) -> int:
    return list(maps.values())[-2]
