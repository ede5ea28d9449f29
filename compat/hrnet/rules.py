"""How the HRNet family evaluates: lists of scales, exp of the logits summed over them, windows of a fixed size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inference.rule import EvalRule, Way


def _fill(cfg: Any, rule: EvalRule) -> EvalRule:
    return replace(rule, base_long_edge=cfg.EVAL.BASE_SIZE, piece=cfg.EVAL.PIECE)


_RULE = EvalRule(size_rule="half_up", resize="cv2", average="exp", base_long_edge=2048, piece=(1024, 2048))
WAYS = {"hrnet": Way(_RULE, fill=_fill)}
