"""Images in, predictions out. Of a file alone: `load(checkpoint)`; of a run: `build_predictor(cfg, net, ...)`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from inference.from_file import loaded
from inference.predictor import Predictor
from inference.rule import EvalRule
from inference.ways import RULES, eval_rule, rule_name, suiting
from network.head.aspp import fix_pooling
from utils import amp
from utils.contracts import DatasetSpec

__all__ = ["RULES", "EvalRule", "Predictor", "build_predictor", "eval_rule", "load", "rule_name", "suiting"]


def load(checkpoint: str | Path, device: str | torch.device = "cpu", *argv: str) -> Predictor:
    """Give the `Predictor` of a trained network, which its file names, with its classes and their colors as `spec`.

    `checkpoint`: what --snapshot takes, any file of weights or the folder of a run; `argv`: further flags of train.py,
    "--arch", "basic.HRNet" for a file that does not name its network. UserError for what is no checkpoint, or fills its
    network in part only.
    """
    cfg, spec, net, _ = loaded(checkpoint, argv)
    precision = amp.build(cfg.TRAIN.FP16, cfg.TRAIN.AMP_OPT_LEVEL, torch.device(device))
    for note in filter(None, [*cfg.NOTES, precision.note]):
        warnings.warn(note, stacklevel=2)
    return build_predictor(cfg, net.to(device), precision, spec=spec)


def build_predictor(
    cfg: Any,
    net: nn.Module,
    precision: amp.Precision,
    log: Callable[[str], None] | None = None,
    spec: DatasetSpec | None = None,
    temperature: float = 1.0,
) -> Predictor:
    """Build the inference path for `net` as the options of EVAL ask; weights are halved for O3. `temperature`: what
    probabilities are calibrated with.
    """
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
        spec=spec,
        temperature=temperature,
    )
