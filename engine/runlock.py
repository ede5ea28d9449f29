"""One folder, one run: who works in a folder holds its lock, and who comes second is told of whom.

The lock is the system's: it goes with its process, however that ends, and on a network's file system with its machine.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from utils import textfile
from utils.errors import UserError

try:
    import fcntl
except ImportError:  # no such locks on this system
    fcntl = None

NAME = "run.lock"  # not `lock`, which a batch script holds for the whole of its job


class FolderLock:
    """Holds a folder from `take` to `release`; before and after it holds nothing."""

    def __init__(self) -> None:
        self._file = -1

    def take(self, folder: Path, command: str, name: str = NAME) -> str:
        """Hold `folder`, made if it is not there. UserError that names who does already.

        Gives a line for the log where there are no locks, or where one of another machine has not ended by itself, else
        nothing. A folder that cannot be made or written is left to whoever writes there.
        """
        path = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            held = _lock(self._file)
        except OSError as error:
            self._close()
            return f"warning: {folder} cannot be locked ({error.strerror}): nobody is told of a second run in it"
        if not held:
            self._close()
            who, away = _holder(path)
            cure = f" (delete {path} if that machine is gone for ever)" if away else ""
            raise UserError(f"{folder} is in use by {who}{cure}; wait for its end, or give another folder")
        os.register_at_fork(after_in_child=self._close)  # a forked child would hold it for as long as it lives
        before, away = _holder(path)
        self._sign(command)
        if not away:
            return ""
        return f"note: {before} was the last in {folder}, and did not end by itself: if it still runs, stop one"

    def _sign(self, command: str) -> None:
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "started": started, "command": command}
        with suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps(holder).encode() + b"\n", 0)

    def release(self) -> None:
        """Let others in. Twice is no error."""
        if self._file >= 0 and fcntl is not None:
            with suppress(OSError):
                os.ftruncate(self._file, 0)
            # Closing alone would not do while a process between fork and exec has the file open.
            with suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_UN)
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()


def _lock(file: int) -> bool:
    """Take the lock of an open file; False where somebody else has it. OSError where there are no locks."""
    if fcntl is None:
        raise OSError(0, "this system has no such locks")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _holder(path: Path) -> tuple[str, bool]:
    """Tell who holds a lock, or held it last, as far as its file tells, and whether that is on another machine."""
    try:
        holder = textfile.read_json(path)
        who = f"process {holder['pid']} on {holder['host']} since {holder['started']}"
        away = holder["host"] != socket.gethostname()
        who += f": {' '.join(holder['command'].split())}" if holder["command"] else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "another process", False
    return who, away
