"""Disks that fail: in this process under Python's own calls, from a chosen one on, or a small one that is mounted."""

from __future__ import annotations

import builtins
import errno
import io
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

CALLS = ("create", "write", "rename", "remove", "sync", "mkdir")
FAULTS: dict[str, tuple[int, tuple[str, ...]]] = {  # what the system says, and to which calls
    "full": (errno.ENOSPC, ("create", "write", "mkdir")),
    "quota": (errno.EDQUOT, ("create", "write", "mkdir")),
    "read-only": (errno.EROFS, CALLS),
    "no permission": (errno.EACCES, ("create", "rename", "remove", "mkdir")),
    "broken": (errno.EIO, ("write", "sync")),
}


class Disk:
    """Below `folder`, calls that `fault` fails do so from the `first` of them on; `None`: they are counted alone.

    What is written first goes in half. `log`: calls so far, with the names of their files.
    """

    def __init__(self, folder: Path, fault: str = "full", first: int | None = None) -> None:
        self._folder, (self._number, self._calls), self._first = str(folder), FAULTS[fault], first
        self.count, self.log, self._lock = 0, [], threading.Lock()

    def act(self, call: str, path: object) -> bool:
        """Take note of a call; whether it fails."""
        with self._lock:
            self.log.append((call, Path(str(path)).name))
            self.count += call in self._calls
            return self._first is not None and call in self._calls and self.count > self._first

    def error(self, path: object) -> OSError:
        """What the system says."""
        return OSError(self._number, os.strerror(self._number), str(path))

    def has(self, path: object) -> bool:
        """Whether this disk holds a file, named by path or handle."""
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        return os.path.abspath(os.fsdecode(path)).startswith(self._folder)  # type: ignore[arg-type]


D = TypeVar("D", bound=Disk)


class _Raw(io.FileIO):
    disk: Disk

    def write(self, data: Any) -> int:
        """Half of it where the disk fails within."""
        if self.disk.act("write", self.name):
            raise self.disk.error(self.name)
        return super().write(data)


@contextmanager
def failing(disk: D) -> Iterator[D]:
    """Let what this process does below the disk's folder go through it."""
    opened, patch = io.open, pytest.MonkeyPatch()

    def open_here(file: Any, mode: str = "r", buffering: int = -1, *text: Any, **more: Any) -> Any:
        if not set(mode) & set("wax+") or not disk.has(file):
            return opened(file, mode, buffering, *text, **more)
        if not os.path.exists(file) and disk.act("create", file):
            raise disk.error(file)
        raw = _Raw(file, mode.replace("b", "").replace("t", ""))
        raw.disk = disk
        if buffering == 0:
            return raw
        buffer = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, *text, **more)

    def guarded(name: str, call: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def attempt(path: Any, *more: Any, **named: Any) -> Any:
            if disk.has(path) and disk.act(call, path):
                raise disk.error(path)
            return real(path, *more, **named)

        return attempt

    names = {"replace": "rename", "rename": "rename", "unlink": "remove", "remove": "remove", "fsync": "sync"}
    for name, call in (names | {"mkdir": "mkdir"}).items():
        patch.setattr(os, name, guarded(name, call))
    patch.setattr(io, "open", open_here)
    patch.setattr(builtins, "open", open_here)
    try:
        yield disk
    finally:
        patch.undo()


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Callable[[str], None]]:
    """Mount a disk of so many bytes in memory; gives what mounts it anew with other options. Skips where none may."""
    folder.mkdir()

    def mount(options: str) -> None:
        kind = ["-t", "tmpfs", "-o", options, "tmpfs"] if "remount" not in options else ["-o", options]
        found = subprocess.run(["mount", *kind, str(folder)], capture_output=True, text=True)
        if found.returncode:
            pytest.skip(f"no disk can be mounted here: {found.stderr.strip()}")

    try:
        mount(f"size={size}")
    except FileNotFoundError:
        pytest.skip("no command mounts disks here")
    try:
        yield mount
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
