"""Mixed precision by apex' level names, in torch's own terms."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor


def upcast_to_float32(x: Tensor) -> Tensor:
    """Turn half types into float32, others as they are: sums over an image overflow or stall in half."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@dataclass(frozen=True)
class Precision:
    """What a forward pass computes in.

    `dtype` of autocast (None: float32 throughout), `scaler` for fp16 gradients (does nothing unless enabled),
    `half_weights` for evaluation with weights in half precision (O3).
    """

    device: torch.device
    dtype: torch.dtype | None
    scaler: torch.amp.GradScaler
    half_weights: bool = False
    note: str = ""

    def autocast(self) -> AbstractContextManager[object]:
        """Make the context for the forward pass of the network; losses are computed outside, in float32."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)


LEAST_SCALE = 1.0  # below it the gradients of a mean over pixels are lost in half precision, and it takes days to rise


def update_if(scaler: torch.amp.GradScaler, finite: Tensor) -> None:
    """Adapt the scale to the gradients that `unscale_` has seen, if `finite`, a bool scalar on the device, is true.

    Where it is false the loss itself was not finite: of its gradients the scaler must learn nothing. However long
    gradients overflow, it stays at LEAST_SCALE or above. Nothing waits.
    """
    if scaler.is_enabled():
        held = [x for x in (scaler._scale, scaler._growth_tracker) if x is not None]
        before = [x.clone() for x in held]
        scaler.update()
        for now, old in zip(held, before, strict=True):
            now.copy_(torch.where(finite, now, old))
        held[0].clamp_(min=LEAST_SCALE)


def is_least(scaler: torch.amp.GradScaler, like: Tensor) -> Tensor:
    """Tell whether the scale can fall no further, a bool scalar on the device of `like`; without one: true."""
    scale = scaler._scale if scaler.is_enabled() else None
    return like.new_ones((), dtype=torch.bool) if scale is None else scale <= LEAST_SCALE


def build(fp16: bool, level: str, device: torch.device) -> Precision:
    """O0 fp32, O1 fp16 autocast with a loss scaler, O2 bf16 autocast, O3 half weights at evaluation.

    A CPU computes O1 in bf16, as fp16 arithmetic is emulated there; the note says so.
    """
    dtypes = {"O0": None, "O1": torch.float16, "O2": torch.bfloat16, "O3": torch.float16}
    dtype, note = dtypes[level] if fp16 else None, ""
    if fp16 and level == "O1" and device.type == "cpu":
        dtype, note = torch.bfloat16, "a CPU computes --fp16 in bf16"
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    return Precision(device, dtype, scaler, half_weights=fp16 and level == "O3" and device.type == "cuda", note=note)
