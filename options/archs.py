"""The table of networks: what each --arch is made of, as plain data, and what follows from it. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from options.parts import (
    DECODERS,
    ENCODERS,
    HEADS,
    NO_PARTS,
    PACKAGES,
    PUBLISHED_HEADS,
    SCALES,
    TRUNKS,
    Parts,
    TrunkPart,
)
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


SPECIAL = {
    "attentions": "pyramids have an attention of their own",
    "attnscale_norm": "batch norm in the attention's head",
    "init_all": "all of the head starts Kaiming-normal",
    "ocr_aspp": "ASPP between trunk and head",
}
ANY = "chosen by its own options"
OFFSETS = "offsets"  # last word of a free network's name

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
    """The row of a published name, or of a free one: "trunk+head", then "+scales", "+offsets" if asked. UserError for
    another.
    """
    if not name:
        raise UserError(f"--arch has no default; choose one of {', '.join(sorted(ARCHS))}")
    if "+" in name:
        return _free(name)
    if name not in ARCHS:
        raise UserError(f"unknown --arch {name!r}{nearest(name, ARCHS)} Known: {', '.join(sorted(ARCHS))}")
    return ARCHS[name]


def canonical(name: str) -> str:
    """The name that is recorded: a network that has a published name goes by that. UserError for one without a row."""
    row = find(name)
    return next((known for known, other in ARCHS.items() if "+" in name and other == row), name)


def compose(trunk: str, head: str, scales: str = "", offsets: bool = False) -> str:
    """The name of a network by its parts. UserError for unknown ones, and for those that do not stand together."""
    return canonical("+".join([trunk, head, *[scales] * bool(scales), *[OFFSETS] * offsets]))


def parts(arch: Arch, encoder: str = "", decoder: str = "") -> Parts:
    """The rows of a network. `encoder` and `decoder`: those that --arch_encoder and --arch_decoder name.

    UserError for unknown ones, and for those that do not stand together.
    """
    if arch.trunk == ANY:
        decoder = decoder.replace("_bilinear", "")  # an older spelling
        _check_chosen(encoder, decoder)
        found = Parts(ENCODERS[encoder], DECODERS[decoder], SCALES.get(arch.scales, NO_PARTS.scales))
        names = f"--arch_encoder {encoder} with --arch_decoder {decoder}"
    else:
        found = _rows(arch.trunk, arch.head, arch.scales)
        names = f"--trunk {arch.trunk} with --head {arch.head}{f' and --scales {arch.scales}' if arch.scales else ''}"
    if reason := _clash(found):
        raise UserError(f"{names}: {reason}")
    return found


def _check_chosen(encoder: str, decoder: str) -> None:
    if not encoder:
        raise UserError("the checkpoint does not tell its encoder's dilation: give --arch_encoder")
    for flag, name, table in (("--arch_encoder", encoder, ENCODERS), ("--arch_decoder", decoder, DECODERS)):
        if name not in table:
            raise UserError(f"unknown {flag} {name!r}{nearest(name, table)}; known: {', '.join(table)}")


def _free(name: str) -> Arch:
    pair = name.removesuffix(f"+{OFFSETS}")
    offsets = pair != name and "+" in pair
    trunk, head, scales = (*(pair if offsets else name).split("+", 2), "")[:3]
    named = {**TRUNKS, **{f"{package}:NAME": part for package, part in PACKAGES.items()}}
    for flag, word, table in (("--trunk", trunk, named), ("--head", head, HEADS), ("--scales", scales, SCALES)):
        if word not in table and (word or flag != "--scales") and not (table is named and is_trunk(word)):
            raise UserError(f"unknown {flag} {word!r}{nearest(word, table)}; known: {', '.join(table)}")
    row = Arch(trunk, head, scales, offsets=offsets)
    parts(row)
    return row


def refusal(trunk: str, head: str, scales: str = "") -> str:
    """Why this combination makes no sense; empty where it does."""
    return _clash(_rows(trunk, head, scales))


def _rows(trunk: str, head: str, scales: str) -> Parts:
    return Parts(
        _of_package(trunk) or TRUNKS.get(trunk, NO_PARTS.trunk),
        (HEADS | PUBLISHED_HEADS).get(head, NO_PARTS.head),
        SCALES.get(scales, NO_PARTS.scales),
    )


def is_trunk(name: str) -> bool:
    """Whether --trunk takes this name."""
    return name in TRUNKS or _of_package(name) is not None


def of_package(trunk: str) -> bool:
    """Whether this is a trunk of a package, "timm:NAME": nobody published what is composed round it."""
    return _of_package(trunk) is not None


def _of_package(trunk: str) -> TrunkPart | None:
    """The row of "timm:NAME", which knows that name; None for a trunk of no package."""
    package, _, name = trunk.partition(":")
    return replace(PACKAGES[package], fixed={"name": name}) if name and package in PACKAGES else None


def _clash(found: Parts) -> str:
    """Why these parts make no sense together, by what their rows say."""
    trunk, head, scales = found
    if trunk.joined and head.finer:
        return f"this head reads maps finer than the one it classifies, this trunk's is the finest; take {head.instead}"
    if trunk.joined and head.before:
        return f"this head supervises the map before the last, this trunk's are joined to one; take {head.instead}"
    if head.second_branch and not trunk.second_branch:
        branched = ", ".join(name for name, part in TRUNKS.items() if part.second_branch)
        return f"this is a head of trunks that may have a second branch ({branched}); take {head.instead}"
    if scales.blends and not head.blends:
        blended = ", ".join(name for name, part in HEADS.items() if part.blends)
        return f"the ASPP pyramids of {blended} are fused, other heads have none; take hierarchical"
    return ""


def outputs(arch: Arch, decoder: str = "") -> frozenset[str]:
    """Names of what the network gives at its head's resolution beside `pred`; `decoder`: that of --arch_decoder."""
    head = DECODERS.get(decoder.replace("_bilinear", "")) if arch.head == ANY else _rows("", arch.head, "").head
    return frozenset(_outputs(head.outputs if head else (), arch.offsets))


def _outputs(of_head: tuple[str, ...], offsets: bool) -> Iterator[str]:
    yield from of_head
    if offsets:
        yield from ("initial", "seed", "offset", "confidence")
        yield from ("initial_aux", "seed_aux") if "aux" in of_head else ()


def training_scales(arch: Arch, scales: Sequence[float], lower: float) -> tuple[float, ...]:
    """The scales that training sees, and whose single predictions the network gives then; none with one scale.

    `scales`: those of --n_scales, `lower` that of --mscale_lo_scale.
    """
    if not arch.scales:
        return ()
    return (lower, 1.0) if "lo_scale" in SCALES[arch.scales].takes else tuple(sorted(scales))
