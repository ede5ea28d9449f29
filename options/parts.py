"""What networks are made of: tables of trunks, heads and ways to combine scales. Imports no torch.

A row says all that the options, the loss and the documentation ask of a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Part:
    """A trunk, a head, or a way to combine scales: what it is, and `make`, where its constructor stands in `network`.

    `make` is "module:attribute", imported when it is first asked for; `fixed` are arguments that the row decides.
    `takes`: the settings (fields of `network.families.Settings`) that the constructor reads. The option of a setting is
    refused where no part of a network takes it.
    """

    what: str
    make: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    takes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrunkPart(Part):
    """A trunk; its constructor has what `takes` names and what `fixed` holds as keywords.

    `joined`: the map that a head classifies is made of all maps, at the finest one's stride. `second_branch`: its last
    stages may exist twice, for offsets. `encoder`: its name in --arch_encoder, before that of the stride where `fixed`
    has one. `neck`: none of its maps is fine and deep, so that a neck joins them for a head. `checkpoint`: the option
    of MODEL that names its ImageNet file; `beside`: a second folder in which networks with aligned corners look for
    that file.
    """

    joined: bool = False
    second_branch: bool = False
    encoder: str = ""
    neck: bool = False
    checkpoint: str = ""
    beside: str = ""


@dataclass(frozen=True)
class HeadPart(Part):
    """A head; its constructor takes the trunk, all settings, and what `fixed` holds as keywords.

    `outputs`: what it gives beside `pred`, each with a term of the loss (`loss.terms`). `finer`: it reads maps finer
    than the one that it classifies. `before`: it supervises the map before that one. `second_branch`: it reads one,
    where there are offsets. `blends`: its pyramid can be blended with that of another scale. `decoder`: its networks
    are an encoder and a decoder, and --arch_decoder names it. `all_maps`: it reads all maps of the trunk, as they are. `instead`: the
    head to take where it makes no sense.
    """

    outputs: tuple[str, ...] = ()
    finer: bool = False
    before: bool = False
    second_branch: bool = False
    blends: bool = False
    decoder: bool = False
    all_maps: bool = False
    instead: str = ""


@dataclass(frozen=True)
class ScalesPart(Part):
    """A way to combine scales; its constructor takes the family and all settings.

    `blends`: it blends the pyramids of two scales. `bounded`: its attention lies between 0 and 1.
    """

    blends: bool = False
    bounded: bool = True


class Parts(NamedTuple):
    """The rows of a network; of one without a trunk, or at one scale, a row that says nothing."""

    trunk: TrunkPart
    head: HeadPart
    scales: ScalesPart

    def take(self, setting: str) -> bool:
        """Whether one of them reads this setting."""
        return any(setting in part.takes for part in self)


NO_PARTS = Parts(TrunkPart("", ""), HeadPart("", ""), ScalesPart("", ""))
OWN = ("width_mult", "grad_ckpt")  # what all trunks of this code take
ATROUS = ("head_channels", "aspp_channels")  # what heads with an ASPP take
REGIONS = ("mid_channels", "key_channels", "ocr_dropout")  # what heads of OCR take
PARSING = ("fc_dim",)  # what decoders of scene parsing take

TRUNKS = {
    "hrnet": TrunkPart("HRNetV2: four maps, joined at 1/4 of the image; options choose its shape", "trunk.hrnet:HRNet", takes=(*OWN, "width", "stages", "align_corners"), joined=True, second_branch=True, encoder="hrnetv2", checkpoint="HRNET_CHECKPOINT"),
    "resnet50": TrunkPart("ResNet-50 at stride 8", "trunk.resnet:ResNet", {"depth": 50}, OWN),
    "se_resnext50": TrunkPart("SE-ResNeXt-50 32x4d at stride 8", "trunk.resnet:SEResNeXt", {"depth": 50}, OWN),
    "se_resnext101": TrunkPart("SE-ResNeXt-101 32x4d at stride 8", "trunk.resnet:SEResNeXt", {"depth": 101}, OWN),
    "wide_resnet38": TrunkPart("Wide-ResNet-38 at stride 8", "trunk.wide_resnet:WideResNet38", takes=OWN, checkpoint="WRN38_CHECKPOINT", beside="pretrained_models"),
    "xception71": TrunkPart("Xception-71 at stride 8", "trunk.xception:Xception71", takes=OWN, checkpoint="X71_CHECKPOINT"),
    # Scene parsing's; their stem has three convolutions.
    "resnet18dilated": TrunkPart("ResNet-18 of scene parsing, stride 8", "trunk.resnet:DeepStemResNet", {"depth": 18, "stride": 8}, OWN, encoder="resnet18"),
    "resnet50dilated": TrunkPart("ResNet-50 of scene parsing, stride 8", "trunk.resnet:DeepStemResNet", {"depth": 50, "stride": 8}, OWN, encoder="resnet50"),
    "resnet101dilated": TrunkPart("ResNet-101 of scene parsing, stride 8", "trunk.resnet:DeepStemResNet", {"depth": 101, "stride": 8}, OWN, encoder="resnet101"),
    "resnext101dilated": TrunkPart("ResNeXt-101 of scene parsing, stride 8", "trunk.resnet:DeepStemResNeXt", {"depth": 101, "stride": 8}, OWN, encoder="resnext101"),
    "mobilenetv2dilated": TrunkPart("MobileNetV2 at stride 8", "trunk.mobilenet:MobileNetV2", {"stride": 8}, OWN, encoder="mobilenetv2"),
}  # fmt: skip
# Trunks of packages, by a name of theirs: "timm:NAME".
PACKAGES = {
    "timm": TrunkPart(
        "a network of the package timm that takes images of any size; --neck_channels and --neck_stride join its maps",
        "trunk.timm_nets:TimmTrunk",
        takes=("grad_ckpt", "drop_path"), neck=True,
    ),
}  # fmt: skip
HEADS = {
    "plain": HeadPart("two 3x3 convolutions and the classifier", "families:Plain", takes=("head_channels",)),
    "pointwise": HeadPart("HRNet's own, of 1x1 convolutions", "families_offset:Pointwise", second_branch=True, instead="plain"),
    "aspp": HeadPart("ASPP, squeezed, then as plain", "families:Atrous", takes=ATROUS),
    "deeplab": HeadPart("DeepLabV3: ASPP, then as plain", "families_deeplab:DeepLab", takes=ATROUS),
    "deeplab_plus": HeadPart("DeepLabV3+: ASPP beside the finest features, then as plain", "families_deeplab:DeepLabPlus", takes=ATROUS, finer=True, blends=True, instead="aspp or deeplab"),
    "deeper": HeadPart("DeeperLab's decoder: ASPP, two steps up beside earlier features", "families_deeplab:Deeper", takes=ATROUS, finer=True, instead="aspp or deeplab"),
    "ocr": HeadPart("object-contextual representations; --ocr_aspp: behind an ASPP", "families:OCR", takes=(*REGIONS, "ocr_aspp", "aspp_channels"), outputs=("aux",)),
    "c1": HeadPart("one 3x3 convolution and the classifier", "families_parsing:c1", takes=PARSING, decoder=True),
    "c1_deepsup": HeadPart("c1 with a second head on the map before the last", "families_parsing:c1", {"deepsup": True}, PARSING, outputs=("deepsup",), before=True, decoder=True, instead="c1"),
    "ppm": HeadPart("pyramid pooling (PSPNet)", "families_parsing:ppm", takes=PARSING, decoder=True),
    "ppm_deepsup": HeadPart("ppm with a second head on the map before the last", "families_parsing:ppm", {"deepsup": True}, PARSING, outputs=("deepsup",), before=True, decoder=True, instead="ppm"),
    "upernet": HeadPart("pyramid pooling, a feature pyramid over all maps, 512 channels", "families_parsing:upernet", takes=PARSING, decoder=True, all_maps=True),
    "upernet_lite": HeadPart("upernet with 256 channels", "families_parsing:upernet", {"inner": 256}, PARSING, decoder=True, all_maps=True),
}  # fmt: skip
# Heads of published networks alone.
PUBLISHED_HEADS = {
    "offset_ocr": HeadPart("the parts of ocr beside the trunk's", "families_offset:ParallelOCR", takes=REGIONS, outputs=("aux",), second_branch=True, instead="ocr"),
}  # fmt: skip
_SCALED = ("scales", "second_scale_from", "head_channels")
_GATED = (*_SCALED, "lo_scale", "inner_3x3", "attention_dropout", "old_attention")
SCALES = {
    "hierarchical": ScalesPart("attention of each scale over the next larger one", "scales:hierarchical", takes=_GATED),
    "fused": ScalesPart("the same, with ASPP pyramids also blended between scales", "scales:fused_pyramids", takes=_GATED, blends=True),
    "paired": ScalesPart("attention from the features of two scales", "scales:paired", takes=(*_SCALED, "lo_scale")),
    "all": ScalesPart("weights of all scales at once, from the features of all", "scales:attention_to_scale", takes=(*_SCALED, "attnscale_norm"), bounded=False),
    "pairs": ScalesPart("weights of two neighboring scales at a time", "scales:pairwise_attention_to_scale", takes=(*_SCALED, "lo_scale")),
}  # fmt: skip
# Names of --arch_encoder: trunks at the stride that the end of the name says, and those of one stride, which have
# their published shape there. Names of --arch_decoder.
STRIDES = {"": 32, "dilated": 8, "_dilated8": 8, "_dilated16": 16}
_ENCODERS = [part for part in TRUNKS.values() if part.encoder]
ENCODERS = {
    part.encoder + end: replace(part, fixed={**part.fixed, "stride": stride})
    for part in _ENCODERS if "stride" in part.fixed for end, stride in STRIDES.items()
} | {part.encoder: replace(part, takes=OWN) for part in _ENCODERS if "stride" not in part.fixed}  # fmt: skip
DECODERS = {name: part for name, part in HEADS.items() if part.decoder}
