"""Which of our networks a bare state dict belongs to, judged by its names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from network.composition import compose
from network.families import Settings
from network.weights import places
from options.archs import ARCHS
from utils.errors import UserError


def fitting(state: Mapping[str, Tensor], settings: Settings) -> list[str]:
    """Names of ARCHS, alphabetically, whose entries with these `settings` have the file's names and shapes.

    That is all of them, or all below one prefix.

    Batch counters do not count. The networks are built without memory.
    """
    ours = {arch: _shapes(arch, settings) for arch in sorted(ARCHS)}
    for prefix in ("", *places.prefixes(state)):
        below = {name.removeprefix(prefix): x.shape for name, x in state.items() if name.startswith(prefix)}
        theirs = {name: shape for name, shape in below.items() if not name.endswith("num_batches_tracked")}
        if fits := [arch for arch, shapes in ours.items() if theirs == shapes]:
            return fits
    return []


@cache  # whoever asks again, with another file, need not build them all once more
def _shapes(arch: str, settings: Settings) -> dict[str, torch.Size]:
    """{name: shape} of a network; none for one that these settings do not make."""
    try:
        with torch.device("meta"):
            state = compose(ARCHS[arch], settings).state_dict()
    except UserError:
        return {}
    return {name: x.shape for name, x in state.items() if not name.endswith("num_batches_tracked")}
