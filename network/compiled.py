"""torch.compile on the parts of a network, so that every weight keeps its name."""

from __future__ import annotations

import torch

from network.net import Net


def compile_parts(net: Net) -> str:
    """Compile trunk and heads in place; gives a line on it. Without a compiler the network stays eager.

    A trunk that recomputes its activations stays eager: its running statistics would move twice.
    """
    device = next(net.parameters()).device
    reason = _why_not(device)
    if reason:
        return f"--compile: no working compiler for {device.type} ({reason}); going on without"
    parts = {name: part for name, part in net.parts().items() if not getattr(part, "grad_ckpt", False)}
    for part in parts.values():
        part.compile()
    return f"compiled: {', '.join(parts)} (the first steps are slow)"


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
