"""A CUDA device without one: tensors that have a device, a type and a shape, and no numbers.

PyTorch's own rules for devices, types and shapes apply, as its compiler needs them. A mix of devices is an error; so is
whatever has to know a number: `.item()`, `if tensor`, an index by a mask. Copies between host and device are noted.
The autograd engine does not run there, since it asks for a real device: gradients are of the right shape, and
`backward` leaves none.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROOT = Path(__file__).parents[1]
CUDA = torch.device("cuda", 0)
HALF = (torch.float16, torch.bfloat16)
_COPYING = ("_to_copy", "copy_", "index", "index_put_")


class Copies(TorchDispatchMode):
    """Notes, in `waits`, the line of ours that makes the host wait for the device: a copy from it, or one to it that
    does not say `non_blocking`, indices that lie on the host among them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and look at the devices on both sides."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func._opname in _COPYING and isinstance(out, torch.Tensor) and not kwargs.get("non_blocking"):
            given = [x for x in tree_leaves(args) if isinstance(x, torch.Tensor)]
            if any(x.device.type != out.device.type for x in given):
                self.waits.append(f"{func._opname} in {_our_line()}")
        return out


def _our_line() -> str:
    ours = [f for f in traceback.extract_stack() if Path(f.filename).is_relative_to(ROOT) and ".venv" not in f.filename]
    place = next(f for f in reversed(ours) if Path(f.filename) != Path(__file__))
    return f"{Path(place.filename).relative_to(ROOT)}:{place.lineno} {place.line}"


@contextmanager
def fake_cuda() -> Iterator[FakeTensorMode]:
    """Tensors made inside are fake ones; an autocast and a loss scaler for "cuda" are made as if a device were there.

    Only while they are made is one pretended: elsewhere `torch.cuda.is_available` would lead to calls of the driver.
    """

    def pretending(make: Callable[..., None]) -> Callable[..., None]:
        def made(*args: Any, **kwargs: Any) -> None:
            with mock.patch.multiple(torch.cuda, is_available=lambda: True, is_bf16_supported=lambda: True):
                make(*args, **kwargs)

        return made

    with ExitStack() as stack:
        for kind in (torch.amp.autocast_mode.autocast, torch.amp.GradScaler):
            stack.enter_context(mock.patch.object(kind, "__init__", pretending(kind.__init__)))
        stack.enter_context(mock.patch.object(torch.autograd, "grad", _gradients))
        stack.enter_context(mock.patch.object(torch.Tensor, "backward", lambda *args: None))
        yield stack.enter_context(FakeTensorMode())


def _gradients(outputs: Any, inputs: Sequence[torch.Tensor], *args: Any, **kwargs: Any) -> list[torch.Tensor]:
    return [torch.empty_like(x) for x in inputs]


def moved(net: nn.Module) -> nn.Module:
    """A network that was made on the host as `net.to("cuda")` leaves it: what is no parameter and no buffer stays.

    Called inside `fake_cuda`.
    """
    for module in net.modules():
        for name, p in module._parameters.items():
            if p is not None:
                fake = torch.empty(p.shape, dtype=p.dtype, device=CUDA)
                module._parameters[name] = nn.Parameter(fake, p.requires_grad)
        for name, x in module._buffers.items():
            if x is not None:
                module._buffers[name] = torch.empty(x.shape, dtype=x.dtype, device=CUDA)
    return net
