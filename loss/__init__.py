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
from loss.cross_entropy import CrossEntropy, WeightedCrossEntropy
from loss.relaxation import Relaxation
from loss.rmi import RMI
from loss.supervision import Supervision, Term
from utils.distributed import Ranks
from utils.errors import UserError

__all__ = ["LOSSES", "Supervision", "Term", "build", "optimizer", "schedule"]

# Each is called with (num_classes, ignore_label, ranks) and its own options, and maps logits (N, K, H, W) and a
# label (N, H, W) to a scalar.
LOSSES: dict[str, Callable[..., nn.Module]] = {
    "ce": CrossEntropy,
    "weighted": WeightedCrossEntropy,
    "relaxation": Relaxation,
    "rmi": RMI,
    "rmi_ce": partial(RMI, region=False),
}

# Nets with the output `aux`: OCR's soft object regions.
AUXILIARY = frozenset({"ocrnet.HRNet", "ocrnet.HRNet_Mscale", "ocrnet.OCRNetASPP"})
# Nets that give the prediction of each of two training scales, too.
TWO_SCALES = frozenset(
    {
        "attnscale.DeepV3R50BP",
        "mscale2.DeepV3R50",
        "ocrnet.HRNet_Mscale",
        "mscale.DeepV3R50",
        "mscale.DeepV3W38",
        "mscale.DeepV3W38Fuse",
        "mscale.DeepV3W38Fuse2",
        "mscale.DeepV3X71",
        "mscale.DeeperW38",
        "mscale.DeeperX71",
        "mscale.HRNet",
        "mscale.HRNet_ASP",
    }
)
# Nets that are trained with all scales of --n_scales, and give the prediction of each.
ALL_SCALES = frozenset({"attnscale.DeepV3R50", "attnscale.DeepV3R50B", "attnscale.DeepV3W38"})

# A loss and the epochs in which it holds: (loss, start, stop).
Phases = Sequence[tuple[nn.Module, float, float]]


def build(cfg: Any, ranks: Ranks | None = None) -> Supervision:
    """The criterion for LOSS.*, with the terms that the outputs of MODEL.ARCH allow.

    main + OCR_ALPHA * aux + SUPERVISED_MSCALE_WT * (sum over training scales); "Hierarchical Multi-Scale Attention for
    Semantic Segmentation" (Tao et al., arXiv:2005.10821), section 3.
    """
    # A mean per rank is what one process on its own would compute.
    ranks = ranks if ranks is not None and cfg.LOSS.NORM == "global" else Ranks()
    main = _phases(cfg, ranks)
    # Under RMI the other terms are trained with its cross entropy part alone.
    plain = [(_loss(cfg, "rmi_ce", ranks), 0, math.inf)] if cfg.LOSS.RMI else main
    terms = _terms("main", "pred", 1.0, main)
    if cfg.MODEL.ARCH in AUXILIARY:
        auxiliary = main if cfg.LOSS.OCR_AUX_RMI else plain
        terms += _terms("aux", "aux", cfg.LOSS.OCR_ALPHA, auxiliary)
    # Before the second scale is looked at there is no prediction of a single one.
    single = [(loss, max(start, cfg.MODEL.SECOND_SCALE_FROM), stop) for loss, start, stop in plain]
    for scale in _training_scales(cfg.MODEL) if cfg.LOSS.SUPERVISED_MSCALE_WT else ():
        name = scale_output(scale)
        terms += _terms(name, name, cfg.LOSS.SUPERVISED_MSCALE_WT, single)
    return Supervision(terms, cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL, cfg.MODEL.ALIGN_CORNERS)


def _training_scales(model: Any) -> Sequence[float]:
    """Scales whose predictions the network gives in training."""
    if model.ARCH in ALL_SCALES:
        return sorted(float(scale) for scale in model.N_SCALES.split(",") if scale.strip())
    return (model.MSCALE_LO_SCALE, 1.0) if model.ARCH in TWO_SCALES else ()


def scale_output(scale: float) -> str:
    """Name of the prediction at one scale: 0.5 -> pred_05x, 1.0 -> pred_10x."""
    return f"pred_{str(float(scale)).replace('.', '')}x"


def _terms(name: str, output: str, weight: float, phases: Phases) -> list[Term]:
    return [Term(name, (output,), weight, loss, start, stop) for loss, start, stop in phases]


def _phases(cfg: Any, ranks: Ranks) -> Phases:
    """The main loss; RMI wins over class weights, these over relaxation, as published."""
    if cfg.LOSS.RMI:
        return [(_loss(cfg, "rmi", ranks), 0, math.inf)]
    weighting = {"bound": cfg.LOSS.WT_BOUND, "batch": cfg.LOSS.BATCH_WEIGHTING}
    if cfg.LOSS.IMG_WT:
        published = "img_wt" in cfg.PUBLISHED
        return [(_loss(cfg, "weighted", ranks, published=published, **weighting), 0, math.inf)]
    if not cfg.LOSS.JOINTWTBORDER:
        return [(_loss(cfg, "ce", ranks), 0, math.inf)]
    weighting |= {"strict": _strict(cfg), "border": cfg.LOSS.BORDER_WINDOW, "published": "relaxation" in cfg.PUBLISHED}
    # The epoch after RLX_OFF_EPOCH is the first with the reduced loss.
    switch = cfg.OPTIM.RLX_OFF_EPOCH + 1 if cfg.OPTIM.RLX_OFF_EPOCH >= 0 else math.inf
    relaxed = (_loss(cfg, "relaxation", ranks, **weighting), 0, switch)
    if switch == math.inf:
        return [relaxed]
    return [relaxed, (_loss(cfg, "relaxation", ranks, reduced=True, **weighting), switch, math.inf)]


def _loss(cfg: Any, name: str, ranks: Ranks, **options: Any) -> nn.Module:
    return LOSSES[name](cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL, ranks, **options)


def _strict(cfg: Any) -> tuple[int, ...]:
    text = cfg.LOSS.STRICT_BDR_CLS
    try:
        ids = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        ids = (-1,)
    if any(not 0 <= i < cfg.DATASET.NUM_CLASSES for i in ids):
        last = cfg.DATASET.NUM_CLASSES - 1
        raise UserError(f"--strict_bdr_cls {text!r} must be train ids from 0 to {last}, separated by commas")
    return ids
