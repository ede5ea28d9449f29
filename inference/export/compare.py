"""How far what a file gives is from what the network gives."""

from __future__ import annotations

import numpy as np
import torch

from inference.export.deployed import Deployed
from inference.export.order import Runner
from inference.passes import evaluating
from inference.rule import EvalRule


def apart(found: np.ndarray, wanted: np.ndarray) -> float:
    """Give the largest error over the largest value; infinity for another shape."""
    if found.shape != wanted.shape:
        return float("inf")
    largest = max(float(np.abs(wanted).max(initial=0)), 1e-12)
    return float(np.abs(found.astype(np.float32) - wanted.astype(np.float32)).max(initial=0)) / largest


def classes_of(output: np.ndarray) -> np.ndarray:
    """(N, H, W) classes, or (N, K, H, W) scores -> (N, H, W) classes."""
    return output if output.ndim == 3 else output.argmax(1)


def reference(module: Deployed, rule: EvalRule, image: np.ndarray) -> np.ndarray:
    """Run the network by torch on what a file takes."""
    with evaluating(module, rule), torch.inference_mode():
        return module(torch.from_numpy(image)).numpy()


def distance(module: Deployed, rule: EvalRule, run: Runner, image: np.ndarray) -> tuple[float, float]:
    """Compare a file with the network on an input, as `difference` does."""
    return difference(run(image)[0], reference(module, rule, image))


def difference(found: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Give (largest error over the largest value, share of pixels of the same class); of classes the error is 0."""
    if found.shape != wanted.shape:
        return float("inf"), 0.0
    same = float((classes_of(found) == classes_of(wanted)).mean())
    return (0.0 if wanted.ndim == 3 else apart(found, wanted)), same
