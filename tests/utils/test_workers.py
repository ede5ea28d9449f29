"""Processes of tasks end with the one that has started them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Starts a process as `in_processes` does, which waits for work that never comes. Not a fork of this process: it has
# threads, whose locks a fork would keep for ever.
STARTS = """
import multiprocessing, os, time
from utils import workers

def waits():
    workers._start()
    print(os.getpid(), flush=True)
    time.sleep(60)

multiprocessing.get_context("fork").Process(target=waits).start()
time.sleep(60)
"""


@pytest.mark.run
def test_they_end_with_a_parent_that_is_killed() -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", STARTS], cwd=root, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) != parent.pid
        parent.kill()
        rest, _ = parent.communicate(timeout=20)  # until the pipe is closed: its last holder has gone
    assert rest == ""
