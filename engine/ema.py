"""Exponential moving average of weights (Polyak and Juditsky 1992, as in mean teachers, arXiv:1703.01780)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class ModelEma:
    """A copy of `net` that follows it: ema = decay * ema + (1 - decay) * net, for parameters and running statistics.

    Statistics are averaged since those of the last few crops alone can be far from the data's; counters are copied.
    The decay grows as (1 + n) / (10 + n) over the first n steps up to `decay`, so that a short run forgets its start.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self.decay = decay
        self.steps = torch.zeros((), dtype=torch.int64, device=next(net.parameters()).device)

    @torch.no_grad()
    def update(self, net: nn.Module, taken: Tensor) -> None:
        """Follow `net` after an optimizer step; nothing moves where `taken`, a bool scalar on the device, is false."""
        self.steps += taken
        share = ((1 + self.steps).double() / (10 + self.steps)).clamp(max=self.decay)  # of what it was
        weight = torch.where(taken, 1.0 - share, 0.0)
        ours, theirs = ([*one.parameters(), *one.buffers()] for one in (self.net, net))
        for mine, other in zip(ours, theirs, strict=True):
            if mine.is_floating_point():
                mine.lerp_(other, weight.to(mine.dtype))
            else:
                mine.copy_(torch.where(taken, other, mine))
