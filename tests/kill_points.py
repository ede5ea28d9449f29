"""Kills a command at a chosen point: what it does is counted, the same each time, and a signal comes at one count.

Counted are the lines of the repository's code that the main thread runs, what any thread does to files (opens one to
write, renames, removes, makes a folder), and each write of `utils.files`, of which the point's own stops in the middle.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, NamedTuple

from forked import ROOT, Process

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
    """The `number`-th line, or the `number`-th thing done to files; `kind`: line, write or one of `FILE_EVENTS`."""

    number: int
    phase: str
    kind: str

    @property
    def at(self) -> int:
        """The point in one number, for `killable`: lines are counted below zero, since they cost more to count."""
        return -self.number if self.kind == "line" else self.number


class Probe:
    """Counts in this process from `install` on; at `Point.at` it sends itself `number`, or writes all points down."""

    def __init__(self, at: int = 0, number: int = signal.SIGKILL, record: Path | None = None) -> None:
        self.at, self.signal, self.record = at, number, record
        self.lines = self.files = 0
        self.points: list[Point] = []
        self._place = os.getcwd()

    def install(self) -> None:
        """Count from now on; it cannot be undone, which is for the process to end."""
        sys.addaudithook(self._audit)
        files.open = self._open  # type: ignore[attr-defined] # the name that its functions find first
        if self.at < 0 or self.record:
            sys.settrace(self._trace)

    def write(self) -> None:
        """Write down what was counted."""
        sys.settrace(None)
        if self.record is not None:
            self.record.write_text(json.dumps(self.points))

    def _event(self, kind: str, frame: FrameType | None) -> bool:
        """Count; gives whether this is the point, where the caller has still something to do before the signal."""
        if kind == "line":
            self.lines += 1
            number, reached = self.lines, -self.lines == self.at
        else:
            self.files += 1
            number, reached = self.files, self.files == self.at
        if self.record is not None:
            self.points.append(Point(number, phase_of(frame), kind))
        return reached

    def _send(self) -> None:
        os.kill(os.getpid(), self.signal)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
        if not _is_ours(frame.f_code.co_filename):
            return None
        frame.f_trace_lines = True
        return self._line

    def _line(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any]:
        if event == "line" and self._event("line", frame):
            self._send()
        return self._line

    def _audit(self, event: str, given: tuple[Any, ...]) -> None:
        if event not in FILE_EVENTS or (event == "open" and not _to_write(given)):
            return
        path = given[0]
        if isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(self._place):
            if self._event(event, sys._getframe(1)):
                self._send()

    def _open(self, path: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        if "b" not in mode or "w" not in mode:
            return open(path, mode, *more, **named)
        return _Torn(open(path, mode, *more, **named), self)


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
        if self._probe._event("write", sys._getframe(1)):
            self._file.write(view[: len(view) // 2])
            self._file.flush()
            self._probe._send()
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


def choose(points: Sequence[Point], count: int, seed: int) -> list[Point]:
    """Draw `count` of the points: each phase and kind in turn, as far as it goes, and any one of it."""
    dice = random.Random(seed)
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        groups.setdefault((point.phase, point.kind), []).append(point)
    order = sorted(groups)
    dice.shuffle(order)
    return [dice.choice(groups[order[n % len(order)]]) for n in range(count)]


def read(file: Path) -> list[Point]:
    """Give the points that a run has written down."""
    return [Point(*point) for point in json.loads(file.read_text())]


def killable(
    command: Callable[[list[str]], int],
    place: Path,
    words: Sequence[str],
    at: int = 0,
    number: int = signal.SIGKILL,
    record: Path | None = None,
) -> Process:
    """Start `command` with `words` in the folder `place`, to be hit at the point `at`, or to write all of them down."""
    spec = json.dumps([str(place), at, int(number), str(record or "")])
    target = f"{command.__module__}:{command.__qualname__}"
    return Process(_run, [target, spec, *words], os.environ | {"OMP_NUM_THREADS": "1"})


def _run(words: list[str]) -> int:
    import importlib

    module, name = words[0].split(":")
    place, at, number, record = json.loads(words[1])
    os.chdir(place)
    sys.argv = ["train.py", *words[2:]]
    command = getattr(importlib.import_module(module), name)
    if not (at or record):
        return command(words[2:])
    probe = Probe(at, number, Path(record) if record else None)
    probe.install()
    try:
        return command(words[2:])
    finally:
        probe.write()
