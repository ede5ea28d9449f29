"""How PaddleSeg evaluates since its release 2.8; before, probabilities were averaged (--published softmax_sum)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compat.paddleseg.weights import is_own
from inference.rule import EvalRule, Way


def _suits(options: Mapping[str, Any]) -> bool:
    """For a network whose weights come from there."""
    return any(is_own(Path(options.get(key) or "")) for key in ("SNAPSHOT", "RESUME"))


WAYS = {"paddle": Way(EvalRule(size_rule="half_up", use_given_scale_factor=True), _suits)}
