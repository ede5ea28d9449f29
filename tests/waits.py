"""What makes the host wait for a GPU, found without one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# They look at values, or they bring some of the host's to the device, from memory that is not page-locked.
NAMES = ("_local_scalar_dense", "nonzero", "_unique2", "bincount", "masked_select", "is_nonzero", "equal", "lift_fresh")
_BY_MASK = ("index", "index_put", "index_put_", "_index_put_impl_")


class Waits(TorchDispatchMode):
    """Collects the operators inside the block for which the host would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masked = name in _BY_MASK and any(isinstance(x, Tensor) and x.dtype == torch.bool for x in args[1])
        self.seen += [name] if name in NAMES or masked else []
        return func(*args, **(kwargs or {}))
