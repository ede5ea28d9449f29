"""The three ways of --inference_mode (Zhu, Sapra et al. 2019, video propagation and label relaxation).

"sdcnet": windows over every scale and mirror image. "sdcnet_whole": the same without windows. "sdcnet_pooling": with
the filter that Pillow takes where none is named, and the mean of what falls together on the way back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inference.rule import EvalRule, Way

_WHOLE = EvalRule(
    scales=(0.5, 1.0, 2.0), flip=True, mirror_first=True, size_rule="floor", resize="pil", resize_first=True
)


def _fill(cfg: Any, rule: EvalRule) -> EvalRule:
    """Scales, mirror images and windows have options of their own. Corners are aligned inside the network alone."""
    options, plain = cfg.EVAL, "pooling_input" in cfg.PUBLISHED
    return replace(
        rule,
        average="logits",
        mean=(0.0, 0.0, 0.0) if plain else rule.mean,
        std=(1.0, 1.0, 1.0) if plain else rule.std,
        scales=(1.0,) if options.SINGLE_SCALE else options.SCALES,
        flip=not options.NO_FLIP,
        window=options.WINDOW if rule.window else 0,
        window_overlap=options.SLIDING_OVERLAP,
        published_counts="sliding_counts" in cfg.PUBLISHED,
        align_corners=False,
    )


def _way(mode: str, rule: EvalRule) -> Way:
    return Way(rule, lambda options: options.get("EVAL.INFERENCE_MODE") == mode, _fill)


WAYS = {
    "sdcnet": _way("sliding", replace(_WHOLE, window=1024)),
    "sdcnet_whole": _way("whole", _WHOLE),
    "sdcnet_pooling": _way("pooling", replace(_WHOLE, resize="pil_bicubic", logit_resize="area")),
}
