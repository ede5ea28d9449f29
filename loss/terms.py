"""Chooses the run's terms, their weights and their epochs; `Criterion.forward` multiplies by the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from loss import table
from loss.criterion import Term
from loss.pixels import PixelLoss
from options import archs, readers
from utils.contracts import scale_name
from utils.distributed import DistributedContext
from utils.errors import UserError

# A loss and the epochs in which it holds: (loss, start, stop).
Phases = Sequence[tuple[PixelLoss, float, float]]
# Outputs that have a term by themselves, or are read by one.
READ = {"aux", "deepsup", "initial", "seed", "initial_aux", "seed_aux", "offset", "confidence"}


def from_loss_terms(cfg: Any, ranks: DistributedContext) -> list[Term]:
    """LOSS.TERMS "dice:pred:1,dice:aux:0.4" -> a term each, of the loss with its options, in that order."""
    made: dict[str, PixelLoss] = {}
    terms = []
    single = {f"pred_{scale_name(scale)}" for scale in training_scales(cfg.MODEL)}
    for name, outputs, weight in cfg.LOSS.TERMS:
        reads, given = table.find(name).outputs, "+".join(outputs)
        if len(outputs) != len(reads):
            raise UserError(f"--loss_terms: give {name} as {name}:{'+'.join(reads)}:{weight:g}, not {given!r}")
        if name not in made:
            made[name] = table.make(cfg, name, ranks)
        # Before the second scale is looked at there is no prediction of a single one.
        start = cfg.MODEL.SECOND_SCALE_FROM if single & {*outputs} else 0
        terms.append(Term(f"{name}_{given}", outputs, weight, made[name], start))
    twice = [term.name for i, term in enumerate(terms) if term.name in {t.name for t in terms[:i]}]
    if twice:
        raise UserError(f"--loss_terms has {twice[0].replace('_', ':', 1)} twice: add their weights")
    return terms


def by_outputs(cfg: Any, ranks: DistributedContext) -> list[Term]:
    """main + OCR_ALPHA * aux + SUPERVISED_MSCALE_WT * (sum over the scales); "Hierarchical Multi-Scale Attention for
    Semantic Segmentation" (Tao et al., arXiv:2005.10821), section 3.

    UserError for an output that none of these reads.
    """
    o, given = cfg.LOSS, outputs(cfg)
    if unread := sorted(given - READ):
        raise UserError(f"--arch {cfg.MODEL.ARCH} gives {', '.join(unread)}, which needs a loss: give --loss_terms")
    main = _phases(cfg, ranks)
    # Under RMI the other terms are trained with its cross entropy part alone.
    plain = [(table.make(cfg, "rmi_ce", ranks), 0, math.inf)] if o.RMI else main
    terms = _terms("main", "pred", 1.0, main) + _seeds(cfg, "", 1.0, plain)
    if "aux" in given:
        auxiliary = main if o.OCR_AUX_RMI else plain
        terms += _terms("aux", "aux", o.OCR_ALPHA, auxiliary) + _seeds(cfg, "_aux", o.OCR_ALPHA, plain)
    if "confidence" in given:
        reads = table.find("confidence").outputs
        terms.append(Term("confidence", reads, 1.0, table.make(cfg, "confidence", ranks)))
    if "deepsup" in given:
        terms += _terms("deepsup", "deepsup", o.DEEP_SUP_SCALE, plain)
    if o.TEACHER:
        terms.append(Term("distill", table.find("distill").outputs, o.DISTILL_WT, table.make(cfg, "distill", ranks)))
    single = [(loss, max(start, cfg.MODEL.SECOND_SCALE_FROM), stop) for loss, start, stop in plain]
    for scale in training_scales(cfg.MODEL) if o.SUPERVISED_MSCALE_WT else ():
        name = f"pred_{scale_name(scale)}"
        terms += _terms(name, name, o.SUPERVISED_MSCALE_WT, single)
    return terms


def outputs(cfg: Any) -> frozenset[str]:
    """Names of what the network gives beside `pred`."""
    return archs.outputs(archs.find(cfg.MODEL.ARCH), cfg.MODEL.DECODER)


def _seeds(cfg: Any, end: str, weight: float, phases: Phases) -> list[Term]:
    """A head's scores before they are fused and those of the seeds count half (arXiv:2303.14516)."""
    names = [f"initial{end}", f"seed{end}"] if archs.find(cfg.MODEL.ARCH).offsets else []
    return [term for name in names for term in _terms(name, name, weight / 2, phases)]


def training_scales(model: Any) -> Sequence[float]:
    """Scales whose predictions the network gives in training."""
    return archs.training_scales(archs.find(model.ARCH), model.N_SCALES, model.MSCALE_LO_SCALE)


def _terms(name: str, output: str, weight: float, phases: Phases) -> list[Term]:
    return [Term(name, (output,), weight, loss, start, stop) for loss, start, stop in phases]


def _phases(cfg: Any, ranks: DistributedContext) -> Phases:
    """Make the main loss, in two phases where relaxation ends before the training does."""
    o = cfg.LOSS
    name = readers.main_loss(archs.find(cfg.MODEL.ARCH), o.RMI, o.IMG_WT, o.JOINTWTBORDER)
    # The epoch after RLX_OFF_EPOCH is the first with the reduced loss.
    switch = cfg.OPTIM.RLX_OFF_EPOCH + 1 if name == "relaxation" and cfg.OPTIM.RLX_OFF_EPOCH >= 0 else math.inf
    first = (table.make(cfg, name, ranks), 0, switch)
    if switch == math.inf:
        return [first]
    return [first, (table.make(cfg, name, ranks, reduced=True), switch, math.inf)]
