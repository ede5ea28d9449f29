"""Colors drawn from tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
Color = Sequence[float] | np.ndarray


def tint(rng: np.random.Generator, colors: Sequence[Color], low: float, high: float) -> np.ndarray:
    """Choose one of some colors, brighter or darker by a factor from `low` to `high`."""
    return np.array(choose(rng, colors)) * rng.uniform(low, high)


def choose(rng: np.random.Generator, some: Sequence[T]) -> T:
    """Choose one of some, each as likely as the others."""
    return some[int(rng.integers(len(some)))]
