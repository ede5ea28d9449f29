"""Networks with offset vectors: the offset head beside any other family; and HRNet's own heads, as published with it.

N batch, K classes, H x W image, h x w head's resolution. "OVeNet", arXiv:2303.14516; `network.head.offset`.
"""

from __future__ import annotations

from torch import Tensor

from network.families import Family, Maps, Settings
from network.fused import Chain
from network.head.ocr import Distribute, gather
from network.head.offset import SeedSampling
from network.head.segmentation import pointwise_head
from network.layers import Classifier, conv_bn_relu, set_bn_momentum, small_normal
from network.net import Net
from network.trunk.hrnet import SECOND_BRANCH, HRNet
from utils.errors import UserError
from utils.resize import resize

MOMENTUM = 0.01  # of batch norm, as published with HRNet


class Pointwise(Family):
    """HRNet and its own head of 1x1 convolutions: small normal convolutions, slow running statistics."""

    def __init__(self, trunk: HRNet, s: Settings) -> None:
        super().__init__(trunk, s, name="")
        self.channels = trunk.joined.channels
        self.last_layer = pointwise_head(self.channels, s.num_classes)
        _start(self)

    def maps(self, image: Tensor) -> Maps:
        features, evidence = self.inner.join_branches(self.inner(image))
        return Maps({"pred": self.last_layer(features)}, features, evidence)


class ParallelOCR(Family):
    """HRNet and OCR's head (arXiv:1909.11065), its parts beside the trunk's; shorter offsets."""

    offset_head = "aux_head_offset"
    longest_offset = 0.2

    def __init__(self, trunk: HRNet, s: Settings) -> None:
        super().__init__(trunk, s, name="")
        inputs, middle = trunk.joined.channels, s.mid_channels
        self.channels = middle
        self.conv3x3_ocr = Chain(*conv_bn_relu(inputs, middle, bias=True))
        self.ocr_distri_head = Distribute(middle, s.key_channels, s.ocr_dropout)
        self.cls_head = Classifier(middle, s.num_classes)
        self.aux_head = pointwise_head(inputs, s.num_classes)
        _start(self)

    def maps(self, image: Tensor) -> Maps:
        x, evidence = self.inner.join_branches(self.inner(image))
        aux, pixels = self.aux_head(x), self.conv3x3_ocr(x)
        features = self.ocr_distri_head(pixels, gather(pixels, aux))
        return Maps({"pred": self.cls_head(features), "aux": aux}, features, evidence)


def _start(family: Family) -> None:
    small_normal(family)
    set_bn_momentum(family, MOMENTUM)


class WithOffsets(Family):
    """Any family with an offset head, which reads HRNet's second branch where there is one, else the features.

    `pred` is the fused prediction then, beside `initial` and `seed`, all (N, K, h, w), `offset` (N, 2, h, w) and
    `confidence` (N, 1, h, w). An `aux` is treated in the same way, with `initial_aux` and `seed_aux`.
    """

    family: Family

    def __init__(self, family: Family, s: Settings) -> None:
        super().__init__(family, s, name="")
        self.channels, self.offset_head = family.channels, family.offset_head
        trunk = self.trunk_module
        layer = pointwise_head(trunk.joined.channels if trunk.branches == 2 else family.channels, 3)
        small_normal(layer)
        if isinstance(trunk, HRNet):
            set_bn_momentum(layer, MOMENTUM)
        self.add_module(self.offset_head, layer)
        longest = family.longest_offset if s.offset_threshold < 0 else s.offset_threshold
        self.sampling = SeedSampling(longest, s.refinements, s.offset_logits, s.offset_aligned)

    def maps(self, image: Tensor) -> Maps:
        outputs, features, evidence = self.family.maps(image)
        raw = self.get_submodule(self.offset_head)(features if evidence is None else evidence)  # (N, 3, h, w)
        seeds = self.sampling.read(resize(raw, outputs["pred"].shape[-2:], self.align_corners))
        for name, end in (("pred", ""), ("aux", "_aux")):
            if name in outputs:
                scores = self.sampling.fuse_seed(outputs[name], seeds)
                outputs |= {name: scores.fused, f"initial{end}": scores.initial, f"seed{end}": scores.seed}
        return Maps(outputs | {"offset": seeds.offset, "confidence": seeds.offset_confidence}, features)


def freeze_first_branch(net: Net) -> None:
    """Train the offset head and the stages before it that exist twice; all the rest stays as it is loaded.

    Raises UserError for a network without an offset head.
    """
    heads = [part.offset_head for part in net.modules() if isinstance(part, WithOffsets)]
    if not heads:
        raise UserError("MODEL.FREEZED_PAR trains the offset branch alone: take an --arch offset...., or leave it out")
    trunk = net.trunk_module
    net.freeze(part for name, part in trunk.named_children() if not name.endswith(SECOND_BRANCH))
    net.freeze(part for name, part in net.parts().items() if part is not trunk and name not in heads)
