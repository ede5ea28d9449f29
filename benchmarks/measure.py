"""Two ways of doing the same work, timed in turns: seconds, memory, and what the machine is."""

from __future__ import annotations

import ctypes
import gc
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import PIL
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import conv_flop_count, flop_registry

# What the machine is asked to do at its best: the side of a matrix product; images, channels, height and width of the
# maps of a 3x3 convolution. Large enough to fill it.
GEMM = {"cpu": 1024, "cuda": 8192}
MAPS = {"cpu": (1, 256, 64, 64), "cuda": (8, 512, 128, 128)}


class Pair(NamedTuple):
    """The same work done both ways; each call does `amount` units of it and returns its result."""

    baseline: Callable[[], Any]
    ours: Callable[[], Any]
    unit: str
    amount: int = 1


class Side(NamedTuple):
    """Seconds of every call, and the memory that a call takes on top of what was held before, in bytes."""

    seconds: list[float]
    memory: int


def processor_seconds() -> float:
    """Seconds of the processors that this process has used, with the programs that it ran."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": processor_seconds}


def in_turns(pair: Pair, steps: int, device: torch.device, clock: str = "wall") -> tuple[Side, Side]:
    """Call each once to warm up and for the memory, then `steps` times in turns; who begins changes every turn."""
    calls = pair.baseline, pair.ours
    memory = [peak(call, device) for call in calls]
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(steps):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            seconds[which].append(timed(calls[which], device, clock))
    return Side(seconds[0], memory[0]), Side(seconds[1], memory[1])


def timed(call: Callable[[], Any], device: torch.device, clock: str = "wall") -> float:
    """Measure the seconds of one call by one of CLOCKS, the device's work included."""
    synchronize(device)
    start = CLOCKS[clock]()
    call()
    synchronize(device)
    return CLOCKS[clock]() - start


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak(call: Callable[[], Any], device: torch.device) -> int:
    """Measure the bytes at a call's peak above those before: on the GPU, or resident on the host (0: not known)."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    before = reset_resident_peak()
    call()
    return max(0, resident("VmHWM") - before) if before else 0


def reset_resident_peak() -> int:
    """Give freed memory back, set the kernel's mark of the highest resident size to the present one; returns that."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        return resident("VmRSS")
    except OSError:  # not Linux, or not allowed
        return 0


def resident(name: str) -> int:
    """Read a figure of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


class Operations(TorchDispatchMode):
    """Counts the floating point operations of convolutions and matrix products inside the block.

    torch's own FlopCounterMode also keeps the modules apart, by hooks with which a loss cannot ask for gradients.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._overloadpacket not in flop_registry:
            with self:  # in inference mode an operator comes as a whole
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        if count := flop_registry.get(func._overloadpacket):
            self.count += count(*args, **kwargs, out_val=out)
        elif func._opname == "_convolution_pointwise":  # oneDNN's, which `network.fused` calls
            weight = args[2 if func._overloadname == "binary" else 1]
            self.count += conv_flop_count(args[0].shape, weight.shape, out.shape)
        return out


def operations(call: Callable[[], Any]) -> int:
    """Count the floating point operations of a call: those of convolutions and matrix products, two a multiply-add."""
    with Operations() as counter:
        call()
    return counter.count


def best_rates(
    device: torch.device, dtype: torch.dtype = torch.float32, clock: str = "wall", steps: int = 3
) -> dict[str, float]:
    """Measure the operations a second of this machine's own matrix product and convolution, the best of `steps`."""
    side, (n, channels, height, width) = GEMM[device.type], MAPS[device.type]
    a = torch.randn(side, side, device=device).to(dtype)
    x = torch.randn(n, channels, height, width, device=device).to(dtype, memory_format=torch.channels_last)
    kernel = torch.randn(channels, channels, 3, 3, device=device).to(dtype, memory_format=torch.channels_last)
    work: dict[str, tuple[int, Callable[[], Any]]] = {
        "gemm": (2 * side**3, lambda: a @ a),
        "convolution": (2 * 9 * channels**2 * n * height * width, lambda: F.conv2d(x, kernel, padding=1)),
    }
    with torch.inference_mode():
        return {
            name: count / min(timed(call, device, clock) for _ in range(steps)) for name, (count, call) in work.items()
        }


def hardware(device: torch.device) -> dict[str, str]:
    """Tell what the numbers depend on."""
    found = {"cpu": processor(), "threads": str(torch.get_num_threads()), "python": platform.python_version()}
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    versions = {"torch": torch, "numpy": np, "opencv": cv2, "pillow": PIL}
    return found | {name: str(module.__version__) for name, module in versions.items()}


def processor() -> str:
    """Name of the CPU."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def summary(
    what: str, size: Sequence[int], device: torch.device, pair: Pair, sides: tuple[Side, Side], against: str = "eager"
) -> dict[str, Any]:
    """Give the numbers of one run: seconds a unit, quartiles, ratio of the medians, bytes. `against`: whom."""
    result: dict[str, Any] = {"what": what, "against": against, "unit": pair.unit, "size": list(size)}
    result["device"] = device.type
    for name, side in zip(("baseline", "ours"), sides, strict=True):
        low, median, high = np.percentile([s / pair.amount for s in side.seconds], [25, 50, 75])
        result[name] = {"median": median, "low": low, "high": high, "memory": side.memory, "per_second": 1 / median}
    result["ratio"] = result["baseline"]["median"] / result["ours"]["median"]
    return result | {"hardware": hardware(device), "command": " ".join(sys.argv)}


def add_operations(result: dict[str, Any], pair: Pair, rates: dict[str, float]) -> None:
    """Add to a result the operations a unit of both sides, and their rate as a share of the machine's best."""
    result["best_rates"] = rates
    for name, call in (("baseline", pair.baseline), ("ours", pair.ours)):
        side, count = result[name], operations(call) / pair.amount
        side |= {"operations": count, "share": count / side["median"] / max(rates.values())}


def table(result: dict[str, Any]) -> str:
    """Write the numbers for a terminal."""
    size = "x".join(map(str, result["size"]))
    lines = [f"{result['what']}, {size}, on {result['device']}: ms per {result['unit']}", ""]
    lines.append(f"{'':<12}{'median':>10}{'quartiles':>20}{'memory':>12}")
    for name, title in (("baseline", result["against"]), ("ours", "ours")):
        side = result[name]
        spread = f"{1e3 * side['low']:.2f} - {1e3 * side['high']:.2f}"
        memory = f"{side['memory'] / 2**20:.0f} MiB" if side["memory"] else "-"
        line = f"{title:<12}{1e3 * side['median']:>10.2f}{spread:>20}{memory:>12}"
        if "share" in side:
            line += f"   {side['operations'] / 1e9:.1f} G operations, {100 * side['share']:.0f} % of the machine's best"
        lines.append(line)
    lines += ["", f"ratio {result['ratio']:.2f}", ""]
    return "\n".join(lines + [", ".join(f"{key} {value}" for key, value in result["hardware"].items())])
