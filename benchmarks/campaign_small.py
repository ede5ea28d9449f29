"""The stage of benchmarks/gpu_campaign.py that times small fast networks: one image, from pixels to scores.

They are the recipe's, scripts/cfg/camvid_fast.yaml, with other trunks as its comment says, and random weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

import config
import network
from benchmarks import measure
from benchmarks.campaign_bench import Bench, Piece, absent, expected
from network.trunk import timm_nets

RECIPE = Path(__file__).resolve().parents[1] / "scripts/cfg/camvid_fast.yaml"
TRUNKS = ("tf_efficientnet_lite0", "mobilenetv4_conv_small", "repvit_m0_9")
CALLS = 100


def words(trunk: str) -> list[str]:
    """Give the command line of the recipe with a trunk of timm."""
    return ["--cfg", str(RECIPE), "--trunk", f"timm:{trunk}", "--head", "plain", "--trunk_weights", ""]


def small(bench: Bench) -> list[Piece]:
    """Milliseconds of each network, in float16 on a GPU."""
    if find_spec("timm") is None:
        return [absent(trunk, "pip install timm") for trunk in TRUNKS]
    return [Piece(trunk, expected(bench, 6), partial(_latency, bench, trunk)) for trunk in TRUNKS]


def _latency(bench: Bench, trunk: str) -> dict[str, Any]:
    """Time calls one by one, each with the device's work; the first ones choose kernels, and count for nothing."""
    size = (64, 128) if bench.tiny else (1024, 2048)
    dtype = torch.float16 if bench.device.type == "cuda" else torch.float32
    torch.manual_seed(0)
    net = network.build(config.load(words(trunk))).eval()
    timm_nets.join_branches(net)
    net = net.to(bench.device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = torch.randn(1, 3, *size, device=bench.device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, benchmark=True):
        seconds = [measure.timed(lambda: net(image), bench.device) for _ in range(3 if bench.tiny else 10 + CALLS)]
    return row(seconds[1 if bench.tiny else 10 :], size, dtype, sum(x.numel() for x in net.parameters()))


def row(seconds: Sequence[float], size: tuple[int, int], dtype: torch.dtype, parameters: int) -> dict[str, Any]:
    """Give the row of the table: median and quartiles."""
    low, median, high = (1e3 * float(x) for x in np.quantile(seconds, (0.25, 0.5, 0.75)))
    about = {"size": "x".join(map(str, size)), "type": str(dtype).removeprefix("torch.")}
    return {"ms": median, "from": low, "to": high, **about, "parameters, M": parameters / 1e6}
