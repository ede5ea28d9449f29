"""Areas of disagreement for tests that need no image."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluation.labelcheck.areas import PART, Area

PLAIN: dict[str, Any] = {
    "image": "a", "box": (0, 0, 10, 10), "factor": 1.0, "kind": PART, "labeled": 0, "predicted": 1, "pixels": 100,
    "inner": 36, "log_labeled": float(np.log(0.05)), "log_predicted": float(np.log(0.9)),
    "cover": 0.2,
}  # fmt: skip


def area(**changes: Any) -> Area:
    """Give an area of class 0 that looks like class 1, but for `changes`."""
    return Area(**{**PLAIN, **changes})
