"""Kills a command at a chosen point: what it does is counted, the same each time, and a signal comes at one count.

Counted are the lines of the repository's code, what is done to files (one is opened to write, renamed, removed, a
folder is made), and each write of `utils.files`, of which the point's own stops in the middle.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import random
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, NamedTuple

from forked import ROOT

from utils import files

# What a run is doing: the innermost of these functions.
PHASES = {
    ("toyworld/__init__.py", "write"): "scenes",
    ("datasets/keeping.py", "_fill"): "cache",
    ("datasets/keeping.py", "_one"): "cache",
    ("datasets/centroids.py", "cached"): "centroids",
    ("engine/checkpoint.py", "_remove_others"): "prune",
    ("engine/checkpoint.py", "finish"): "prune",
    ("engine/checkpoint.py", "copy_as"): "keep",
    ("engine/checkpoint.py", "save_best"): "best",
    ("engine/checkpoint.py", "save"): "checkpoint",
    ("engine/runfolder.py", "enter"): "folder",
    ("engine/runfolder.py", "go_back"): "go back",
    ("engine/outcome.py", "write_report"): "report",
    ("engine/outcome.py", "_publish"): "results",
    ("engine/log.py", "metric"): "metrics",
    ("train.py", "optimizer_step"): "optimizer",
    ("train.py", "backward"): "step",
    ("train.py", "evaluate"): "validation",
    ("train.py", "train_epoch"): "epoch",
    ("train.py", "save"): "save",
    ("train.py", "validate"): "validation",
}
FILE_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


class Point(NamedTuple):
    """The `number`-th time, from 1, that something of `kind` is done in a phase; of a run, or of the rest of one."""

    phase: str
    kind: str  # line, write or one of `FILE_EVENTS`; time: the number counts milliseconds
    number: int = 1


class Probe:
    """Counts in this process from `install` on; at `point` it sends itself `number`; without one it records all."""

    def __init__(self, point: Point | None, number: int = signal.SIGKILL, worker: bool = False) -> None:
        self.point, self.signal, self.worker = point, number, worker
        self.counts: Counter[tuple[str, str]] = Counter()
        self._place = os.getcwd()

    def install(self) -> None:
        """Count from now on; it cannot be undone, which is for the process to end."""
        sys.addaudithook(self._audit)
        files.open = self._open  # type: ignore[attr-defined] # the name that its functions find first
        if self._wants("line"):
            threading.settrace(self._trace)  # of threads that come: one writes checkpoints
            sys.settrace(self._trace)

    def _wants(self, kind: str) -> bool:
        return self.point is None or self.point.kind == kind

    def _event(self, kind: str, phase: str) -> bool:
        """Count; gives whether this is the point, where the caller has still something to do before the signal."""
        self.counts[phase, kind] += 1
        return self.point == (phase, kind, self.counts[phase, kind])

    def send(self) -> None:
        """Give the blow."""
        others = [child.pid for child in multiprocessing.active_children() if child.pid]
        if not self.worker:
            os.kill(os.getpid(), self.signal)
        elif others:
            os.kill(max(others), self.signal)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
        if not _is_ours(frame.f_code.co_filename):
            return None
        phase = phase_of(frame)
        if self.point is not None and phase != self.point.phase:
            return None

        def line(frame: FrameType, event: str, arg: object) -> Callable[..., Any]:
            if event == "line" and self._event("line", phase):
                self.send()
            return line

        return line

    def _audit(self, event: str, given: tuple[Any, ...]) -> None:
        if event not in FILE_EVENTS or not self._wants(event) or (event == "open" and not _to_write(given)):
            return
        path = given[0]
        if isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(self._place):
            if self._event(event, phase_of(sys._getframe(1))):
                self.send()

    def _open(self, path: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        stream = open(path, mode, *more, **named)
        return _Torn(stream, self) if "b" in mode and "w" in mode and self._wants("write") else stream


def _to_write(given: tuple[Any, ...]) -> bool:
    mode, flags = given[1], given[2]
    return bool(set(mode) & set("wax+")) if mode else bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


class _Torn:
    """A file of which the write that is the probe's point writes one half."""

    def __init__(self, file: BinaryIO, probe: Probe) -> None:
        self._file, self._probe = file, probe

    def write(self, data: Any) -> int:
        """As a file does."""
        view = memoryview(data).cast("B")
        if self._probe._event("write", phase_of(sys._getframe(1))):
            self._file.write(view[: len(view) // 2])
            self._file.flush()
            self._probe.send()
            return self._file.write(view[len(view) // 2 :]) + len(view) // 2
        return self._file.write(view)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Torn:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()


def _is_ours(file: str) -> bool:
    return file.startswith(ROOT) and not file.startswith((f"{ROOT}/.venv", f"{ROOT}/tests"))


def phase_of(frame: FrameType | None) -> str:
    """Tell what a run is doing, by its stack."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(ROOT):
            found = PHASES.get((code.co_filename[len(ROOT) + 1 :], code.co_name))
            if found:
                return found
        frame = frame.f_back
    return "start and end"


def choose(counts: Mapping[tuple[str, str], int], number: int, seed: int) -> list[Point]:
    """Draw points of a run that has these `counts`: each phase and kind in turn, as far as it goes, at any place."""
    dice = random.Random(seed)
    order = sorted(counts)
    dice.shuffle(order)
    chosen = [order[n % len(order)] for n in range(number)]
    return [Point(*what, dice.randint(1, counts[what])) for what in chosen]


def read(file: Path) -> dict[tuple[str, str], int]:
    """Give what a run has counted, {(phase, kind): how often}."""
    return {(phase, kind): count for phase, kind, count in json.loads(file.read_text())}


class Blow(NamedTuple):
    """A signal at a point, to the process itself on one rank, or to one of its loader processes (`worker`)."""

    point: Point
    signal: int = signal.SIGKILL
    rank: int = 0
    worker: bool = False


def arguments(
    command: Callable[[list[str]], int],
    place: Path,
    words: Sequence[str],
    blow: Blow | None = None,
    record: Path | None = None,
) -> list[str]:
    """Give the words for `run`: `command` with `words` in the folder `place`, hit by `blow`, or all points recorded."""
    spec = json.dumps([str(place), blow, str(record or "")])
    return [f"{command.__module__}:{command.__qualname__}", spec, *words]


def run(words: list[str]) -> int:
    """What such a process does."""
    module, name = words[0].split(":")
    place, hit, record = json.loads(words[1])
    os.chdir(place)
    sys.argv = ["train.py", *words[2:]]
    multiprocessing.set_start_method("fork", force=True)  # a child of a server would start one of its own
    command = getattr(importlib.import_module(module), name)
    blow = Blow(Point(*hit[0]), *hit[1:]) if hit else None
    if not (blow or record) or int(os.environ.get("RANK", "0")) != (blow.rank if blow else 0):
        return command(words[2:])
    probe = Probe(blow.point if blow else None, blow.signal if blow else 0, bool(blow and blow.worker))
    if blow and blow.point.kind == "time":
        timer = threading.Timer(blow.point.number / 1000, probe.send)
        timer.daemon = True
        timer.start()
    else:
        probe.install()
    try:
        return command(words[2:])
    finally:
        sys.settrace(None)
        if record:
            Path(record).write_text(json.dumps([[*what, count] for what, count in probe.counts.items()]))
