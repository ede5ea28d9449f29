"""Exponential moving average of weights (Polyak and Juditsky 1992, as in mean teachers, arXiv:1703.01780)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

_AT_ONCE = 64  # tensors whose differences are held at once


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
        pairs = list(zip(_tensors(self.net), _tensors(net), strict=True))
        for kind in dict.fromkeys(mine.dtype for mine, _ in pairs):
            mine, theirs = map(list, zip(*(pair for pair in pairs if pair[0].dtype == kind), strict=True))
            if not kind.is_floating_point:
                _copy_if(taken, mine, theirs)
            elif weight.is_cuda:
                approach(mine, theirs, weight.to(kind))
            else:
                torch.ops.aten._foreach_lerp_(mine, theirs, [weight.to(kind)] * len(mine))


def approach(mine: list[Tensor], theirs: list[Tensor], weight: Tensor) -> None:
    """mine += weight * (theirs - mine), in place: `_foreach_lerp_` has no fused kernel for a weight on the device."""
    for start in range(0, len(mine), _AT_ONCE):
        part = mine[start : start + _AT_ONCE]
        steps = torch.ops.aten._foreach_sub(theirs[start : start + _AT_ONCE], part)
        torch.ops.aten._foreach_mul_(steps, weight)
        torch.ops.aten._foreach_add_(part, steps)


def _copy_if(taken: Tensor, mine: list[Tensor], theirs: list[Tensor]) -> None:
    """mine = theirs where the bool scalar `taken` is true, with one choice for all of them."""
    ours, others = (torch.cat([x.flatten() for x in side]) for side in (mine, theirs))
    chosen = torch.where(taken, others, ours).split([x.numel() for x in mine])
    torch.ops.aten._foreach_copy_(mine, [part.view(x.shape) for part, x in zip(chosen, mine, strict=True)])


def _tensors(net: nn.Module) -> list[Tensor]:
    return [*net.parameters(), *net.buffers()]
