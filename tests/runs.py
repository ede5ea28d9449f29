"""Command lines of runs in tests, and what the runs left in their folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from forked import Process, ranks

import train
from engine.checkpoint import load
from engine.log import RunLog
from utils.cli import start

ROOT = Path(__file__).parents[1]


def folder(words: Sequence[str]) -> Path:
    """Run folder of a command line."""
    return Path(words[list(words).index("--result_dir") + 1])


def placed(words: Sequence[str], run: Path) -> list[str]:
    """The same command line with another run folder."""
    new = list(words)
    new[new.index("--result_dir") + 1] = str(run)
    return new


def into(words: Sequence[str], name: str) -> list[str]:
    """The same command line with a run folder beside the other one."""
    return placed(words, folder(words).with_name(name))


def copied(words: Sequence[str], place: Path) -> list[str]:
    """The command line of a run whose folder is a copy, `place`/run."""
    shutil.copytree(folder(words), place / "run")
    return placed(words, place / "run")


def last(words: Sequence[str]) -> dict:
    """The last checkpoint of a run."""
    (path,) = folder(words).glob("last_checkpoint_ep*.pth")
    return load(path)


def rows(words: Sequence[str], phase: str) -> list[dict[str, float]]:
    """Rows of metrics.csv without their times, of each epoch the last."""
    found = RunLog(folder(words), main=False).history(phase)
    return [{key: value for key, value in row.items() if key != "timestamp"} for row in found]


def assert_same_end(one: Sequence[str], other: Sequence[str]) -> None:
    """Weights, optimizer and loss curve are equal to the last bit."""
    a, b = last(one), last(other)
    assert a["step"] == b["step"] > 0
    for name, value in a["net"].items():
        assert torch.equal(value, b["net"][name]), name
    for index, slots in a["optimizer"]["state"].items():
        for name, value in slots.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(b["optimizer"]["state"][index][name]))
    assert rows(one, "train") == rows(other, "train")
    assert rows(one, "val")[-1] == rows(other, "val")[-1]


def python(words: Sequence[str], *launcher: str, session: bool = False) -> subprocess.Popen[str]:
    """train.py as a process; `session`: with a process group of its own."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = [*(launcher or (sys.executable,)), "train.py", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=ROOT, env=env, text=True, start_new_session=session, **pipes)


def torchrun(processes: int) -> list[str]:
    """Launcher for several processes on this machine."""
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]


def train_on_command(words: list[str]) -> int:
    """What the file train.py does as a script."""
    return start(train.main)


def forked(words: Sequence[str]) -> Process:
    """train.py as a process that need not import torch."""
    return Process(train_on_command, words, os.environ | {"OMP_NUM_THREADS": "1"})


def on_ranks(words: Sequence[str], world: int = 2) -> list[Process]:
    """train.py as the processes that a launcher starts."""
    return ranks(train_on_command, words, world)


def finish(*processes: subprocess.Popen[str] | Process) -> str:
    """Output of processes that have to succeed."""
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes), outputs
    return "".join(outputs)
