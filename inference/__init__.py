"""Images in, predictions out: `build_predictor(cfg, net)` makes the one inference path, as the options of EVAL ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

import network
from compat.paddleseg import weights as paddle
from inference import predict
from inference.evalrule import EvalRule
from network.head.aspp import fix_pooling
from utils.amp import Precision

_MODES = {"sliding": "sdcnet", "pooling": "sdcnet_pooling", "whole": "sdcnet_whole"}


def rule_name(cfg: Any) -> str:
    """Which of RULES: that of EVAL.INFERENCE_MODE or EVAL.RULE, or the one that fits the weights."""
    if cfg.EVAL.INFERENCE_MODE:
        return _MODES[cfg.EVAL.INFERENCE_MODE]
    if cfg.EVAL.RULE != "auto" or cfg.DATASET.IMG_SIZES:
        return "csail" if cfg.EVAL.RULE == "auto" else cfg.EVAL.RULE
    paddles = any(paddle.is_own(Path(file)) for file in (cfg.SNAPSHOT, cfg.RESUME))
    return "paddle" if paddles else "nvidia"


def eval_rule(cfg: Any) -> EvalRule:
    """How images become inputs and outputs one map: a published rule with the options of EVAL."""
    options, rule = cfg.EVAL, predict.RULES[rule_name(cfg)]
    scales = (cfg.EVAL.DEFAULT_SCALE,)
    if cfg.EVAL.MULTI_SCALE:
        scales = tuple(dict.fromkeys((*scales, *options.EXTRA_SCALES)))
    if options.INFERENCE_MODE:
        return _inference_mode(cfg, rule)
    if rule == predict.RULES["csail"]:
        rule = replace(
            rule, short_sides=cfg.DATASET.IMG_SIZES, longest=cfg.DATASET.IMG_MAX_SIZE, multiple=cfg.DATASET.PADDING
        )
    if rule == predict.RULES["hrnet"]:
        rule = replace(rule, base=options.BASE_SIZE, piece=options.PIECE)
    return replace(
        rule,
        average="probabilities" if "softmax_sum" in cfg.PUBLISHED else rule.average,
        mean=tuple(cfg.DATASET.MEAN),
        std=tuple(cfg.DATASET.STD),
        scales=scales,
        flip=options.DO_FLIP or (options.AUG_EVAL and options.FLIP_HORIZONTAL),
        flip_vertical=options.AUG_EVAL and options.FLIP_VERTICAL,
        tile=cfg.EVAL.TILE,
        overlap=cfg.EVAL.TILE_OVERLAP,
        align_corners=network.settings(cfg).align_corners,
    )


def _inference_mode(cfg: Any, rule: EvalRule) -> EvalRule:
    """A rule of the sdcnet branch with its own options. Corners are never aligned there outside the network."""
    options, plain = cfg.EVAL, "pooling_input" in cfg.PUBLISHED
    return replace(
        rule,
        mean=(0.0, 0.0, 0.0) if plain else tuple(cfg.DATASET.MEAN),
        std=(1.0, 1.0, 1.0) if plain else tuple(cfg.DATASET.STD),
        scales=(1.0,) if options.SINGLE_SCALE else options.SCALES,
        flip=not options.NO_FLIP,
        flip_vertical=options.AUG_EVAL and options.FLIP_VERTICAL,
        window=options.WINDOW if rule.window else 0,
        window_overlap=options.SLIDING_OVERLAP,
        published_counts="sliding_counts" in cfg.PUBLISHED,
        tile=options.TILE,
        overlap=options.TILE_OVERLAP,
    )


def build_predictor(cfg: Any, net: nn.Module, precision: Precision, log: Callable[[str], None]) -> predict.Predictor:
    """The inference path for `net` as the options of EVAL ask; weights are halved for O3."""
    if cfg.EVAL.FIXED_ASPP_POOL:
        fix_pooling(net)
    if precision.half_weights:
        net = net.half()
    return predict.Predictor(
        net,
        eval_rule(cfg),
        memory_bytes=int(cfg.EVAL.MEMORY_GB * 2**30) or None,
        autocast=None if precision.half_weights else precision.dtype,
        log=log,
        strict=bool(cfg.EVAL.MODE),  # a training goes on
    )
