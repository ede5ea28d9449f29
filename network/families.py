"""Families: a trunk and a head under their published names, at one scale.

N batch, K classes, H x W image, h x w the head's resolution.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from network.head.aspp import ASPP, SQUEEZED
from network.head.ocr import OCRHead
from network.head.segmentation import segmentation_head
from network.layers import conv
from network.neck import Neck
from network.net import Net
from network.trunk import Features, Level, Trunk, first_stages
from network.trunk.hrnet import SECOND_STAGES, STAGES, Stage
from utils.contracts import Outputs
from utils.resize import resize


@dataclass(frozen=True)
class Settings:
    """What can be chosen about a network beside its trunk, head and scales; the defaults are the published values."""

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
    drop_path: float = 0.0
    neck_channels: int = 64
    neck_stride: int = 8
    freeze_trunk: bool = False
    freeze_stages: int = 0
    second_scale_from: int = 0
    encoder: str = "resnet50dilated"
    decoder: str = "ppm_deepsup"
    fc_dim: int = 0
    second_branch: tuple[Stage, ...] = SECOND_STAGES[-1:]  # HRNet's last stages that exist twice, with offsets
    offset_threshold: float = -1.0  # below 0: the network's published value
    refinements: int = 0
    offset_logits: bool = True
    offset_aligned: bool = True
    # What a published name fixes.
    trunk_name: str = "backbone"
    head_name: str = "seg_head"
    init_all: bool = False
    attentions: int = 1
    momentum: float | None = None


class Maps(NamedTuple):
    """`outputs`: {"pred": (N, K, h, w), ...}; `features` (N, channels, h, w): what a scale attention may read.

    `evidence`: what an offset head reads, where these are not the features.
    """

    outputs: Outputs
    features: Tensor
    evidence: Tensor | None = None


class Family(Net):
    """A network that sees the image at one scale: a trunk, a head, and how they make maps of `channels` features."""

    channels: int
    offset_head = "offset_layer"  # published name of an offset head beside this head
    longest_offset = 0.5  # published, with that head

    def __init__(self, inner: nn.Module, s: Settings, name: str | None = None, joins: bool = True) -> None:
        """`joins`: the head reads one map of a trunk `inner`, which a neck has to make where the trunk has none."""
        super().__init__(inner, s.trunk_name if name is None else name, s.align_corners)
        self.neck = None
        if joins and isinstance(inner, Trunk) and inner.needs_neck:
            self.neck = Neck(inner.levels, s.neck_stride, s.neck_channels, s.align_corners)
        if s.freeze_trunk:
            self.freeze([self.trunk_module.pretrained])
        elif s.freeze_stages and isinstance(inner, Trunk):
            self.freeze(first_stages(inner, s.freeze_stages))

    @abstractmethod
    def maps(self, image: Tensor) -> Maps:
        """Image (N, 3, H, W) -> maps at the head's resolution."""

    def forward(self, image: Tensor, size: Sequence[int] | None = None, keep: Collection[str] | None = None) -> Outputs:
        """Normalized image (N, 3, H, W) -> `pred` (N, K, *size), by default H x W, and the other outputs at h x w.

        `keep`: the names wanted, None for all.
        """
        outputs = {name: x for name, x in self.maps(image).outputs.items() if keep is None or name in keep}
        if "pred" in outputs:
            outputs["pred"] = resize(outputs["pred"], size or image.shape[-2:], self.align_corners)
        return outputs

    def joined(self, image: Tensor) -> Tensor:
        """The one map of the trunk that a head classifies: (N, 3, H, W) -> (N, inputs, h, w)."""
        return self.join(self.trunk_module(image))

    def join(self, features: Features) -> Tensor:
        """The trunk's maps -> the one map."""
        return self.neck(features) if self.neck else self.trunk_module.join(features)

    @property
    def joined_level(self) -> Level:
        """Stride and channels of that map."""
        return self.neck.level if self.neck else self.trunk_module.joined


class Plain(Family):
    """The plain head, under a name of its own."""

    def __init__(self, trunk: Trunk, s: Settings) -> None:
        super().__init__(trunk, s)
        self.channels, self.head_name = self.joined_level.channels, s.head_name
        self.add_module(s.head_name, segmentation_head(self.channels, s.num_classes, s.head_channels))

    def maps(self, image: Tensor) -> Maps:
        features = self.joined(image)
        return Maps({"pred": self.get_submodule(self.head_name)(features)}, features)


class Atrous(Family):
    """ASPP squeezed by `bot_aspp`, and the plain head `final`."""

    def __init__(self, trunk: Trunk, s: Settings) -> None:
        super().__init__(trunk, s)
        self.aspp = ASPP(self.joined_level.channels, s.aspp_channels)
        self.bot_aspp = conv(self.aspp.out_channels, SQUEEZED, kernel=1)
        self.final = segmentation_head(SQUEEZED, s.num_classes, s.head_channels)
        self.channels = SQUEEZED

    def maps(self, image: Tensor) -> Maps:
        features = self.bot_aspp(self.aspp(self.joined(image)))
        return Maps({"pred": self.final(features)}, features)


class OCR(Family):
    """The OCR head (arXiv:1909.11065), with an ASPP before it if asked."""

    def __init__(self, trunk: Trunk, s: Settings) -> None:
        super().__init__(trunk, s)
        inputs, self.aspp = self.joined_level.channels, None
        if s.ocr_aspp:
            self.aspp = ASPP(inputs, s.aspp_channels)
            inputs = self.aspp.out_channels
        self.ocr = OCRHead(inputs, s.num_classes, s.mid_channels, s.key_channels, s.ocr_dropout, s.grad_ckpt)
        self.channels = s.mid_channels

    def maps(self, image: Tensor) -> Maps:
        x = self.joined(image)
        pred, aux, features = self.ocr(self.aspp(x) if self.aspp else x)
        return Maps({"pred": pred, "aux": aux}, features)
