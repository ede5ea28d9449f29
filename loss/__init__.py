"""Losses, optimizers and schedules. `build(cfg)` gives the criterion: which losses on which outputs, with what weight.

`table`: the losses, a row each. `terms`: which of them a run has, and their weights. `criterion`: where the weights are
applied. `pixels`: what losses share, and their contract.
"""

from __future__ import annotations

from typing import Any

from loss import optimizer, schedule, terms
from loss.criterion import Criterion, Term
from loss.table import LOSSES
from options import archs
from utils.distributed import DistributedContext

__all__ = ["LOSSES", "Criterion", "Term", "build", "optimizer", "schedule"]


def build(cfg: Any, ranks: DistributedContext | None = None) -> Criterion:
    """The criterion for LOSS.*: the terms of LOSS.TERMS, or else those that the outputs of MODEL.ARCH allow."""
    # A mean per rank is what one process on its own would compute.
    ranks = ranks if ranks is not None and cfg.LOSS.NORM == "global" else DistributedContext()
    found = terms.from_loss_terms(cfg, ranks) if cfg.LOSS.TERMS else terms.by_outputs(cfg, ranks)
    # Maps of the head's own size are enlarged here as the network would; a lone `pred` has the image's size.
    aligned = archs.find(cfg.MODEL.ARCH).aligned and bool(terms.outputs(cfg))
    align_corners = cfg.MODEL.ALIGN_CORNERS or aligned
    return Criterion(found, cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL, align_corners)
