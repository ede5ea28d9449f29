"""torch.compile on the parts of a network, so that every weight keeps its name."""

from __future__ import annotations

import torch
from torch import nn

from network.net import Net
from network.trunk import OwnTrunk

_GRAPHS = 64  # of the blocks of one kind: their widths, two scales, and each once more for the recomputation


def compile_parts(net: Net) -> str:
    """Compile trunk and heads in place; gives a line on it. Without a compiler the network stays eager.

    A trunk of ours that recomputes its activations is compiled block by block, inside of what is recomputed: the
    compiler would not see that running statistics stay in the second pass. One of a package is compiled whole.
    """
    device = next(net.parameters()).device
    reason = _why_not(device)
    if reason:
        return f"--compile: no working compiler for {device.type} ({reason}); going on without"
    said = []
    for name, part in net.parts().items():
        regions = _regions(part) if isinstance(part, OwnTrunk) and part.grad_ckpt else [part]
        for region in regions:
            region.compile()
        said.append(name if regions == [part] else f"{name} in {len(regions)} blocks")
    _allow(_GRAPHS)
    return f"compiled: {', '.join(said)} (the first steps are slow)"


def _regions(trunk: OwnTrunk) -> list[nn.Module]:
    """The outermost blocks of a trunk: blocks are built of blocks."""
    found = {name: part for name, part in trunk.named_modules() if isinstance(part, trunk.regions)}
    inside = tuple(f"{name}." for name in found)
    return [part for name, part in found.items() if not name.startswith(inside)]


def _allow(graphs: int) -> None:
    """Let the compiler keep so many graphs of one function; beyond its limit, 8, it goes on without, in silence."""
    from torch._dynamo import config as settings  # here, since it imports the compiler

    name = "recompile_limit" if hasattr(settings, "recompile_limit") else "cache_size_limit"  # its older name
    setattr(settings, name, max(graphs, getattr(settings, name)))


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
