"""Scene parsing's family: any trunk with any decoder that can read its maps, as `encoder` and `decoder`.

Zhou et al., "Semantic Understanding of Scenes through the ADE20K Dataset", arXiv:1608.05442.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from network.families import Family, Maps, Settings
from network.head.pyramid import C1, PPM, UPerNet
from network.layers import kaiming, set_bn_momentum
from network.trunk import Trunk
from network.trunk.hrnet import HRNet
from network.trunk.mobilenet import MobileNetV2
from network.trunk.resnet import DeepStemResNet, DeepStemResNeXt
from utils.errors import UserError, nearest

STRIDES = {"": 32, "dilated": 8, "_dilated8": 8, "_dilated16": 16}  # of the whole encoder, by the end of its name

# Base name -> encoder of (width multiplier, whether to recompute activations, stride).
ENCODERS: dict[str, Callable[[float, bool, int], Trunk]] = {
    "resnet18": lambda mult, ckpt, stride: DeepStemResNet(18, mult, ckpt, stride),
    "resnet50": lambda mult, ckpt, stride: DeepStemResNet(50, mult, ckpt, stride),
    "resnet101": lambda mult, ckpt, stride: DeepStemResNet(101, mult, ckpt, stride),
    "resnext101": lambda mult, ckpt, stride: DeepStemResNeXt(101, mult, ckpt, stride),
    "mobilenetv2": lambda mult, ckpt, stride: MobileNetV2(stride, mult, ckpt),
    "hrnetv2": lambda mult, ckpt, stride: HRNet(mult=mult, grad_ckpt=ckpt),
}
# Decoders by (classes, channels of the maps that they read, from fine to coarse).
DECODERS: dict[str, Callable[[int, Sequence[int]], nn.Module]] = {
    "c1": lambda classes, channels: C1(classes, channels[-1]),
    "c1_deepsup": lambda classes, channels: C1(classes, channels[-1], channels[-2]),
    "ppm": lambda classes, channels: PPM(classes, channels[-1]),
    "ppm_deepsup": lambda classes, channels: PPM(classes, channels[-1], channels[-2]),
    "upernet": lambda classes, channels: UPerNet(classes, channels),
    "upernet_lite": lambda classes, channels: UPerNet(classes, channels, 256),
}


class Parsing(Family):
    """An encoder and a decoder, which reads all maps, or the joined one and perhaps the one before the last.

    `name`: that of the decoder. With `momentum` batch norm moves by that, but in HRNet. UserError for pairs that do not
    fit.
    """

    def __init__(self, trunk: Trunk, s: Settings, name: str) -> None:
        super().__init__(trunk, s, name="encoder")
        self.reads_all = name.startswith("upernet")
        last = trunk.levels[-1] if self.reads_all else trunk.joined
        channels = [*(level.channels for level in trunk.levels[:-1]), last.channels]
        self.channels = channels[-1]
        _check_pair(s, name, trunk, self.channels)
        self.decoder = DECODERS[name](s.num_classes, channels)
        kaiming(self.decoder)
        for part in (self.decoder,) if isinstance(trunk, HRNet) else (trunk, self.decoder):
            if s.momentum is not None:
                set_bn_momentum(part, s.momentum)

    def maps(self, image: Tensor) -> Maps:
        features = self.inner(image)
        if not self.reads_all:
            features = [*features[:-1], self.inner.join(features)]
        return Maps(self.decoder(features), features[-1])


def decoder_name(given: str) -> str:
    """A name of DECODERS, perhaps in an older spelling; UserError for another."""
    name = given.replace("_bilinear", "")
    if name not in DECODERS:
        raise UserError(f"unknown --arch_decoder {given!r}{nearest(given, DECODERS)}; known: {', '.join(DECODERS)}")
    return name


def encoder(name: str, s: Settings) -> Trunk:
    """The encoder of a published name, "resnet50dilated"; UserError for another."""
    if not name:
        raise UserError("the checkpoint does not tell its encoder's dilation: give --arch_encoder")
    match = re.fullmatch(r"(.*?)(dilated|_dilated8|_dilated16|)", name)
    base, end = (match[1], match[2]) if match else (name, "")
    if base not in ENCODERS or (base == "hrnetv2" and end):
        known = [f"{base}{end}" for base in ENCODERS for end in STRIDES if base != "hrnetv2" or not end]
        raise UserError(f"unknown --arch_encoder {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    return ENCODERS[base](s.width_mult, s.grad_ckpt, STRIDES[end])


def _check_pair(s: Settings, decoder: str, trunk: Trunk, last: int) -> None:
    if s.fc_dim and s.fc_dim != last:
        raise UserError(f"--fc_dim {s.fc_dim}: {s.encoder} ends in {last} channels; give that, or leave it out")
    if trunk.joined != trunk.levels[-1] and decoder.endswith("deepsup"):
        plain = decoder.removesuffix("_deepsup")
        raise UserError(
            f"--arch_decoder {s.decoder} supervises the map before the last, but {s.encoder} gives one: take {plain}"
        )
