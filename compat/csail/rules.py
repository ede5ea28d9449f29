"""How CSAIL's scene parsing evaluates (Zhou et al. 2016): short sides of --imgSize, probabilities averaged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inference.rule import EvalRule, Way


def _fill(cfg: Any, rule: EvalRule) -> EvalRule:
    data = cfg.DATASET
    return replace(rule, short_edge_sizes=data.IMG_SIZES, max_long_edge=data.IMG_MAX_SIZE, multiple=data.PADDING)


_RULE = EvalRule(
    size_rule="floor", multiple=8, resize="pil", resize_first=True, resize_logits_once=True, average="probabilities"
)
WAYS = {"csail": Way(_RULE, lambda options: bool(options.get("DATASET.IMG_SIZES")), _fill)}
