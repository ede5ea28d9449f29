"""Scene parsing's family: any trunk with any decoder that can read its maps, as `encoder` and `decoder`.

Zhou et al., "Semantic Understanding of Scenes through the ADE20K Dataset", arXiv:1608.05442.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from network.families import Family, Maps, Settings
from network.head.pyramid import C1, PPM, UPerNet
from network.layers import kaiming, set_bn_momentum
from network.trunk import Trunk
from network.trunk.hrnet import STAGES, HRNet
from options.archs import TRUNKS, Part
from utils.errors import UserError, nearest

STRIDES = {"": 32, "dilated": 8, "_dilated8": 8, "_dilated16": 16}  # of the whole encoder, by the end of its name
# The published name of an encoder -> its part: the trunks of the table at any stride, and HRNet as it was published.
ENCODERS = {
    name.removesuffix("dilated") + end: part._replace(fixed={**part.fixed, "stride": stride})
    for name, part in TRUNKS.items() if name.endswith("dilated") for end, stride in STRIDES.items()
}  # fmt: skip
ENCODERS["hrnetv2"] = TRUNKS["hrnet"]._replace(fixed={"width": 48, "stages": STAGES, "align_corners": False})
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

    With `momentum` batch norm moves by that, but in HRNet. UserError for pairs that do not fit.
    """

    def __init__(self, trunk: Trunk, s: Settings) -> None:
        super().__init__(trunk, s, name="encoder")
        self.reads_all = s.decoder.startswith("upernet")
        last = trunk.levels[-1] if self.reads_all else trunk.joined
        channels = [*(level.channels for level in trunk.levels[:-1]), last.channels]
        self.channels = channels[-1]
        _check_pair(s, trunk, self.channels)
        self.decoder = DECODERS[s.decoder](s.num_classes, channels)
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


def encoder(name: str) -> Part:
    """The encoder of a published name, "resnet50dilated"; UserError for another."""
    if not name:
        raise UserError("the checkpoint does not tell its encoder's dilation: give --arch_encoder")
    if name not in ENCODERS:
        raise UserError(f"unknown --arch_encoder {name!r}{nearest(name, ENCODERS)}; known: {', '.join(ENCODERS)}")
    return ENCODERS[name]


def _check_pair(s: Settings, trunk: Trunk, last: int) -> None:
    if s.fc_dim and s.fc_dim != last:
        raise UserError(f"--fc_dim {s.fc_dim}: {s.encoder} ends in {last} channels; give that, or leave it out")
    if trunk.joined != trunk.levels[-1] and s.decoder.endswith("deepsup"):
        plain = s.decoder.removesuffix("_deepsup")
        raise UserError(
            f"--arch_decoder {s.decoder} supervises the map before the last, but {s.encoder} gives one: take {plain}"
        )
