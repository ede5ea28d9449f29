"""GPUs by their numbers: whether they are there, and what CUDA calls them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from utils.errors import UserError


def one(devices: Sequence[int]) -> None:
    """Let this process see a single GPU from now on; without a number: as it is. UserError for several."""
    names = visible(present(devices, torch.cuda.device_count()))
    if len(names) > 1:
        raise UserError(f"--device {_text(devices)}: a single GPU is used here, give its number alone")
    if names:
        os.environ["CUDA_VISIBLE_DEVICES"] = names[0]


def present(devices: Sequence[int], count: int) -> Sequence[int]:
    """Give these numbers of GPUs as they are; UserError for one that is not among the `count` of this machine."""
    if devices and max(devices) >= count:
        there = f"they are 0-{count - 1}" if count > 1 else "there is GPU 0 alone" if count else "there is none"
        advice = "" if count else "; leave it out to compute on the CPU"
        raise UserError(f"--device {_text(devices)}: no GPU {max(devices)} here, {there}{advice}")
    return devices


def _text(devices: Sequence[int]) -> str:
    return ",".join(map(str, devices))


def visible(chosen: Sequence[int]) -> list[str]:
    """Tell what CUDA_VISIBLE_DEVICES calls the GPUs that this process would see under these numbers."""
    names = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return [names[number] if names else str(number) for number in chosen]
