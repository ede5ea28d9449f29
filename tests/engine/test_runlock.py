"""One folder, one run: who is refused, with which line, and that the dead hold nothing."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from engine import runlock
from engine.runlock import NAME, FolderLock
from utils.errors import UserError


def refusal(folder: Path) -> str:
    """What a second one is told; empty where it is let in."""
    lock = FolderLock()
    try:
        lock.take(folder, "python second.py")
    except UserError as error:
        return str(error)
    lock.release()
    return ""


def test_the_second_is_told_of_the_first(tmp_path: Path) -> None:
    with FolderLock() as lock:
        assert lock.take(tmp_path / "run", "python train.py --lr 1\n--x") == ""
        line = refusal(tmp_path / "run")
        assert f"{tmp_path / 'run'} is in use by process {os.getpid()} on {socket.gethostname()} since 20" in line
        assert "python train.py --lr 1 --x; wait for its end, or give another folder" in line and "\n" not in line
    assert refusal(tmp_path / "run") == ""


def test_twice_released_is_no_error(tmp_path: Path) -> None:
    lock = FolderLock()
    lock.release()
    lock.take(tmp_path, "")
    lock.release()
    lock.release()
    assert (tmp_path / NAME).read_bytes() == b""


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "host": 2, "started": 3, "command": 4}'])
def test_a_holder_that_has_not_signed(tmp_path: Path, content: str) -> None:
    with FolderLock() as lock:
        lock.take(tmp_path, "x")
        (tmp_path / NAME).write_text(content)
        assert "is in use by another process" in refusal(tmp_path)


def test_a_machine_that_is_gone(tmp_path: Path) -> None:
    with FolderLock() as lock:
        lock.take(tmp_path, "x")
        told = {"pid": 1, "host": "far", "started": "then", "command": "x"}
        (tmp_path / NAME).write_text(json.dumps(told))
        assert f"(delete {tmp_path / NAME} if that machine is gone for ever)" in refusal(tmp_path)


@pytest.mark.parametrize(("host", "said"), [("far", True), (socket.gethostname(), False)])
def test_a_machine_that_was_lost(tmp_path: Path, host: str, said: bool) -> None:
    """Its lock is gone, or no lock reaches from there to here: who comes next is told of it, once."""
    told = {"pid": 1, "host": host, "started": "then", "command": "x"}
    (tmp_path / NAME).write_text(json.dumps(told))
    for wanted in (said, False):
        with FolderLock() as lock:
            note = lock.take(tmp_path, "y")
        line = (
            f"note: process 1 on far since then: x was the last in {tmp_path}, and did not end by itself: if it still"
        )
        assert note.startswith(line) if wanted else note == ""


@pytest.mark.parametrize("how", ["killed", "ended without a release"])
def test_the_dead_hold_nothing(tmp_path: Path, how: str) -> None:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        FolderLock().take(tmp_path, "child")
        os.write(write, b"x")
        if how == "killed":
            signal.pause()
        os._exit(0)
    os.read(read, 1)
    if how == "killed":
        assert "child" in refusal(tmp_path)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert refusal(tmp_path) == ""


def test_a_forked_child_does_not_hold_it(tmp_path: Path) -> None:
    """As a loader process that outlives its killed parent for some seconds."""
    lock = FolderLock()
    lock.take(tmp_path, "parent")
    (read, write), (heard, said) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(write)
        os.write(said, b"x")
        os.read(read, 1)  # until the parent is done
        os._exit(0)
    os.read(heard, 1)
    os.close(lock._file)  # as the kernel does for a process that is killed
    lock._file = -1
    assert refusal(tmp_path) == ""
    os.close(write)
    os.waitpid(child, 0)


def test_child_leaves_the_lock_of_its_parent(tmp_path: Path) -> None:
    with FolderLock() as lock:
        lock.take(tmp_path, "parent")
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        assert "parent" in refusal(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(file: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(runlock.fcntl, "flock", flock)
    with FolderLock() as lock:
        note = lock.take(tmp_path, "x")
    assert note.startswith(f"warning: {tmp_path} cannot be locked (") and "nobody is told of a second run" in note


def test_the_lock_of_a_batch_script_is_another(tmp_path: Path) -> None:
    """Its job holds `lock` while the run holds its own."""
    with open(tmp_path / "lock", "w") as stream:
        runlock.fcntl.flock(stream, runlock.fcntl.LOCK_EX)
        assert refusal(tmp_path) == ""
