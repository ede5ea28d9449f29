"""Processes of tasks end with the one that has started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection

import pytest

from utils import workers


def waits(sender: Connection) -> None:
    """A process as `in_processes` starts them, which waits for work that never comes."""
    workers._start()
    sender.send(os.getpid())
    time.sleep(60)


def starts(sender: Connection) -> None:
    """Starts such a process and is killed."""
    multiprocessing.get_context("fork").Process(target=waits, args=(sender,)).start()
    time.sleep(60)


def test_they_end_with_a_parent_that_is_killed() -> None:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    parent = context.Process(target=starts, args=(sender,))
    parent.start()
    sender.close()
    assert receiver.recv() != parent.pid
    assert parent.pid is not None
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    assert receiver.poll(20)  # the other end of the pipe is closed: its last holder has gone
    with pytest.raises(EOFError):
        receiver.recv()
