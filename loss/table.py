"""The losses by the name that --loss_terms gives them: a row each, of a file each, with the options that it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from loss.cross_entropy import (
    CITYSCAPES,
    BootstrappedCrossEntropy,
    CrossEntropy,
    HardPixelCrossEntropy,
    WeightedCrossEntropy,
)
from loss.dice import Dice
from loss.distillation import Distillation
from loss.offset import SeedConfidence
from loss.pixels import PixelLoss
from loss.relaxation import Relaxation
from loss.rmi import RMI
from options import archs
from options.kinds import joined
from utils.distributed import DistributedContext
from utils.errors import UserError, nearest


class Row(NamedTuple):
    """A loss: its class, the arguments that it reads from all options, and the outputs of the network that it reads."""

    loss: Callable[..., PixelLoss]
    options: Callable[[Any], dict[str, Any]] = lambda _: {}
    outputs: tuple[str, ...] = ("pred",)


def _class_weights(cfg: Any) -> tuple[float, ...]:
    """LOSS.CLASS_WEIGHTS as numbers, empty for none; `auto`: Cityscapes' where a network was published with them."""
    given, classes = cfg.LOSS.CLASS_WEIGHTS, cfg.DATASET.NUM_CLASSES
    if given in ("auto", "none", ""):
        return CITYSCAPES if given == "auto" and _offsets(cfg) and classes == len(CITYSCAPES) else ()
    weights = CITYSCAPES if given == "cityscapes" else given
    if len(weights) != classes or min(weights) < 0 or not any(weights):
        advice = f"give auto, none, cityscapes (19 classes), or {classes} numbers from 0 on"
        raise UserError(f"LOSS.CLASS_WEIGHTS {joined(given)!r}: {advice}")
    return weights


def _strict(cfg: Any) -> tuple[int, ...]:
    ids = cfg.LOSS.STRICT_BDR_CLS
    if any(not 0 <= i < cfg.DATASET.NUM_CLASSES for i in ids):
        last = cfg.DATASET.NUM_CLASSES - 1
        raise UserError(f"--strict_bdr_cls {joined(ids)!r} must be train ids from 0 to {last}, separated by commas")
    return ids


def _offsets(cfg: Any) -> bool:
    return archs.find(cfg.MODEL.ARCH).offsets


def _weighting(cfg: Any) -> dict[str, Any]:
    return {"bound": cfg.LOSS.WT_BOUND, "batch": cfg.LOSS.BATCH_WEIGHTING}


LOSSES: dict[str, Row] = {
    "bootstrapped": Row(BootstrappedCrossEntropy, lambda cfg: {
        "weight": _class_weights(cfg), "min_pixels": cfg.LOSS.BOOT_MIN_PIXELS, "threshold": cfg.LOSS.BOOT_THRESHOLD,
    }),
    "ce": Row(CrossEntropy, lambda cfg: {"weight": _class_weights(cfg)}),
    "confidence": Row(SeedConfidence, lambda cfg: {
        "align_corners": "grid_false" not in cfg.PUBLISHED, "published": "confidence_ignored" in cfg.PUBLISHED,
    }, SeedConfidence.OUTPUTS),
    "dice": Row(Dice, lambda cfg: {
        "weight": _class_weights(cfg), "smooth": cfg.LOSS.DICE_SMOOTH,
        "published": next((bug for bug in cfg.PUBLISHED if bug in Dice.PUBLISHED), ""),
    }),
    "distill": Row(Distillation, lambda cfg: {"temperature": cfg.LOSS.DISTILL_T}, ("pred", "teacher")),
    "ohem": Row(HardPixelCrossEntropy, lambda cfg: {
        "weight": _class_weights(cfg), "threshold": cfg.LOSS.OHEM_THRES, "keep": cfg.LOSS.OHEM_KEEP,
        "probabilities": _offsets(cfg) and not cfg.MODEL.LOGITS,
    }),
    "weighted": Row(WeightedCrossEntropy, lambda cfg: {**_weighting(cfg), "published": "img_wt" in cfg.PUBLISHED}),
    "relaxation": Row(Relaxation, lambda cfg: {
        **_weighting(cfg), "strict": _strict(cfg), "border": cfg.LOSS.BORDER_WINDOW,
        "published": "relaxation" in cfg.PUBLISHED,
    }),
    "rmi": Row(RMI),
    "rmi_ce": Row(RMI, lambda _: {"region": False}),
}  # fmt: skip


def find(name: str) -> Row:
    """The row of a loss; UserError for an unknown name."""
    if name not in LOSSES:
        raise UserError(f"--loss_terms: unknown loss {name!r}{nearest(name, LOSSES)}; known: {', '.join(LOSSES)}")
    return LOSSES[name]


def make(cfg: Any, name: str, ranks: DistributedContext, **more: Any) -> PixelLoss:
    """A loss with what the options say to it, and `more`."""
    row = find(name)
    return row.loss(cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL, ranks, **row.options(cfg), **more)
