"""What the bits of a result depend on beside code and data: versions, processor or GPU, threads."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

import torch


def facts(device: torch.device) -> dict[str, str]:
    """Tell what computes here, for a file of record: {what: as text}."""
    on_gpu = device.type == "cuda"
    return {
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "processor": torch.cuda.get_device_name(device) if on_gpu else processor(),
        "threads": str(torch.get_num_threads()),
    }


def processor() -> str:
    """Name the CPU by its maker and the instructions that torch computes with: other ones round sums otherwise."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    makers = [line.partition(":")[2].strip() for line in lines if line.startswith(("vendor_id", "CPU implementer"))]
    return f"{makers[0] if makers else platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Say what of `then` is another now, as text; empty where nothing is. What was not recorded is not compared."""
    odd = [f"{what} {then[what]} -> {now[what]}" for what in now if what in then and then[what] != now[what]]
    return ", ".join(odd)
