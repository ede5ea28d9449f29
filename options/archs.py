"""The table of networks: what each --arch is made of, as plain data, and what follows from it. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from utils.errors import UserError, nearest


class Arch(NamedTuple):
    """A trunk, a head, and how scales are combined: not at all, or by one of SCALES.

    `aligned`: corners are aligned in every resizing, even without --align_corners. `offsets`: an offset head beside
    the head. `fixed_settings`: what a published name fixes beyond that, for the constructors in `network`.
    """

    trunk: str
    head: str
    scales: str = ""
    aligned: bool = False
    offsets: bool = False
    fixed_settings: Mapping[str, Any] = {}


class Part(NamedTuple):
    """A trunk, a head, or a way to combine scales: what it is, and `make`, where its constructor stands in `network`.

    `make` is "module:attribute", imported when it is first asked for; `fixed` are arguments that the row decides. A
    trunk's constructor takes the settings that its class names in `takes`; a head's takes the trunk and all settings, a
    scaling's the family and all settings.
    """

    what: str
    make: str
    fixed: Mapping[str, Any] = {}


TRUNKS = {
    "hrnet": Part("HRNetV2: four maps, joined at 1/4 of the image; options choose its shape", "trunk.hrnet:HRNet"),
    "resnet50": Part("ResNet-50 at stride 8", "trunk.resnet:ResNet", {"depth": 50}),
    "se_resnext50": Part("SE-ResNeXt-50 32x4d at stride 8", "trunk.resnet:SEResNeXt", {"depth": 50}),
    "se_resnext101": Part("SE-ResNeXt-101 32x4d at stride 8", "trunk.resnet:SEResNeXt", {"depth": 101}),
    "wide_resnet38": Part("Wide-ResNet-38 at stride 8", "trunk.wide_resnet:WideResNet38"),
    "xception71": Part("Xception-71 at stride 8", "trunk.xception:Xception71"),
    # Scene parsing's; their stem has three convolutions.
    "resnet18dilated": Part("ResNet-18 of scene parsing, stride 8", "trunk.resnet:DeepStemResNet", {"depth": 18}),
    "resnet50dilated": Part("ResNet-50 of scene parsing, stride 8", "trunk.resnet:DeepStemResNet", {"depth": 50}),
    "resnet101dilated": Part("ResNet-101 of scene parsing, stride 8", "trunk.resnet:DeepStemResNet", {"depth": 101}),
    "resnext101dilated": Part("ResNeXt-101 of scene parsing, stride 8", "trunk.resnet:DeepStemResNeXt", {"depth": 101}),
    "mobilenetv2dilated": Part("MobileNetV2 at stride 8", "trunk.mobilenet:MobileNetV2", {"stride": 8}),
}  # fmt: skip
HEADS = {
    "plain": Part("two 3x3 convolutions and the classifier", "families:Plain"),
    "pointwise": Part("HRNet's own, of 1x1 convolutions", "families_offset:Pointwise"),
    "aspp": Part("ASPP, squeezed, then as plain", "families:Atrous"),
    "deeplab": Part("DeepLabV3: ASPP, then as plain", "families_deeplab:DeepLab"),
    "deeplab_plus": Part("DeepLabV3+: ASPP beside the finest features, then as plain", "families_deeplab:DeepLabPlus"),
    "deeper": Part("DeeperLab's decoder: ASPP, two steps up beside earlier features", "families_deeplab:Deeper"),
    "ocr": Part("object-contextual representations; --ocr_aspp: behind an ASPP", "families:OCR"),
    "c1": Part("one 3x3 convolution and the classifier", "families_parsing:Parsing"),
    "c1_deepsup": Part("c1 with a second head on the map before the last", "families_parsing:Parsing"),
    "ppm": Part("pyramid pooling (PSPNet)", "families_parsing:Parsing"),
    "ppm_deepsup": Part("ppm with a second head on the map before the last", "families_parsing:Parsing"),
    "upernet": Part("pyramid pooling, a feature pyramid over all maps, 512 channels", "families_parsing:Parsing"),
    "upernet_lite": Part("upernet with 256 channels", "families_parsing:Parsing"),
}
# Heads of published networks alone.
PUBLISHED_HEADS = {"offset_ocr": Part("the parts of ocr beside the trunk's", "families_offset:ParallelOCR")}
SCALES = {
    "hierarchical": Part("attention of each scale over the next larger one", "scales:hierarchical"),
    "fused": Part("the same, with ASPP pyramids also blended between scales", "scales:fused_pyramids"),
    "paired": Part("attention from the features of two scales", "scales:paired"),
    "all": Part("weights of all scales at once, from the features of all", "scales:attention_to_scale"),
    "pairs": Part("weights of two neighboring scales at a time", "scales:pairwise_attention_to_scale"),
}
SPECIAL = {
    "attentions": "pyramids have an attention of their own",
    "attnscale_norm": "batch norm in the attention's head",
    "init_all": "all of the head starts Kaiming-normal",
    "ocr_aspp": "ASPP between trunk and head",
}
ATROUS = ("aspp", "deeplab", "deeplab_plus", "deeper")  # heads with an ASPP
OCR = ("ocr", "offset_ocr")
SIZED = ("plain", "aspp", "deeplab", "deeplab_plus", "deeper")  # heads whose width can be chosen
ANY = "chosen by its own options"

ARCHS: dict[str, Arch] = {
    "attnscale.DeepV3R50": Arch("resnet50", "deeplab_plus", "all"),
    "attnscale.DeepV3R50B": Arch("resnet50", "deeplab_plus", "all", fixed_settings={"attnscale_norm": True}),
    "attnscale.DeepV3R50BP": Arch("resnet50", "deeplab_plus", "pairs"),
    "attnscale.DeepV3W38": Arch("wide_resnet38", "deeplab_plus", "all"),
    "basic.HRNet": Arch("hrnet", "plain"),
    "basic.HRNet_ASP": Arch("hrnet", "aspp"),
    "deeper.DeeperW38": Arch("wide_resnet38", "deeper", fixed_settings={"trunk_name": "trunk"}),
    "deeper.DeeperX71": Arch("xception71", "deeper", fixed_settings={"trunk_name": "trunk"}),
    "deepv3.DeepR50V3PlusD_m1": Arch(
        "resnet50", "deeplab_plus", aligned=True, fixed_settings={"trunk_name": "", "init_all": True}
    ),
    "deepv3.DeepSRNX50V3PlusD_m1": Arch(
        "se_resnext50", "deeplab_plus", aligned=True, fixed_settings={"trunk_name": "", "init_all": True}
    ),
    "deepv3.DeepSRNX101V3PlusD_m1": Arch(
        "se_resnext101", "deeplab_plus", aligned=True, fixed_settings={"trunk_name": "", "init_all": True}
    ),
    "deepv3.DeepWV3Plus": Arch("wide_resnet38", "deeplab_plus", aligned=True, fixed_settings={"trunk_name": ""}),
    "deepv3.DeepV3PlusR50": Arch("resnet50", "deeplab_plus"),
    "deepv3.DeepV3PlusSRNX50": Arch("se_resnext50", "deeplab_plus"),
    "deepv3.DeepV3PlusSRNX101": Arch("se_resnext101", "deeplab_plus"),
    "deepv3.DeepV3PlusW38": Arch("wide_resnet38", "deeplab_plus"),
    "deepv3.DeepV3PlusW38I": Arch("wide_resnet38", "deeplab_plus", fixed_settings={"init_all": True}),
    "deepv3.DeepV3PlusX71": Arch("xception71", "deeplab_plus"),
    "deepv3.DeepV3R50": Arch("resnet50", "deeplab"),
    "encoder_decoder": Arch(ANY, ANY, fixed_settings={"momentum": 0.001}),  # of batch norm, but in HRNet
    "mscale.DeepV3R50": Arch("resnet50", "deeplab_plus", "hierarchical"),
    "mscale.DeepV3W38": Arch("wide_resnet38", "deeplab_plus", "hierarchical"),
    "mscale.DeepV3W38Fuse": Arch("wide_resnet38", "deeplab_plus", "fused"),
    "mscale.DeepV3W38Fuse2": Arch("wide_resnet38", "deeplab_plus", "fused", fixed_settings={"attentions": 2}),
    "mscale.DeepV3X71": Arch("xception71", "deeplab_plus", "hierarchical"),
    "mscale.DeeperW38": Arch("wide_resnet38", "deeper", "hierarchical"),
    "mscale.DeeperX71": Arch("xception71", "deeper", "hierarchical"),
    "mscale.HRNet": Arch("hrnet", "plain", "hierarchical", fixed_settings={"head_name": "cls_head"}),
    "mscale.HRNet_ASP": Arch("hrnet", "aspp", "hierarchical"),
    "mscale2.DeepV3R50": Arch("resnet50", "deeplab_plus", "paired"),
    "ocrnet.HRNet": Arch("hrnet", "ocr"),
    "ocrnet.HRNet_Mscale": Arch("hrnet", "ocr", "hierarchical"),
    "ocrnet.OCRNetASPP": Arch("hrnet", "ocr", fixed_settings={"ocr_aspp": True}),
    "offset.DeepV3PlusR50": Arch("resnet50", "deeplab_plus", offsets=True),
    "offset.DeepV3PlusSRNX50": Arch("se_resnext50", "deeplab_plus", offsets=True),
    "offset.DeepV3PlusSRNX101": Arch("se_resnext101", "deeplab_plus", offsets=True),
    "offset.DeepV3PlusW38": Arch("wide_resnet38", "deeplab_plus", offsets=True),
    "offset.DeepV3PlusW38_Mscale": Arch("wide_resnet38", "deeplab_plus", "hierarchical", offsets=True),
    "offset.DeepV3PlusX71": Arch("xception71", "deeplab_plus", offsets=True),
    "offset.HRNet": Arch("hrnet", "pointwise", offsets=True),
    "offset.HRNet_Mscale": Arch("hrnet", "pointwise", "hierarchical", offsets=True),
    "offset.HRNet_OCR": Arch("hrnet", "offset_ocr", aligned=True, offsets=True),
    "offset.HRNet_OCR_Mscale": Arch("hrnet", "offset_ocr", "hierarchical", aligned=True, offsets=True),
    "offset.encoder_decoder": Arch(ANY, ANY, offsets=True, fixed_settings={"momentum": 0.001}),
    "seg_hrnet.HRNet": Arch("hrnet", "pointwise"),
}


def find(name: str) -> Arch:
    """The row of a published name, or of a free one: "trunk+head" or "trunk+head+scales". UserError for another."""
    if not name:
        raise UserError(f"--arch has no default; choose one of {', '.join(sorted(ARCHS))}")
    if "+" in name:
        return _free(*name.split("+", 2))
    if name not in ARCHS:
        raise UserError(f"unknown --arch {name!r}{nearest(name, ARCHS)} Known: {', '.join(sorted(ARCHS))}")
    return ARCHS[name]


def canonical(name: str) -> str:
    """The name that is recorded: a network that has a published name goes by that. UserError for one without a row."""
    row = find(name)
    return next((known for known, other in ARCHS.items() if "+" in name and other == row), name)


def compose(trunk: str, head: str, scales: str = "") -> str:
    """The name of a network by its parts. UserError for unknown ones, and for those that do not stand together."""
    return canonical("+".join((trunk, head, scales) if scales else (trunk, head)))


def _free(trunk: str, head: str, scales: str = "") -> Arch:
    for flag, word, table in (("--trunk", trunk, TRUNKS), ("--head", head, HEADS), ("--scales", scales, SCALES)):
        if word not in table and (word or flag != "--scales"):
            raise UserError(f"unknown {flag} {word!r}{nearest(word, table)}; known: {', '.join(table)}")
    if reason := refusal(trunk, head, scales):
        raise UserError(f"--trunk {trunk} with --head {head}{f' and --scales {scales}' if scales else ''}: {reason}")
    return Arch(trunk, head, scales)


def refusal(trunk: str, head: str, scales: str = "") -> str:
    """Why this combination makes no sense; empty where it does."""
    if trunk == "hrnet" and head in ("deeplab_plus", "deeper"):
        return "this head reads maps finer than the one it classifies, hrnet's is the finest; take aspp or deeplab"
    if trunk == "hrnet" and head.endswith("_deepsup"):
        return f"this head supervises the map before, hrnet's are joined; take {head.removesuffix('_deepsup')}"
    if trunk != "hrnet" and head == "pointwise":
        return "this is the head of hrnet alone; take plain"
    if scales == "fused" and head != "deeplab_plus":
        return "the ASPP pyramids of deeplab_plus are fused, other heads have none; take hierarchical"
    return ""


def outputs(arch: Arch, decoder: str = "") -> frozenset[str]:
    """Names of what the network gives at its head's resolution beside `pred`; `decoder`: that of --arch_decoder."""
    return frozenset(_outputs(arch, decoder if arch.head == ANY else arch.head))


def _outputs(arch: Arch, head: str) -> Iterator[str]:
    if arch.head in OCR:
        yield "aux"
    if arch.offsets:
        yield from ("initial", "seed", "offset", "confidence")
        yield from ("initial_aux", "seed_aux") if arch.head in OCR else ()
    if head.endswith("deepsup"):
        yield "deepsup"


def training_scales(arch: Arch, scales: Sequence[float], lower: float) -> tuple[float, ...]:
    """The scales that training sees, and whose single predictions the network gives then; none with one scale.

    `scales`: those of --n_scales, `lower` that of --mscale_lo_scale.
    """
    if arch.scales == "all":
        return tuple(sorted(scales))
    return (lower, 1.0) if arch.scales else ()
