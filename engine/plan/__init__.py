"""What --auto plans: a network and its training, from the data, the machine, and steps that are tried and measured."""

from __future__ import annotations

from engine.plan.door import completed
from engine.plan.record import beside_measured

__all__ = ["beside_measured", "completed"]
