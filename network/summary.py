"""Parameters and multiply-adds of a network, part by part."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def summary(net: nn.Module, size: tuple[int, int]) -> str:
    """Table of the parts at an input of `size` (H, W): parameters in millions, multiply-adds in thousand millions.

    Counted by torch's own counter in evaluation mode, without computing anything (meta device); convolutions and
    matrix products count, as usual.
    """
    state = {name: value.to("meta") for name, value in net.state_dict().items()}
    counter = FlopCounterMode(display=False, depth=1)
    training = net.training
    net.eval()
    with torch.no_grad(), counter:
        torch.func.functional_call(net, state, (torch.empty(1, 3, *size, device="meta"),))
    net.train(training)
    flops = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    whole = type(net).__name__
    rows = [(name, _millions(part), flops.get(f"{whole}.{name}", 0) / 2e9) for name, part in net.named_children()]
    rows.append(("in all", _millions(net), flops.get("Global", 0) / 2e9))
    lines = [f"{'part':<16}{'parameters, M':>16}{'multiply-adds, G':>20}   at {size[0]}x{size[1]}"]
    return "\n".join(lines + [f"{name:<16}{params:>16.3f}{macs:>20.3f}" for name, params, macs in rows])


def _millions(part: nn.Module) -> float:
    return sum(p.numel() for p in part.parameters()) / 1e6
