"""Which of our networks a bare state dict belongs to, told by its names and shapes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from network import NETS
from network.families import Settings
from utils.errors import UserError


def fitting(state: Mapping[str, Tensor], settings: Settings) -> list[str]:
    """Names of NETS, alphabetically, whose entries with these `settings` have the file's names and shapes, all of them.

    Batch counters do not count. The networks are built without memory.
    """
    theirs = {name: x.shape for name, x in state.items() if not name.endswith("num_batches_tracked")}
    return [arch for arch in sorted(NETS) if theirs == _shapes(arch, settings)]


def _shapes(arch: str, settings: Settings) -> dict[str, torch.Size]:
    """{name: shape} of a network; none for one that these settings do not make."""
    try:
        with torch.device("meta"):
            state = NETS[arch](settings).state_dict()
    except UserError:
        return {}
    return {name: x.shape for name, x in state.items() if not name.endswith("num_batches_tracked")}
