"""Processes that end before their time: what became of them, as far as their exit codes tell."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
from pathlib import Path

_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP)
_SHARED = Path("/dev/shm")


# What torch and the system say where file handles or shared memory run out while pictures pass between processes.
_SHORTAGES = {
    "ancdata": "raise the limit of open files (ulimit -n 65536)",
    "Too many open files": "raise the limit of open files (ulimit -n 65536)",
    "shared memory": f"enlarge {_SHARED} (docker: --shm-size 8g)",
    "/torch_": f"enlarge {_SHARED} (docker: --shm-size 8g)",
}


def shortage(error: RuntimeError) -> str:
    """Give the line about what the processes lack that pass pictures on; "" for any other error."""
    text = " ".join(str(error).split())
    cure = next((cure for sign, cure in _SHORTAGES.items() if sign in text), "")
    return f"pictures cannot pass from process to process ({text[-120:]}): {cure}, or use --num_workers 0" * bool(cure)


def fate(code: int, fewer: str = "start fewer of them") -> str:
    """Tell why a process has ended with `code`, counted as `Process.exitcode` does (-9: by SIGKILL), and what to do.

    `fewer`: what to tell where there are too many of them.
    """
    if code >= 0:
        return f"(exit code {code}): what it printed says why; else {fewer}"
    number = -code
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if number == signal.SIGKILL:
        return f"({name}): as a rule memory ran out, and the system ended it; {fewer}, or give the job more memory"
    if number == signal.SIGBUS:
        room = f" of {shutil.disk_usage(_SHARED).total >> 20} MiB" if _SHARED.is_dir() else ""
        return f"({name}): as a rule {_SHARED}{room} is full; enlarge it (docker: --shm-size 8g), or {fewer}"
    if number in _CRASHES:
        return f"({name}): a library crashed, over a damaged file perhaps; if it comes again, look for the file"
    return f"({name}): somebody ended it; start again"


def end_with_parent() -> None:
    """End this process when the one that has started it is gone, be it killed: else it waits for work for ever."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
