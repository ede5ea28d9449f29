"""Worker of tests/utils/test_watch.py: several processes, of which one no longer comes to where the others wait."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch

from engine.endings import explain
from utils import distributed
from utils.cli import exit_code
from utils.progress import progress


def stuck_here() -> None:
    """In Python."""
    time.sleep(600)


def busy_here() -> None:
    """In Python, at full speed."""
    while True:
        pass


def native() -> None:
    """In a function that lets no other thread run."""
    ctypes.PyDLL(None).sleep(600)


def stopped() -> None:
    """As by a debugger, or on a machine that is lost."""
    os.kill(os.getpid(), signal.SIGSTOP)


def slow() -> None:
    """At work, longer than the others would wait, with progress."""
    for _ in progress(range(12), "pieces", 12):
        time.sleep(0.5)


def frozen() -> None:
    """Stopped for longer than a store waits for an answer; behind that at work, longer than the others would wait."""
    time.sleep(1.5)  # in which all have heard of each other
    subprocess.Popen(["sh", "-c", f"sleep 1; kill -CONT {os.getpid()}"])
    stopped()
    slow()


def late() -> None:
    """Not at work, and yet in time."""
    time.sleep(1)


WAYS: dict[str, Callable[[], None]] = {
    way.__name__: way for way in (stuck_here, busy_here, native, stopped, slow, frozen, late)
}


def main(words: list[str]) -> int:
    """Send sums in which the process that `words` names takes its way before the third; a file takes the lines."""
    way, rank, file = WAYS[words[0]], int(words[1]), Path(words[2])
    os.environ["STREETSCALE_HANG_SECONDS"] = words[3]

    def work() -> None:
        ranks = distributed.init()
        for one in distributed._watching if words[0] == "frozen" else ():
            one.store.set_timeout(timedelta(seconds=0.5))
        distributed.on_hang(lambda text: file.with_name(f"{file.name}{ranks.rank}").write_text(text) and None)
        for step in range(4):
            if step == 2 and ranks.rank == rank:
                way()
            ranks.sum(torch.ones(3))

    try:
        return exit_code(work, explain=explain)
    finally:
        distributed.close()
