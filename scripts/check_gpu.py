"""What a job sees: versions, devices, free memory, NCCL, and whether its processes can talk to each other.

python scripts/check_gpu.py                                       this process
srun torchrun --nproc_per_node=8 scripts/check_gpu.py             every process of a job (more nodes: slurm/train.s)

The exit code is 1 if a check fails.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.distributed as dist

from evaluation.report import environment
from utils import distributed
from utils.cli import start
from utils.errors import UserError


def main() -> int:
    """Print the facts; gives the exit code."""
    if sys.argv[1:]:
        print(__doc__)
        return 0 if sys.argv[1] in ("-h", "--help") else 2
    try:
        ranks = distributed.init()
    except (UserError, RuntimeError) as error:
        print(f"error: the processes do not find each other: {error}", file=sys.stderr)
        return 1
    if ranks.is_main:
        print("\n".join(facts(ranks.device)))
    for place in sorted(ranks.gather(where(ranks))):
        if ranks.is_main:
            print(place)
    fault = talk(ranks)
    if ranks.is_main:
        print(fault or f"ok: {ranks.world} process(es), a sum over all of them is right")
    distributed.close()
    return int(bool(fault))


def facts(device: torch.device) -> list[str]:
    """List versions and the job's own description, a line each."""
    lines = [f"{name}: {value}" for name, value in environment(device).items()]
    lines.append(f"cores: {os.cpu_count()}")
    lines.append(f"built for CUDA: {torch.version.cuda or 'no'}; CUDA devices: {torch.cuda.device_count()}")
    if torch.cuda.is_available() and dist.is_nccl_available():
        lines.append(f"NCCL: {'.'.join(map(str, torch.cuda.nccl.version()))}")  # type: ignore[attr-defined]
    lines.append(f"driver: {driver()}")
    lines += [f"{name}: {os.environ[name]}" for name in sorted(os.environ) if name.startswith(("SLURM_JOB", "CUDA_V"))]
    return lines


def driver() -> str:
    """Find the version of the NVIDIA driver, or why it is not known."""
    if not shutil.which("nvidia-smi"):
        return "no nvidia-smi here"
    command = ["nvidia-smi", "--query-gpu=driver_version,name", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "; ".join(sorted(set((done.stdout or done.stderr).strip().splitlines())))


def where(ranks: distributed.DistributedContext) -> str:
    """Describe one process: its rank, host, device and free memory."""
    text = f"rank {ranks.rank:3d} of {ranks.world} on {socket.gethostname()}: {ranks.device}"
    if ranks.device.type != "cuda":
        return text
    free, total = torch.cuda.mem_get_info(ranks.device)
    props = torch.cuda.get_device_properties(ranks.device)
    return (
        f"{text}, {props.name}, compute {props.major}.{props.minor}, "
        f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free, bf16 {torch.cuda.is_bf16_supported()}"
    )


def talk(ranks: distributed.DistributedContext) -> str:
    """Add a number over all processes; gives what went wrong."""
    try:
        total = int(ranks.sum(torch.tensor(ranks.rank + 1, device=ranks.device)))
    except RuntimeError as error:
        return f"error: a sum over the processes failed: {error}"
    wanted = ranks.world * (ranks.world + 1) // 2
    return "" if total == wanted else f"error: a sum over the processes gave {total}, not {wanted}"


if __name__ == "__main__":
    sys.exit(start(main))
