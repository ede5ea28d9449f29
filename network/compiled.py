"""torch.compile on the parts of a network, so that every weight keeps its name."""

from __future__ import annotations

import logging

import torch
from torch import nn

log = logging.getLogger(__name__)


def compile_parts(net: nn.Module) -> bool:
    """Compile trunk and heads in place; True if done. Without a compiler: one warning line, and eager as before.

    A trunk that recomputes its activations stays eager: its running statistics would move twice.
    """
    device = next(net.parameters()).device
    reason = _why_not(device)
    if reason:
        log.warning("--compile: no working compiler for %s (%s); going on without", device.type, reason)
        return False
    for part in net.children():
        if not getattr(part, "grad_ckpt", False):
            part.compile()
    return True


def _why_not(device: torch.device) -> str:
    """Empty if a small function compiles and runs there, else the reason in a few words.

    Trying is the only sure test: compilation needs a C++ compiler, Python's headers, and on a GPU also Triton.
    """
    try:
        torch.compile(lambda x: (x + 1).relu())(torch.ones(2, device=device))
    except Exception as error:  # each missing piece has its own exception type
        text = str(error).strip()
        return text.splitlines()[0][:100] if text else type(error).__name__
    return ""
