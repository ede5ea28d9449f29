"""Exponential moving average of weights (Polyak and Juditsky 1992, as in mean teachers, arXiv:1703.01780)."""

from __future__ import annotations

import copy

import torch
from torch import nn


class ModelEma:
    """A copy of `net` that follows it: ema = decay * ema + (1 - decay) * net, for parameters and running statistics.

    Statistics, too, since those of the last few crops alone can be far from the data's; counters are copied.
    The decay grows as (1 + n) / (10 + n) over the first n steps up to `decay`, so that a short run forgets its start.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """After each optimizer step."""
        self.steps += 1
        weight = 1.0 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mine, other in zip(self.net.parameters(), net.parameters(), strict=True):
            mine.lerp_(other, weight)
        for mine, other in zip(self.net.buffers(), net.buffers(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(other, weight)
            else:
                mine.copy_(other)
