"""Files: whole or not at all, with the user's permissions, and the right advice where they cannot be written."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datasets.centroidstore import Part, Store
from engine import checkpoint
from engine.log import RunLog
from slurm import script
from utils import files
from utils.errors import UserError

FULL = {errno.ENOSPC, errno.EDQUOT}


@pytest.mark.parametrize("number", [*files.ADVICE, errno.EPROTO, errno.ENODEV])
def test_a_full_disk_alone_is_called_full(number: int) -> None:
    error = OSError(number, os.strerror(number))
    text = str(files.cannot_write(Path("x.csv"), error))
    assert text.startswith(f"cannot write x.csv: {os.strerror(number)}; ")
    assert ("free some" in text) == (number in FULL)


def test_what_torch_hides_is_found() -> None:
    error = RuntimeError("unexpected pos 64 vs 0")
    error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert files.reason(error) == "No space left on device" and "free some space" in files.advice(error)
    assert files.reason(RuntimeError("a\nb")) == "a" and "space" not in files.advice(RuntimeError("a"))


@pytest.mark.parametrize("shared", [False, True])
def test_whole_or_not_at_all(tmp_path: Path, shared: bool) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="full"), files.whole(path, shared=shared) as stream:
        stream.write(b"ne")
        raise OSError(errno.ENOSPC, "full")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.csv", b"old")]
    with files.whole(path, durable=True, shared=shared) as stream:
        stream.write(b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.csv", b"new")]


def test_what_a_full_disk_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    files.write_file(tmp_path / "sub/a.png", b"old")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="cannot write .*a.png: No space left on device; free some space"):
        files.write_file(tmp_path / "sub/a.png", b"new")
    assert [(p.name, p.read_bytes()) for p in (tmp_path / "sub").iterdir()] == [("a.png", b"old")]


def write_cache(path: Path) -> None:
    note = Store(path.parent, path.name).save(Part.of(np.zeros(1, np.int64), [(np.zeros((1, 3)), np.ones(2))]))
    assert not note
    next(path.parent.glob("*.npz")).rename(path)


def write_log(path: Path) -> None:
    log = RunLog(path.parent, name=path.name)
    log.line("hello")
    log.close()


WRITERS: dict[str, Callable[[Path], object]] = {
    "picture": lambda path: files.write_file(path, b"x"),
    "row": lambda path: files.append(path, "x"),
    "checkpoint": lambda path: checkpoint.save({"net": {"w": torch.zeros(1)}}, path),
    "cache": write_cache,
    "log": write_log,
}


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
@pytest.mark.parametrize("kind", WRITERS)
def test_permissions_are_those_of_the_umask(tmp_path: Path, kind: str, umask: int) -> None:
    before = os.umask(umask)
    try:
        WRITERS[kind](tmp_path / "file")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_whoever_may_read_a_batch_script_may_run_it(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = script.write(script.Job("a", tmp_path / "run", "true", False, script.Resources(), {}), script.Cluster())
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o777 & ~umask


def test_a_batch_script_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of one would be kept by all later starts."""
    monkeypatch.setattr(files.os, "replace", lambda *names: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        script.write(script.Job("a", tmp_path / "run", "true", False, script.Resources(), {}), script.Cluster())
    assert not any((tmp_path / "run").iterdir())


def test_halves_of_a_killed_process(tmp_path: Path) -> None:
    for name in ("old.part", "new.part", "other"):
        (tmp_path / name).touch()
    os.utime(tmp_path / "old.part", (1, 1))
    os.utime(tmp_path / "other", (1, 1))
    (tmp_path / "clock").touch()
    files.remove_halves(tmp_path, tmp_path / "clock")
    assert {path.name for path in tmp_path.iterdir()} == {"new.part", "other", "clock"}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENOSPC])
def test_checkpoints_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(content: object, stream: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(UserError, match="earlier checkpoints are intact") as caught:
        checkpoint.save({"net": {}}, tmp_path / "a.pth")
    assert files.ADVICE[number] in str(caught.value) and not list(tmp_path.iterdir())


class Full(io.StringIO):
    """A stream to a disk without space."""

    def write(self, text: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """As a buffer that cannot be emptied does."""
        if not self.closed:
            super().close()
            self.write("")


def test_a_full_disk_does_not_stop_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """train.log and tensorboard's file: one line each."""
    log = RunLog(tmp_path)
    events: Any = log.trackers["tensorboard"].writer.file_writer.event_writer  # type: ignore[union-attr]
    events._ev_writer._py_recordio_writer._writer = Full()
    log._file = Full()
    for step in range(30):  # more than tensorboard's queue takes
        log.scalars({"loss": 1.0}, step)
        log.line(f"step {step}")
    log.close()
    out, err = capsys.readouterr()
    assert out.count("step ") == 30 and "Traceback" not in err
    assert err.count("train.log lacks lines: No space left on device; free some space") == 1
    assert out.count("warning: nothing more for tensorboard: No space left on device") == 1
    events.close()  # as the package does once more at the interpreter's end


def test_a_row_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(UserError, match="cannot write /dev/full: No space left on device; free some space"):
        files.append(Path("/dev/full"), "val,mean_iu,0.1\n")


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    files.write_file(tmp_path / "a" / "b.png", b"x")
    assert (tmp_path / "a" / "b.png").read_bytes() == b"x"
    with pytest.raises(UserError, match="cannot write"):
        files.write_file(tmp_path / "a" / "b.png" / "c.png", b"x")


def test_a_new_name_is_on_the_disk_before_what_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a disk that does renames and removals in another order loses both files with its power."""
    done: list[str] = []
    sync, replace = os.fsync, os.replace
    kind = lambda handle: "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"  # noqa: E731
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append(f"sync {kind(handle)}"), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("rename"), replace(*names)))
    monkeypatch.setattr(os, "unlink", lambda path: done.append(f"remove {Path(path).name}"))
    (tmp_path / "last_checkpoint_ep0.pth").touch()
    checkpoint.save_last({"net": {}}, tmp_path, 1)
    assert done == ["sync file", "rename", "sync folder", "remove last_checkpoint_ep0.pth"]


@pytest.mark.parametrize(("number", "fails"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_folders_that_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fails: bool
) -> None:
    def refuse(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError, match="the disk, or the network to it, fails") if fails else nullcontext():
        checkpoint.save({"net": {}}, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").exists()


@pytest.mark.parametrize("done", [True, False])
def test_a_rename_that_is_asked_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: bool) -> None:
    """The answer of a network's disk is lost, it is asked again, and has no such file any more."""
    replace = os.replace

    def twice(old: Path, new: Path) -> None:
        if done:
            replace(old, new)
        else:
            os.unlink(old)
        replace(old, new)

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", twice)
    with nullcontext() if done else pytest.raises(UserError, match="No such file"):
        files.write_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == (b"new" if done else b"old")


def test_a_folder_that_takes_no_lock(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write .*missing: "), files.locked(tmp_path / "missing", ""):
        pass
