"""Files that appear whole or not at all, and what to tell of one that cannot be written."""

from __future__ import annotations

import csv
import errno
import io
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from utils.errors import MachineError
from utils.memory import ran_out

ELSEWHERE = "choose another folder"
MEMORY = "the machine's memory is full: end other programs, or ask for more of it"
STALE = 3600.0  # seconds after which nobody goes on with a half of a file
LOCK = ".lock"
# What helps against what the system says; only a full disk is called full.
ADVICE = {
    errno.ENOSPC: f"free some space or {ELSEWHERE}",
    errno.EDQUOT: f"free some of your quota or {ELSEWHERE}",
    errno.EACCES: f"change the permissions or {ELSEWHERE}",
    errno.EPERM: f"change the permissions or {ELSEWHERE}",
    errno.EROFS: f"it may only be read: {ELSEWHERE}",
    errno.EFBIG: f"a limit forbids files of this size (ulimit -f, or the file system): raise it or {ELSEWHERE}",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENAMETOOLONG: "shorten the name",
    errno.ENOENT: f"its folder is gone: make it again or {ELSEWHERE}",
    errno.ENOTDIR: f"a file stands where a folder has to be: {ELSEWHERE}",
    errno.EISDIR: f"a folder stands there: {ELSEWHERE}",
    errno.EIO: f"the disk, or the network to it, fails: have it looked at, or {ELSEWHERE}",
    errno.ESTALE: f"the network drive was exchanged: mount it again or {ELSEWHERE}",
}

_NO_SYNC = (errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS)  # of a folder, where the system has no such thing


def reason(error: BaseException) -> str:
    """Tell what the system said, in its words; torch hides it behind an error of its container."""
    cause = _of_the_system(error)
    if cause is not None:
        return str(cause.strerror)
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def advice(error: BaseException) -> str:
    """Tell what to do about a file that could not be written."""
    if ran_out(error):
        return MEMORY
    cause = _of_the_system(error)
    return ADVICE.get(cause.errno or 0, ELSEWHERE) if cause else ELSEWHERE


def _of_the_system(error: BaseException | None) -> OSError | None:
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return error
        error = error.__cause__ or error.__context__
    return None


def cannot_write(path: Path, error: BaseException) -> MachineError:
    """Give the one line about a file that could not be written."""
    return MachineError(f"cannot write {path}: {reason(error)}; {advice(error)}")


def opened(path: str | Path) -> BinaryIO:
    """Open a file to read its bytes. OSError for what is none: a pipe may hold its reader, a device never ends."""
    stream = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(errno.EINVAL, "it is no file, but a pipe or a device", str(path))
    return stream


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make a UserError of what the system says while `path` is written."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def whole(path: Path, durable: bool = False, shared: bool = False) -> Iterator[BinaryIO]:
    """Open a stream beside `path` that takes its place once the block has ended well, and is gone if it has not.

    Permissions are those that the user's umask gives. `durable`: on the disk, a power cut notwithstanding. `shared`:
    several processes may write this file at once, each its own. Raises what the system raises.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part" if shared else f"{path.name}.part")
    try:
        with open(part, "wb") as stream:
            yield stream
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
            identity = os.fstat(stream.fileno())
        _rename(part, path, identity)
        if durable:
            _sync(path.parent)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


@contextmanager
def folder_beside(out: Path) -> Iterator[Path]:
    """Make a folder beside `out` for what is on its way there; it is gone afterwards, with what is left in it.

    UserError where it cannot be made.
    """
    folder = out.with_name(f".{out.name}.tmp")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rename(part: Path, path: Path, identity: os.stat_result) -> None:
    """Rename, and believe no network's disk that asks a second time and is told of its own success: nothing there."""
    try:
        os.replace(part, path)
    except FileNotFoundError:
        if not (path.exists() and os.path.samestat(path.stat(), identity)):
            raise


def _sync(folder: Path) -> None:
    """Let a new name be on the disk before what comes next, which may be that the old file is removed."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder that may be written and not listed, or a system without this
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(handle)


@contextmanager
def locked(folder: Path, waiting: str, name: str = LOCK) -> Iterator[None]:
    """Hold a folder alone within the block; the lock goes with the process, however it ends.

    `waiting`: the line that is said where somebody else holds it. Where a system, or a network's disk, has no such
    locks, nobody waits. UserError where the folder takes no files.
    """
    with writing(folder):
        handle = open(folder / name, "a")
    with handle:
        with suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(waiting, file=sys.stderr, flush=True)
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError:
                pass
        yield


def remove_halves(folder: Path, clock: Path, pattern: str = "*.part") -> None:
    """Remove what processes that were killed have left of `shared` files, where nobody can be at work on it any more.

    `clock`: a file that was just touched there, since the disk's own clock tells its files' age.
    """
    for part in folder.glob(pattern):
        with suppress(OSError):
            if clock.stat().st_mtime - part.stat().st_mtime > STALE:
                part.unlink()


def write_file(path: Path, data: bytes) -> None:
    """Write `data`, whole or not at all, making the folder. UserError if it cannot be (full disk, no permission)."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as stream:
            stream.write(data)


def csv_text(rows: Iterable[Iterable[object]], end: str = "\n") -> str:
    """Write rows as the text of a CSV file, each line ended by `end`."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows(rows)
    return text.getvalue()


def append(path: Path, text: str) -> None:
    """Add `text` to a file as it stands, line ends included. UserError if it cannot be."""
    with writing(path), open(path, "a", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        stream.write(text)
