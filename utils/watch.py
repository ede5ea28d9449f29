"""Finds the process that the others wait for: names it, shows where it stands, and ends all of them with a line.

Each process tells the others, through the store at which they have met, how many messages it has sent so far. Who has
sent fewer than the others has not arrived where they wait; who tells nothing any more is lost. Torch itself would wait
for an hour, and would not say for whom.
"""

from __future__ import annotations

import faulthandler
import json
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import torch.distributed as dist

from utils import progress

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

SILENCE = "STREETSCALE_HANG_SECONDS"  # in the environment; 0: nobody watches
DEFAULT = 1800  # seconds
_LONGEST, _SHARE = 10.0, 8  # between two looks: seconds, and the share of the silence
_FEW = 64  # of more processes each looks less often
_TURNS = 4  # looks within which every process that lives answers
_END, _CODE = "end", 2


class Place(NamedTuple):
    """How far a process has come: messages sent, pieces of work done, and its looks at the others, which show that it
    lives; its machine."""

    sent: int
    done: int
    looks: int
    host: str

    @classmethod
    def of(cls, text: str) -> Place:
        """Read what `text` has written."""
        sent, done, looks, host = text.split(" ", 3)
        return cls(int(sent), int(done), int(looks), host)

    def text(self) -> str:
        """Write it."""
        return " ".join(map(str, self))


class Watch:
    """Two threads beside a process of several: one that talks with the others' and one that judges.

    `sent()`: messages that this process has sent to the others so far. `seconds`: the silence after which a process is
    said to hang. `say`: writes a text where it stays, on the main process.
    """

    def __init__(self, store: Store, rank: int, world: int, sent: Callable[[], int], seconds: float) -> None:
        self.store, self.rank, self.world, self.sent, self.seconds = store, rank, world, sent, seconds
        self.say: Callable[[str], None] = lambda text: None
        self._pause = min(_LONGEST * max(1, world / _FEW), seconds / _SHARE)
        self._closed, self._ending = threading.Event(), threading.Event()
        self._looks = 0
        self._places: dict[int, Place] = {}
        self._main = threading.main_thread().ident or 0
        self._forget()

    def _forget(self) -> None:
        """Begin anew: all are taken for alive and at work."""
        now = time.monotonic()
        self._own, self._still, self._talked = (0, 0), now, now
        others = [other for other in range(self.world) if other != self.rank]
        self._since = {(what, other): now for what in ("life", "work") for other in others}

    def start(self) -> Watch:
        """Begin to watch."""
        for work in (self._talk, self._judge):
            threading.Thread(target=work, name="watch", daemon=True).start()
        return self

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()
        faulthandler.cancel_dump_traceback_later()

    def _talk(self) -> None:
        """Tell how far this process is, and hear it of the others. The store may keep it waiting for ever."""
        host = socket.gethostname()
        while not self._closed.wait(self._pause):
            self._looks += 1
            try:
                self.store.set(str(self.rank), Place(self.sent(), progress.pieces_done(), self._looks, host).text())
                self._listen()
                self._talked = time.monotonic()
                if self.store.check([_END]):
                    self._end(*json.loads(self.store.get(_END)))
            except dist.DistStoreError:  # too late an answer: where it is kept all stood still for a while
                continue
            except RuntimeError:  # the process that keeps it has ended: whoever still waits is told so by `_judge`
                return

    def _listen(self) -> None:
        """Read where the others are: in one request, or at many processes the store would be asked without end."""
        others = [other for other in range(self.world) if other != self.rank]
        there = [other for other in others if other in self._places or self.store.check([str(other)])]
        for other, text in zip(there, self.store.multi_get([str(other) for other in there]), strict=True):
            self._hear(other, Place.of(text.decode()))

    def _hear(self, rank: int, place: Place) -> None:
        now, before = time.monotonic(), self._places.get(rank)
        if before is None or before.looks != place.looks:
            self._since["life", rank] = now
        if before is None or before[:2] != place[:2]:
            self._since["work", rank] = now
        self._places[rank] = place

    def _judge(self) -> None:
        """Look whether this process stands still, and for whom it waits."""
        last = time.monotonic()
        while not self._closed.wait(self._pause):
            now, own = time.monotonic(), (self.sent(), progress.pieces_done())
            if now - last > self._pause + max(1.0, self.seconds / 2):  # it was stopped itself, perhaps all were
                self._forget()
            last = now
            # Where native code lets no other thread run, this prints all the same.
            faulthandler.dump_traceback_later(2 * self.seconds, file=2)
            if own != self._own:
                self._own, self._still = own, now
            if now - self._still > self.seconds and (late := self._late(now)):
                self._found(late)

    def _late(self, now: float) -> dict[int, str]:
        """Say of each process that is waited for what is wrong with it."""
        if now - self._talked > self.seconds:
            return {0: "process 0 (or the torchrun by which all meet) gives no sign of life"}
        found = {}
        for rank in range(self.world):
            place = self._places.get(rank)
            lost, idle = (now - self._since.get((what, rank), now) > self.seconds for what in ("life", "work"))
            where = f"process {rank}{f' on {place.host}' if place else ''}"
            if lost:
                found[rank] = f"{where} gives no sign of life"
            elif idle and place and place.sent < self._own[0]:
                found[rank] = f"{where} hangs"
        return found

    def _found(self, late: dict[int, str]) -> None:
        """Tell all processes, and end this one where the store no longer answers."""
        line = (
            f"{', '.join(late.values())}: the others have waited for {self.seconds:g} s ({SILENCE}), and all end; "
            "a training goes on by --resume auto"
        )
        text = json.dumps([line, [*late]])
        self._ending.set()
        if time.monotonic() - self._talked < self.seconds:
            threading.Thread(target=self.store.compare_set, args=(_END, "", text), daemon=True).start()
            time.sleep(2 * _TURNS * self._pause)  # within which `_talk` ends this process
        self._last_words(line, "")

    def _end(self, line: str, late: list[int]) -> None:
        """Say who is waited for and where it stands, and end this process, when all have read these words."""
        self._ending.set()
        own = "".join(traceback.format_stack(sys._current_frames().get(self._main)))
        self.store.set(f"stack {self.rank}", own)
        end, keys = time.monotonic() + _TURNS * self._pause, [f"stack {rank}" for rank in range(self.world)]
        while not self.store.check(keys) and time.monotonic() < end:
            time.sleep(min(0.1, self._pause))
        first = min({*range(self.world)}.difference(late), default=0)
        shown = [self.rank] if self.rank in late else late if self.rank in (0, first) else []
        stacks = [
            f"process {rank} stands here:\n{self.store.get(keys[rank]).decode()}"
            for rank in shown
            if self.store.check([keys[rank]])
        ]
        time.sleep(2 * self._pause if self.rank == 0 else self._pause)  # with process 0 the store goes
        self._last_words(line, "".join(stacks))

    def let_speak(self) -> None:
        """Wait where this process is being ended with a line: what follows from the others' end says less."""
        if self._ending.is_set():
            time.sleep(4 * _TURNS * self._pause)

    def _last_words(self, line: str, stacks: str) -> None:
        """End this process by force: its main thread waits in native code."""
        os.write(2, f"{stacks}error: {line}\n".encode(errors="replace"))
        with suppress(Exception):
            self.say(f"error: {line}\n{stacks}".rstrip())
        os._exit(_CODE)
