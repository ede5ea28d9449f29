"""Losses, optimizers and schedules. `build(cfg)` gives the criterion: which losses on which outputs, with what weight.

N images, K classes, H x W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn

from loss import optimizer, schedule
from loss.criterion import Criterion, Term
from loss.cross_entropy import (
    CITYSCAPES,
    BootstrappedCrossEntropy,
    CrossEntropy,
    HardPixelCrossEntropy,
    WeightedCrossEntropy,
)
from loss.dice import Dice
from loss.offset import SeedConfidence
from loss.relaxation import Relaxation
from loss.rmi import RMI
from options import archs
from options.kinds import joined
from utils.distributed import DistributedContext
from utils.errors import UserError, nearest

__all__ = ["LOSSES", "Criterion", "Term", "build", "optimizer", "schedule"]

# Each is called with (num_classes, ignore_label, ranks) and its own options, and maps logits (N, K, H, W) and a
# label (N, H, W) to a scalar. One that reads several outputs names them in OUTPUTS.
LOSSES: dict[str, Callable[..., nn.Module]] = {
    "bootstrapped": BootstrappedCrossEntropy,
    "ce": CrossEntropy,
    "confidence": SeedConfidence,
    "dice": Dice,
    "ohem": HardPixelCrossEntropy,
    "weighted": WeightedCrossEntropy,
    "relaxation": Relaxation,
    "rmi": RMI,
    "rmi_ce": partial(RMI, region=False),
}

# A loss and the epochs in which it holds: (loss, start, stop).
Phases = Sequence[tuple[nn.Module, float, float]]


def build(cfg: Any, ranks: DistributedContext | None = None) -> Criterion:
    """The criterion for LOSS.*: the terms of LOSS.TERMS, or else those that the outputs of MODEL.ARCH allow."""
    # A mean per rank is what one process on its own would compute.
    ranks = ranks if ranks is not None and cfg.LOSS.NORM == "global" else DistributedContext()
    terms = _listed(cfg, ranks) if cfg.LOSS.TERMS else _by_outputs(cfg, ranks)
    # Maps of the head's own size are enlarged here as the network would; a lone `pred` has the image's size.
    aligned = _arch(cfg).aligned and bool(_outputs(cfg))
    align_corners = cfg.MODEL.ALIGN_CORNERS or aligned
    return Criterion(terms, cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL, align_corners)


def _listed(cfg: Any, ranks: DistributedContext) -> list[Term]:
    """LOSS.TERMS "dice:pred:1,dice:aux:0.4" -> a term each, of the loss with its options, in that order."""
    made: dict[str, nn.Module] = {}
    terms = []
    for name, output, weight in cfg.LOSS.TERMS:
        _check_term(name, output, weight)
        if name not in made:
            made[name] = _loss(cfg, name, ranks)
        # Before the second scale is looked at there is no prediction of a single one.
        start = cfg.MODEL.SECOND_SCALE_FROM if output.startswith("pred_") else 0
        terms.append(Term(f"{name}_{output}", tuple(output.split("+")), weight, made[name], start))
    twice = [term.name for i, term in enumerate(terms) if term.name in {t.name for t in terms[:i]}]
    if twice:
        raise UserError(f"--loss_terms has {twice[0].replace('_', ':', 1)} twice: add their weights")
    return terms


def _check_term(name: str, output: str, weight: float) -> None:
    """UserError for an unknown loss, and for one that reads another number of outputs."""
    if name not in LOSSES:
        raise UserError(f"--loss_terms: unknown loss {name!r}{nearest(name, LOSSES)}; known: {', '.join(LOSSES)}")
    reads = getattr(LOSSES[name], "OUTPUTS", ("pred",))
    if len(output.split("+")) != len(reads):
        raise UserError(f"--loss_terms: give {name} as {name}:{'+'.join(reads)}:{weight:g}, not {output!r}")


def _by_outputs(cfg: Any, ranks: DistributedContext) -> list[Term]:
    """main + OCR_ALPHA * aux + SUPERVISED_MSCALE_WT * (sum over the scales); "Hierarchical Multi-Scale Attention for
    Semantic Segmentation" (Tao et al., arXiv:2005.10821), section 3.
    """
    main = _phases(cfg, ranks)
    # Under RMI the other terms are trained with its cross entropy part alone.
    plain = [(_loss(cfg, "rmi_ce", ranks), 0, math.inf)] if cfg.LOSS.RMI else main
    terms = _terms("main", "pred", 1.0, main) + _seeds(cfg, "", 1.0, plain)
    given = _outputs(cfg)
    if "aux" in given:
        auxiliary = main if cfg.LOSS.OCR_AUX_RMI else plain
        terms += _terms("aux", "aux", cfg.LOSS.OCR_ALPHA, auxiliary) + _seeds(cfg, "_aux", cfg.LOSS.OCR_ALPHA, plain)
    if "confidence" in given:
        terms.append(Term("confidence", SeedConfidence.OUTPUTS, 1.0, _loss(cfg, "confidence", ranks)))
    if "deepsup" in given:
        terms += _terms("deepsup", "deepsup", cfg.LOSS.DEEP_SUP_SCALE, plain)
    single = [(loss, max(start, cfg.MODEL.SECOND_SCALE_FROM), stop) for loss, start, stop in plain]
    for scale in _training_scales(cfg.MODEL) if cfg.LOSS.SUPERVISED_MSCALE_WT else ():
        name = scale_output(scale)
        terms += _terms(name, name, cfg.LOSS.SUPERVISED_MSCALE_WT, single)
    return terms


def _offsets(cfg: Any) -> bool:
    """True for networks with offset vectors: outputs `initial`, `seed`, `offset` and `confidence` beside `pred`."""
    return _arch(cfg).offsets


def _arch(cfg: Any) -> archs.Arch:
    return archs.find(cfg.MODEL.ARCH)


def _outputs(cfg: Any) -> frozenset[str]:
    return archs.outputs(_arch(cfg), cfg.MODEL.DECODER)


def _seeds(cfg: Any, end: str, weight: float, phases: Phases) -> list[Term]:
    """A head's scores before they are fused and those of the seeds count half (arXiv:2303.14516)."""
    names = [f"initial{end}", f"seed{end}"] if _offsets(cfg) else []
    return [term for name in names for term in _terms(name, name, weight / 2, phases)]


def _training_scales(model: Any) -> Sequence[float]:
    """Scales whose predictions the network gives in training."""
    return archs.training_scales(archs.find(model.ARCH), model.N_SCALES, model.MSCALE_LO_SCALE)


def scale_output(scale: float) -> str:
    """Name of the prediction at one scale: 0.5 -> pred_05x, 1.0 -> pred_10x."""
    return f"pred_{str(float(scale)).replace('.', '')}x"


def _terms(name: str, output: str, weight: float, phases: Phases) -> list[Term]:
    return [Term(name, (output,), weight, loss, start, stop) for loss, start, stop in phases]


def _phases(cfg: Any, ranks: DistributedContext) -> Phases:
    """The main loss; RMI wins over class weights, these over relaxation, as published."""
    chosen = (("rmi", cfg.LOSS.RMI), ("weighted", cfg.LOSS.IMG_WT), ("relaxation", cfg.LOSS.JOINTWTBORDER))
    name = next((name for name, asked in chosen if asked), "ohem" if _offsets(cfg) else "ce")
    # The epoch after RLX_OFF_EPOCH is the first with the reduced loss.
    switch = cfg.OPTIM.RLX_OFF_EPOCH + 1 if name == "relaxation" and cfg.OPTIM.RLX_OFF_EPOCH >= 0 else math.inf
    first = (_loss(cfg, name, ranks), 0, switch)
    if switch == math.inf:
        return [first]
    return [first, (_loss(cfg, name, ranks, reduced=True), switch, math.inf)]


def _options(cfg: Any, name: str) -> dict[str, Any]:
    """What LOSS.* says to the loss `name`."""
    o = cfg.LOSS
    weighting = {"bound": o.WT_BOUND, "batch": o.BATCH_WEIGHTING}
    if name == "weighted":
        return weighting | {"published": "img_wt" in cfg.PUBLISHED}
    if name == "relaxation":
        published = "relaxation" in cfg.PUBLISHED
        return weighting | {"strict": _strict(cfg), "border": o.BORDER_WINDOW, "published": published}
    if name == "confidence":
        return {"align_corners": "grid_false" not in cfg.PUBLISHED, "published": "confidence_ignored" in cfg.PUBLISHED}
    if name in ("rmi", "rmi_ce"):
        return {}
    own: dict[str, Any] = {"weight": _class_weights(cfg)}
    if name == "bootstrapped":
        own |= {"min_pixels": o.BOOT_MIN_PIXELS, "threshold": o.BOOT_THRESHOLD}
    if name == "dice":
        variants = [slip for slip in cfg.PUBLISHED if slip in Dice.PUBLISHED]
        own |= {"smooth": o.DICE_SMOOTH, "published": variants[0] if variants else ""}
    if name == "ohem":
        own |= {"threshold": o.OHEM_THRES, "keep": o.OHEM_KEEP, "probabilities": _offsets(cfg) and not cfg.MODEL.LOGITS}
    return own


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


def _loss(cfg: Any, name: str, ranks: DistributedContext, **more: Any) -> nn.Module:
    return LOSSES[name](cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL, ranks, **_options(cfg, name), **more)


def _strict(cfg: Any) -> tuple[int, ...]:
    ids = cfg.LOSS.STRICT_BDR_CLS
    if any(not 0 <= i < cfg.DATASET.NUM_CLASSES for i in ids):
        last = cfg.DATASET.NUM_CLASSES - 1
        raise UserError(f"--strict_bdr_cls {joined(ids)!r} must be train ids from 0 to {last}, separated by commas")
    return ids
