"""Who writes the checkpoints of a run: a thread, from a copy, while training goes on, or the training itself.

Either way they are written one by one in the order of the training, each is pruned behind the one that takes its place,
and a run does not end, nor say that it has stopped, before the last of them is on the disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from yacs.config import CfgNode

from engine import checkpoint
from engine.hostcopy import HostCopy
from engine.state import Spent
from inference.memory import SHARE, available, is_out_of_memory
from utils.errors import UserError

State = Mapping[str, Any]
Say = Callable[[str], None]
Work = Callable[[State, Say], object]


class Saver:
    """Writes into `folder`, and keeps a checkpoint of each `every` epochs there, 0 for none.

    `beside`: a thread does. What a write of it fails with, its next call raises: a UserError of one line. `say` takes
    lines for the log, `took` the seconds of a write beside the training. Only the main rank calls it.
    """

    def __init__(
        self,
        folder: Path = Path(),
        every: int = 0,
        beside: bool = False,
        say: Say = print,
        took: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._folder, self._every, self._beside, self._say, self._took = folder, every, beside, say, took
        self._copy = HostCopy()
        self._thread = ThreadPoolExecutor(1, "checkpoints")  # starts with its first work
        self._pending: Future[tuple[float, list[str]]] | None = None

    def last(self, state: State, epoch: int) -> None:
        """Write the last checkpoint, and the one to keep. Within an epoch, where a run stops, it is waited for."""
        kept = self._kept(epoch) if state["iteration"] == 0 else None

        def work(content: State, say: Say) -> None:
            path = checkpoint.save_last(content, self._folder, epoch, say)
            if kept is not None:
                checkpoint.copy_as(path, kept)

        self._write(state, work)
        if state["iteration"]:
            self.wait()

    def best(self, state: State, epoch: int) -> None:
        """Write the best checkpoint."""
        self._write(state, lambda content, say: checkpoint.save_best(content, self._folder, epoch, say))

    def complete(self, start: Path, epoch: int) -> None:
        """Do what a kill came before, behind `start` of a whole epoch, from which a run goes on: keep a copy, prune."""
        if start.resolve().parent != self._folder.resolve():
            return
        kept = self._kept(epoch)
        if kept is not None and not kept.exists():
            checkpoint.copy_as(start, kept)
        if start.name.startswith("last_"):
            checkpoint.tidy(start, self._say)

    def check(self) -> None:
        """Raise what a write has failed with, if one has."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Return when nothing is left to write. UserError where that failed."""
        if self._pending is None:
            return
        try:
            seconds, notes = self._pending.result()
        finally:
            if self._pending.done():  # else somebody is stopping the wait
                self._pending = None
        self._took(seconds)
        for note in notes:
            self._say(note)

    def close(self) -> str:
        """Wait for what is being written, at the end of a run that may have failed; gives what that failed with."""
        try:
            self.wait()
        except UserError as error:
            return str(error)
        return ""

    def when_done(self, call: Callable[[], None]) -> None:
        """Call when nothing is being written any more: now, else the thread does behind its write."""
        if self._pending is None:
            call()
        else:
            self._pending.add_done_callback(lambda _: call())

    def _kept(self, epoch: int) -> Path | None:
        due = self._every and epoch >= 0 and (epoch + 1) % self._every == 0
        return self._folder / f"checkpoint_ep{epoch}.pth" if due else None

    def _write(self, state: State, work: Work) -> None:
        self.wait()  # for one copy there is memory
        copied = self._copied(state) if self._beside else None
        if copied is None:
            work(state, self._say)
        else:
            self._pending = self._thread.submit(_timed, work, *copied)

    def _copied(self, state: State) -> tuple[dict[str, Any], Callable[[], None]] | None:
        """Copy the state; None, once and for all, where it does not fit."""
        size, free = self._copy.lacks(state), available(torch.device("cpu"))
        if size <= SHARE * free:
            try:
                return self._copy.take(state)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
        self._beside, self._copy = False, HostCopy()
        self._say(
            f"note: training waits for its checkpoints: a copy of one takes {size / 2**20:.1f} MiB, and "
            f"{free / 2**20:.1f} MiB are free (--async_save false asks for no copy)"
        )
        return None


def _timed(work: Work, state: State, ready: Callable[[], None]) -> tuple[float, list[str]]:
    """Write what is copied; gives the seconds, and lines for the log."""
    notes: list[str] = []
    began = time.monotonic()
    ready()
    work(state, notes.append)
    return time.monotonic() - began, notes


def build(cfg: CfgNode, folder: Path, say: Say, spent: Spent) -> Saver:
    """Make the Saver that TRAIN asks for; it tells the budget how long it writes."""
    t = cfg.TRAIN
    return Saver(folder, t.SAVE_EVERY, t.ASYNC_SAVE, say, lambda seconds: spent.took.update(write=seconds))
