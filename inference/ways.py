"""The ways of evaluating by name: ours, and those of other systems; which of them a run takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import compat
import config
import network
from inference.rule import PLAIN, EvalRule, Way
from utils.errors import UserError

# The first that suits is taken; ours suits everything.
WAYS: dict[str, Way] = {name: way for part in compat.parts("rules") for name, way in part.WAYS.items()}
WAYS["default"] = Way(PLAIN, suits=lambda _: True)
RULES: dict[str, EvalRule] = {name: way.rule for name, way in WAYS.items()}


def rule_name(cfg: Any) -> str:
    """Tell which of RULES: that of --eval_rule, or the one that suits the other options."""
    return suiting(config.flat(cfg)) if cfg.EVAL.RULE == "auto" else cfg.EVAL.RULE


def suiting(options: Mapping[str, Any]) -> str:
    """Tell which of RULES --eval_rule auto takes for `options` ({key: value}); what is not among them is not given."""
    return next(name for name, way in WAYS.items() if way.suits(options))


def eval_rule(cfg: Any) -> EvalRule:
    """Make the rule of how images become inputs and outputs one map: a way of evaluating with the options of EVAL.

    Raises UserError for scales that cannot be used, or a way of a system that is not here.
    """
    name, options = rule_name(cfg), cfg.EVAL
    if name not in WAYS:
        raise UserError(f"--eval_rule {name} is of a system that is not here; there are {', '.join(WAYS)}")
    way = WAYS[name]
    extra = options.EXTRA_SCALES if options.MULTI_SCALE else ()
    rule = replace(
        way.rule,
        average="probabilities" if "softmax_sum" in cfg.PUBLISHED else way.rule.average,
        mean=tuple(cfg.DATASET.MEAN),
        std=tuple(cfg.DATASET.STD),
        scales=tuple(dict.fromkeys((options.DEFAULT_SCALE, *extra))),
        flip=options.DO_FLIP or (options.AUG_EVAL and options.FLIP_HORIZONTAL),
        flip_vertical=options.AUG_EVAL and options.FLIP_VERTICAL,
        tile=options.TILE,
        overlap=options.TILE_OVERLAP,
        align_corners=network.settings(cfg).align_corners,
    )
    rule = way.fill(cfg, rule)
    if cfg.DATASET.IMG_SIZES and options.RULE == "auto" and not rule.short_edge_sizes:
        raise UserError("--imgSize asks for a rule of a system that is not here: give --eval_rule, or leave it out")
    return rule
