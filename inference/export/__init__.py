"""A trained network as a file for other runtimes: `TARGETS` says which there are."""

from __future__ import annotations

from inference.export.compare import distance
from inference.export.deployed import Deployed, check_scores
from inference.export.order import INT8, Calibration, Layers, Order, Runner
from inference.export.probe import first_difference
from inference.export.targets import TARGETS, Target, check, find, order_of, runner, save
from runtime.facts import LARGEST, OUTPUTS, SMALLEST

__all__ = ["INT8", "LARGEST", "OUTPUTS", "SMALLEST", "TARGETS", "Calibration", "Deployed", "Layers", "Order", "Runner"]
__all__ += ["Target", "check", "check_scores", "distance", "find", "first_difference", "order_of", "runner", "save"]
