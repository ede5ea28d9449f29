"""Images in, predictions out. Of a file alone: `load(checkpoint)`; of a run: `build_predictor(cfg, net, ...)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from inference.from_file import load
from inference.predictor import Predictor
from inference.rule import EvalRule
from inference.ways import RULES, eval_rule, rule_name, suiting
from network.head.aspp import fix_pooling
from utils.amp import Precision

__all__ = ["RULES", "EvalRule", "Predictor", "build_predictor", "eval_rule", "load", "rule_name", "suiting"]


def build_predictor(cfg: Any, net: nn.Module, precision: Precision, log: Callable[[str], None]) -> Predictor:
    """The inference path for `net` as the options of EVAL ask; weights are halved for O3."""
    if cfg.EVAL.FIXED_ASPP_POOL:
        fix_pooling(net)
    if precision.half_weights:
        net = net.half()
    return Predictor(
        net,
        eval_rule(cfg),
        memory_bytes=int(cfg.EVAL.MEMORY_GB * 2**30) or None,
        autocast=None if precision.half_weights else precision.dtype,
        log=log,
        strict=bool(cfg.EVAL.MODE),  # a training goes on
    )
