"""Who writes a run's checkpoints: a thread or the training, with the same files in the same order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import checkpoint, saving
from engine.log import RunLog
from engine.runlock import FolderLock
from engine.saving import Saver
from engine.session import Run
from utils.errors import UserError


def state(epoch: int, iteration: int = 0) -> dict[str, Any]:
    return {"net": {"w": torch.full((1000,), float(epoch))}, "epoch": epoch, "iteration": iteration}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Gate:
    """Holds `checkpoint.save` back until it is opened, as a slow disk does."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.opened, self.entered, self.threads = threading.Event(), threading.Event(), set()
        self._real = checkpoint.save
        patch.setattr(checkpoint, "save", self._save)

    def _save(self, *given: Any) -> None:
        self.threads.add(threading.current_thread())
        self.entered.set()
        assert self.opened.wait(20)
        self._real(*given)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    found = Gate(monkeypatch)
    yield found
    found.opened.set()


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path: Path, gate: Gate) -> None:
    took: list[float] = []
    saver, content = Saver(tmp_path, beside=True, took=took.append), state(0)
    saver.last(content, 0)
    assert gate.entered.wait(20)
    content["net"]["w"].fill_(9)
    content["epoch"] = 9
    saver.check()
    assert names(tmp_path) == [] and took == []
    gate.opened.set()
    saver.wait()
    found = checkpoint.load(tmp_path / "last_checkpoint_ep0.pth")
    assert found["epoch"] == 0 and found["net"]["w"].eq(0).all() and len(took) == 1
    assert threading.current_thread() not in gate.threads


@pytest.mark.parametrize("beside", [False, True])
def test_files_their_order_and_what_is_pruned(tmp_path: Path, beside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same both ways, one at a time."""
    order: list[str] = []
    real = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda content, path: (order.append(path.name), real(content, path)))
    saver = Saver(tmp_path, every=2, beside=beside)
    for epoch in range(4):
        saver.last(state(epoch), epoch)
        if epoch != 2:
            saver.best(state(epoch), epoch)
    saver.last(state(3, iteration=5), 4)
    kinds = [("last", 0), ("best", 0), ("last", 1), ("best", 1), ("last", 2), ("last", 3), ("best", 3), ("last", 4)]
    assert order == [f"{kind}_checkpoint_ep{epoch}.pth" for kind, epoch in kinds]
    wanted = ["best_checkpoint_ep3", "checkpoint_ep1", "checkpoint_ep3", "last_checkpoint_ep4"]
    assert names(tmp_path) == [f"{name}.pth" for name in wanted]
    assert checkpoint.load(tmp_path / "checkpoint_ep1.pth")["epoch"] == 1


def test_the_copy_is_in_the_file_to_the_byte(tmp_path: Path) -> None:
    for beside in (False, True):
        (tmp_path / str(beside)).mkdir()
        saver = Saver(tmp_path / str(beside), beside=beside)
        saver.last(state(3), 3)
        saver.wait()
    one, other = ((tmp_path / way / "last_checkpoint_ep3.pth").read_bytes() for way in ("False", "True"))
    assert one == other


def test_a_stop_waits_for_its_checkpoint(tmp_path: Path) -> None:
    """Within an epoch: who hears that the run has stopped finds the file."""
    Saver(tmp_path, beside=True).last(state(0, iteration=3), 1)
    assert names(tmp_path) == ["last_checkpoint_ep1.pth"]


CALLS: dict[str, Callable[[Saver], object]] = {
    "the next save": lambda saver: saver.last(state(2), 2),
    "the next best": lambda saver: saver.best(state(1), 1),
    "the end": lambda saver: saver.wait(),
    "the next line": lambda saver: saver._pending.exception() and saver.check(),  # type: ignore[union-attr]
}


@pytest.mark.parametrize("call", CALLS)
def test_a_write_that_failed_is_one_line(tmp_path: Path, call: str) -> None:
    """Raised once, in the training, with the file's name; earlier checkpoints stay."""
    saver = Saver(tmp_path, beside=True)
    saver.last(state(0), 0)
    saver.wait()
    (tmp_path / "last_checkpoint_ep1.pth.part").mkdir()
    saver.last(state(1), 1)
    with pytest.raises(UserError, match="could not write .*last_checkpoint_ep1.pth: Is a directory; .*--resume auto"):
        CALLS[call](saver)
    assert saver.close() == ""
    assert checkpoint.newest(tmp_path)[0] == tmp_path / "last_checkpoint_ep0.pth"


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory")]
)
def test_memory_that_runs_out_in_a_write_is_no_matter_of_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(state: dict[str, Any]) -> int:
        raise error

    saver = Saver(tmp_path, beside=True)
    saver.last(state(0), 0)
    saver.wait()
    monkeypatch.setattr(checkpoint, "checksum", fails)
    saver.last(state(1), 1)
    with pytest.raises(UserError, match="could not write .*ep1.pth: .*memory.* is full: end other programs.*intact"):
        saver.wait()
    assert names(tmp_path) == ["last_checkpoint_ep0.pth"]


def test_a_run_that_fails_elsewhere_still_has_its_checkpoint(tmp_path: Path, gate: Gate) -> None:
    saver = Saver(tmp_path, beside=True)
    saver.last(state(0), 0)
    threading.Timer(0.05, gate.opened.set).start()
    assert saver.close() == "" and names(tmp_path) == ["last_checkpoint_ep0.pth"]
    (tmp_path / "last_checkpoint_ep1.pth.part").mkdir()
    saver.last(state(1), 1)
    assert "could not write" in saver.close()


def test_the_folder_is_held_while_a_thread_writes(tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops the wait too, by a third Ctrl-C: a run that came into the folder would lose what it writes."""
    run: Any = Run.__new__(Run)
    run.log, run.lock, run.saver = RunLog(tmp_path, main=False), FolderLock(), Saver(tmp_path, beside=True)
    run.lock.take(tmp_path, "x")
    run.saver.last(state(0), 0)
    with monkeypatch.context() as patch:
        patch.setattr(Future, "result", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run.close()
    with pytest.raises(UserError, match="is in use by process"):
        FolderLock().take(tmp_path, "y")
    gate.opened.set()
    run.saver._thread.shutdown()
    with FolderLock() as other:
        other.take(tmp_path, "y")


@pytest.mark.parametrize("why", ["counted", "refused"])
def test_a_copy_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """Said once; training waits from then on."""

    def refuse(self: Any, content: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    if why == "counted":
        monkeypatch.setattr(saving, "available", lambda device: 4000)
    else:
        monkeypatch.setattr("engine.hostcopy.HostCopy.take", refuse)
    said: list[str] = []
    saver = Saver(tmp_path, beside=True, say=said.append)
    for epoch in range(2):
        saver.last(state(epoch), epoch)
        assert names(tmp_path) == [f"last_checkpoint_ep{epoch}.pth"]
    (line,) = said
    assert "training waits for its checkpoints: a copy of one takes 0.0 MiB" in line


def test_notes_of_the_thread_are_said_by_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, threading.Thread]] = []
    saver = Saver(tmp_path, beside=True, say=lambda line: said.append((line, threading.current_thread())))
    (tmp_path / "last_checkpoint_ep0.pth").mkdir()  # which cannot be removed as a file
    saver.last(state(1), 1)
    saver.wait()
    ((line, thread),) = said
    assert "last_checkpoint_ep0.pth cannot be removed" in line and thread is threading.current_thread()


@pytest.mark.parametrize(("epoch", "kept"), [(0, False), (1, True), (-1, False)])
def test_what_was_to_be_kept_before_a_kill(tmp_path: Path, epoch: int, kept: bool) -> None:
    saver = Saver(tmp_path, every=2)
    path = checkpoint.save_last(state(epoch), tmp_path, max(0, epoch))
    saver.complete(path, epoch)
    assert (tmp_path / f"checkpoint_ep{epoch}.pth").exists() == kept
    other = Saver(tmp_path / "other", every=2)
    other.complete(path, epoch)  # of a run elsewhere, which this one goes on from
    assert not (tmp_path / "other").exists()


def test_what_was_to_be_removed_before_a_kill(tmp_path: Path) -> None:
    """Between the writing of the last and the best checkpoint and the removal of those that they replace."""
    for name in ("last_checkpoint_ep0.pth", "checkpoint_ep1.pth.part", "best_checkpoint_ep0.pth", "checkpoint_ep0.pth"):
        (tmp_path / name).touch()
    for name in ("last", "best"):
        checkpoint.save(state(1), tmp_path / f"{name}_checkpoint_ep1.pth")
    Saver(tmp_path).complete(tmp_path / "last_checkpoint_ep1.pth", 1)
    left = {"last_checkpoint_ep1.pth", "best_checkpoint_ep1.pth", "checkpoint_ep0.pth"}
    assert {path.name for path in tmp_path.iterdir()} == left
