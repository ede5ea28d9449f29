"""Networks: `build(cfg)` makes the one that --arch names, with random weights, from its row in `options.archs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from network import weights
from network.compiled import compile_parts
from network.composition import compose
from network.families import Settings
from network.families_offset import WithOffsets, freeze_first_branch
from network.head.attention import start_even
from network.layers import kaiming, set_bn_momentum, xavier_classifiers
from network.mscale import MultiScale
from network.net import Net
from network.trunk import Colors
from network.trunk.hrnet import Stage
from network.weights import class_rows
from options import archs
from utils.errors import UserError

__all__ = ["MultiScale", "Net", "build", "compile_parts", "compose"]
__all__ += ["settings", "start_snapshot", "start_trunk", "weights"]


def build(cfg: Any) -> Net:
    """The network `cfg.MODEL.ARCH` for `cfg.DATASET.NUM_CLASSES` classes, with random weights.

    Raises UserError for an unknown or missing name, or for scales that cannot be used.
    """
    model = cfg.MODEL
    net = compose(archs.find(model.ARCH), settings(cfg))
    if model.INIT_DECODER:
        _init_heads(net, spread=0.0 if model.MSCALE_OLDARCH else 0.01)
    if _xavier_start(model):
        _start_classifiers(net)
    if model.BN_MOMENTUM >= 0:
        set_bn_momentum(net, model.BN_MOMENTUM)
    if model.FIX_BN:
        net.fix_bn = True
        net.train()
    if model.FREEZED_PAR:
        freeze_first_branch(net)
    return net


def start_trunk(cfg: Any, net: Net) -> str:
    """ImageNet weights for the trunk where they are: --trunk_weights, or its published file. Gives some lines."""
    files = [cfg.MODEL.TRUNK_WEIGHTS] if cfg.MODEL.TRUNK_WEIGHTS else []
    files = files or [file for file in _published_trunk(cfg.MODEL) if file and Path(file).is_file()]
    random = "random weights (ImageNet weights for the trunk: --trunk_weights FILE)"
    stages = f"--freeze_stages {cfg.MODEL.FREEZE_STAGES}" if cfg.MODEL.FREEZE_STAGES else ""
    if frozen := "--freeze_trunk" if cfg.MODEL.FREEZE_TRUNK else stages:
        random += f"\nwarning: {frozen}: what is frozen stays random, as no weights are given for it"
    normalized = Colors(tuple(cfg.DATASET.MEAN), tuple(cfg.DATASET.STD))
    return weights.load_with_second_branch(
        net,
        weights.load_trunk(net, files[0], cfg.MODEL.ADAPT_FIRST_CONV, normalized) if files else random,
        cfg.MODEL.OFFSET_PRETRAINED,
    )


def start_snapshot(cfg: Any, net: Net, path: Path, classes: Sequence[str]) -> str:
    """Weights of a whole network from a file, as far as they fit, those of classes by their names. Gives some lines."""
    sources = class_rows.sources(cfg.DATASET.MAP_CLASSES) if cfg.DATASET.MAP_CLASSES else {}
    rows = class_rows.ClassRows(classes, lambda: _class_axes(cfg, net), net.state_dict(), sources)
    return weights.load_with_second_branch(net, weights.load(net, path, rows=rows), cfg.MODEL.OFFSET_PRETRAINED)


def _class_axes(cfg: Any, net: Net) -> dict[str, int]:
    """{entry of the state: the axis along which it has something for each class}: those that one class more changes."""
    given = settings(cfg)
    with torch.device("meta"):
        other = compose(archs.find(cfg.MODEL.ARCH), replace(given, num_classes=given.num_classes + 1)).state_dict()
    sides = {name: list(zip(x.shape, other[name].shape, strict=True)) for name, x in net.state_dict().items()}
    differ = {name: [axis for axis, (a, b) in enumerate(pairs) if a != b] for name, pairs in sides.items()}
    return {name: axes[0] for name, axes in differ.items() if axes}


def _published_trunk(model: Any) -> list[str]:
    """Where the published codes have the file for such a trunk, of its published width; the first one there counts."""
    trunk = archs.parts(archs.find(model.ARCH), model.ENCODER, model.DECODER).trunk
    narrow = model.WIDTH_MULT != 1 or ("width" in trunk.takes and model.HRNET_WIDTH != 48)
    if narrow or not trunk.checkpoint:
        return []
    file = model[trunk.checkpoint]
    return [file, str(Path(trunk.beside) / Path(file).name)] if trunk.beside and _aligned(model) else [file]


def settings(cfg: Any) -> Settings:
    """The plain values that constructors take, from the configuration tree."""
    model = cfg.MODEL
    extra = (model.OCR_EXTRA.STAGE1, model.OCR_EXTRA.STAGE2, model.OCR_EXTRA.STAGE3, model.OCR_EXTRA.STAGE4)
    return Settings(
        num_classes=cfg.DATASET.NUM_CLASSES,
        width=model.HRNET_WIDTH,
        width_mult=model.WIDTH_MULT,
        stages=tuple(_stage(f"STAGE{i}", i, node) for i, node in enumerate(extra, start=1)),
        mid_channels=model.OCR.MID_CHANNELS,
        key_channels=model.OCR.KEY_CHANNELS,
        ocr_dropout=model.OCR.DROPOUT,
        ocr_aspp=model.OCR_ASPP,
        head_channels=model.SEGATTN_BOT_CH,
        aspp_channels=model.ASPP_BOT_CH,
        inner_3x3=model.MSCALE_INNER_3x3,
        attention_dropout=model.MSCALE_DROPOUT,
        old_attention=model.MSCALE_OLDARCH,
        attnscale_norm=model.ATTNSCALE_BN_HEAD,
        lo_scale=model.MSCALE_LO_SCALE,
        scales=model.N_SCALES,
        align_corners=model.ALIGN_CORNERS or _aligned(model),
        grad_ckpt=model.GRAD_CKPT,
        drop_path=model.DROP_PATH,
        neck_channels=model.NECK.CHANNELS,
        neck_stride=model.NECK.STRIDE,
        freeze_trunk=model.FREEZE_TRUNK,
        freeze_stages=model.FREEZE_STAGES,
        second_scale_from=model.SECOND_SCALE_FROM,
        encoder=model.ENCODER,
        decoder=model.DECODER,
        fc_dim=model.FC_DIM,
        second_branch=tuple(
            _stage(f"STAGE{n}_2", n, model.OCR_EXTRA[f"STAGE{n}_2"]) for n in range(model.OFFSET_BRANCH, 5)
        ),
        offset_threshold=model.OFFSET_THRESHOLD,
        refinements=model.ITERATIVE_REFINEMENT,
        offset_logits=model.LOGITS,
        offset_aligned="grid_false" not in cfg.PUBLISHED,
    )


def _aligned(model: Any) -> bool:
    """Whether the network aligns corners even without --align_corners; a name may yet have to be found."""
    return bool(model.ARCH) and archs.find(model.ARCH).aligned


def _stage(name: str, number: int, node: Any) -> Stage:
    """A stage's counts; stage n has n branches."""
    blocks = tuple(node.NUM_BLOCKS)
    if len(blocks) != number or min(blocks) < 1 or node.NUM_MODULES < 1:
        raise UserError(
            f"MODEL.OCR_EXTRA.{name}: {node.NUM_MODULES} modules with blocks {list(blocks)}; "
            f"give at least one module and {number} numbers of at least 1"
        )
    return Stage(node.NUM_MODULES, blocks)


def _xavier_start(model: Any) -> bool:
    """True where classifiers start Xavier-uniform: where asked, and by themselves round a trunk of a package."""
    by_itself = archs.of_package(archs.find(model.ARCH).trunk) and not model.INIT_DECODER
    return model.INIT_CLASSIFIERS == "xavier" or (model.INIT_CLASSIFIERS == "auto" and by_itself)


def _start_classifiers(net: Net) -> None:
    """Xavier-uniform start of what gives scores of classes, not of attention over scales or of offsets."""
    others = {"scale_attn", *(part.offset_head for part in net.modules() if isinstance(part, WithOffsets))}
    for name, part in net.parts().items():
        if name not in others:
            xavier_classifiers(part)


def _init_heads(net: Net, spread: float) -> None:
    """Kaiming-normal start of all but the trunk; the attention still starts near 0.5."""
    for part in net.parts().values():
        if part is not net.trunk_module:
            kaiming(part)
    if isinstance(net, MultiScale) and isinstance(net.scale_attn, nn.Sequential) and _bounded(net.scale_attn):
        start_even(net.scale_attn, spread)


def _bounded(head: nn.Sequential) -> bool:
    """True for attention in [0, 1]; without the sigmoid, a start near 0 would leave next to nothing of the maps."""
    return isinstance(head[-1], nn.Sigmoid)
