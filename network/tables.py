"""A network from its row of the table: trunk, head, offsets, scales. Every name of the table has a builder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from network.families import OCR, Atrous, Family, Plain, Settings
from network.families_deeplab import Deeper, DeepLab, DeepLabPlus
from network.families_offset import ParallelOCR, Pointwise, WithOffsets
from network.families_parsing import DECODERS, ENCODERS, STRIDES, Parsing, decoder_name, encoder
from network.net import Net
from network.scales import attention_to_scale, fused_pyramids, hierarchical, paired, pairwise_attention_to_scale
from network.trunk import Trunk
from network.trunk.hrnet import HRNet
from network.trunk.resnet import ResNet, SEResNeXt
from network.trunk.wide_resnet import WideResNet38
from network.trunk.xception import Xception71
from options.archs import ANY, Arch

TRUNKS: dict[str, Callable[[Settings], Trunk]] = {
    **{f"{base}{end}": partial(encoder, f"{base}{end}") for base in ENCODERS if base != "hrnetv2" for end in STRIDES},
    "hrnetv2": partial(encoder, "hrnetv2"),
    "hrnet": lambda s: HRNet(s.width, s.width_mult, s.stages, s.align_corners, s.grad_ckpt),
    "resnet50": lambda s: ResNet(50, s.width_mult, s.grad_ckpt),
    "se_resnext50": lambda s: SEResNeXt(50, s.width_mult, s.grad_ckpt),
    "se_resnext101": lambda s: SEResNeXt(101, s.width_mult, s.grad_ckpt),
    "wide_resnet38": lambda s: WideResNet38(s.width_mult, s.grad_ckpt),
    "xception71": lambda s: Xception71(s.width_mult, s.grad_ckpt),
}
HEADS: dict[str, Callable[..., Family]] = {  # (trunk, settings) -> the family
    "plain": Plain,
    "pointwise": Pointwise,
    "aspp": Atrous,
    "deeplab": DeepLab,
    "deeplab_plus": DeepLabPlus,
    "deeper": Deeper,
    "ocr": OCR,
    "offset_ocr": ParallelOCR,
    **{name: partial(Parsing, name=name) for name in DECODERS},
}
SCALES: dict[str, Callable[[Family, Settings], Net]] = {
    "": lambda family, s: family,
    "hierarchical": hierarchical,
    "fused": fused_pyramids,
    "paired": paired,
    "all": attention_to_scale,
    "pairs": pairwise_attention_to_scale,
}
# Heads beside which offsets are read from a second branch of HRNet's last stages.
BRANCHED = {"pointwise", "offset_ocr"}


def compose(arch: Arch, s: Settings) -> Net:
    """The network of a row with random weights; UserError for what does not fit together."""
    s = replace(s, align_corners=arch.aligned or s.align_corners, **arch.more)
    build_head = HEADS[decoder_name(s.decoder) if arch.head == ANY else arch.head]
    family = build_head(_trunk(arch, s), s)
    family = WithOffsets(family, s) if arch.offsets else family
    return SCALES[arch.scales](family, s)


def _trunk(arch: Arch, s: Settings) -> Trunk:
    if arch.offsets and arch.head in BRANCHED:
        return HRNet(s.width, s.width_mult, s.stages, s.align_corners, s.grad_ckpt, s.second_branch)
    trunk = encoder(s.encoder, s) if arch.trunk == ANY else TRUNKS[arch.trunk](s)
    trunk.refuse(s.width_mult, s.grad_ckpt)
    return trunk
