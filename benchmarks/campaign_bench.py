"""What every stage of benchmarks/gpu_campaign.py shares: where it measures, what a piece of it is, small networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch


@dataclass
class Bench:
    """Where the campaign measures: a device, a folder for its files, CamVid's folder or "". `left()`: its seconds."""

    device: torch.device
    tiny: bool
    folder: Path
    data_root: str = ""
    left: Callable[[], float] = lambda: float("inf")


class Piece(NamedTuple):
    """A piece of work, done or not as a whole; `run` gives its figures."""

    name: str
    seconds: float
    run: Callable[[], dict[str, Any]]


RECIPE = ["--arch", "ocrnet.HRNet_Mscale"]
# The recipe's network with a few thousand weights, where figures do not depend on its size; and that of a rehearsal.
NARROW = [
    *(*RECIPE, "--width_mult", "0.1", "--segattn_bot_ch", "8", "MODEL.OCR.MID_CHANNELS", "16"),
    *("MODEL.OCR.KEY_CHANNELS", "8", "MODEL.OCR.DROPOUT", "0"),
]
TINY = ["--arch", "deepv3.DeepV3R50", "--width_mult", "0.1", "--segattn_bot_ch", "8", "MODEL.ASPP_BOT_CH", "8"]


def expected(bench: Bench, seconds: float) -> float:
    """What a piece takes: `seconds` on a GPU, next to nothing in a rehearsal."""
    return 0.0 if bench.tiny else seconds


def absent(name: str, why: str) -> Piece:
    """A piece that cannot be done here, so that its line says why."""
    return Piece(name, 0.0, lambda: {"state": "left out", "why": why})
