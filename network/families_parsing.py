"""Scene parsing's family: any trunk with any decoder that can read its maps, as `encoder` and `decoder`.

Zhou et al., "Semantic Understanding of Scenes through the ADE20K Dataset", arXiv:1608.05442.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from network.families import Family, Maps, Settings
from network.head.pyramid import C1, PPM, UPerNet
from network.layers import kaiming, set_bn_momentum
from network.trunk import Trunk
from network.trunk.hrnet import HRNet
from utils.errors import UserError


class Parsing(Family):
    """An encoder and a decoder, which reads all maps, or the joined one and perhaps the one before the last.

    `decoder`: makes it from the channels of the maps that it reads, from fine to coarse. With `momentum` batch norm
    moves by that, but in HRNet.
    """

    def __init__(
        self, trunk: Trunk, s: Settings, decoder: Callable[[list[int]], nn.Module], reads_all: bool = False
    ) -> None:
        super().__init__(trunk, s, name="encoder", joins=not reads_all)
        self.reads_all = reads_all
        last = trunk.levels[-1] if reads_all else self.joined_level
        channels = [*(level.channels for level in trunk.levels[:-1]), last.channels]
        self.channels = channels[-1]
        if s.fc_dim and s.fc_dim != self.channels:
            ends = f"the encoder ends in {self.channels} channels"
            raise UserError(f"--fc_dim {s.fc_dim}: {ends}; give that, or leave it out")
        self.decoder = decoder(channels)
        kaiming(self.decoder)
        for part in (self.decoder,) if isinstance(trunk, HRNet) else (trunk, self.decoder):
            if s.momentum is not None:
                set_bn_momentum(part, s.momentum)

    def maps(self, image: Tensor) -> Maps:
        features = self.inner(image)
        if not self.reads_all:
            features = [*features[:-1], self.join(features)]
        return Maps(self.decoder(features), features[-1])


def c1(trunk: Trunk, s: Settings, deepsup: bool = False) -> Parsing:
    """One 3x3 convolution and the classifier; with `deepsup` the same on the map before the last."""
    return Parsing(trunk, s, lambda channels: C1(s.num_classes, channels[-1], _before_last(channels, deepsup)))


def ppm(trunk: Trunk, s: Settings, deepsup: bool = False) -> Parsing:
    """Pyramid pooling; `deepsup` as in `c1`."""
    return Parsing(trunk, s, lambda channels: PPM(s.num_classes, channels[-1], _before_last(channels, deepsup)))


def upernet(trunk: Trunk, s: Settings, inner: int = 512) -> Parsing:
    """Pyramid pooling, and a feature pyramid of `inner` channels over all maps."""
    return Parsing(trunk, s, lambda channels: UPerNet(s.num_classes, channels, inner), reads_all=True)


def _before_last(channels: list[int], deepsup: bool) -> int:
    """Channels of the map for deep supervision, 0 for none."""
    if deepsup and len(channels) < 2:
        raise UserError("this head supervises the map before the last, but this trunk gives one map: take another head")
    return channels[-2] if deepsup else 0
