"""GPUs by their numbers: which ones --device names, and what CUDA calls them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import torch

from utils.errors import UserError


def one(devices: str) -> None:
    """Let this process see a single GPU from now on, "2" for instance; "": as it is. UserError for several."""
    names = visible(numbers(devices, torch.cuda.device_count())) if devices else []
    if len(names) > 1:
        raise UserError(f"--device {devices}: a single GPU is used here, give its number alone")
    if names:
        os.environ["CUDA_VISIBLE_DEVICES"] = names[0]


def numbers(text: str, count: int) -> list[int]:
    """Of `count` GPUs those of "0-3", "0,2,4", "gpu0-gpu3" or "3-1", in this order, each once. UserError for others."""
    found: list[int] = []
    for part in text.lower().split(","):
        match = re.fullmatch(r"\s*(?:gpu)?(\d+)(?:-(?:gpu)?(\d+))?\s*", part)
        if match is None:
            raise UserError(f"--device {text!r}: give numbers of GPUs like 0-3 or 0,2,4")
        first, last = int(match[1]), int(match[2] or match[1])
        if max(first, last) >= count:
            there = f"they are 0-{count - 1}" if count > 1 else "there is GPU 0 alone" if count else "there is none"
            advice = "" if count else "; leave it out to compute on the CPU"
            raise UserError(f"--device {text}: no GPU {max(first, last)} here, {there}{advice}")
        found += range(first, last + 1) if first <= last else range(first, last - 1, -1)
    return list(dict.fromkeys(found))


def visible(chosen: Sequence[int]) -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls the GPUs that this process would see under these numbers."""
    names = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return [names[number] if names else str(number) for number in chosen]
