"""Signals, or a file, ask a run to stop after the step it is in; a second Ctrl-C stops it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from utils.distributed import DistributedContext

# In the environment of what srun and torchrun start: it has to end with the process that has started it.
_LAUNCHED = ("SLURM_STEP_ID", "TORCHELASTIC_RUN_ID")


class Terminated(KeyboardInterrupt):
    """A signal has ended a command that was in no step of a training; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def terminable() -> Iterator[None]:
    """Raise Terminated where a signal asks this command to end, until a StopRequest takes the signals over."""
    if threading.current_thread() is not threading.main_thread():  # signals are handled in the main one alone
        yield
        return
    with handled(_ending_signals(), _terminate):
        yield


@contextmanager
def handled(numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let `handler` have these signals until the block has ended."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


def _ending_signals() -> list[signal.Signals]:
    """List the signals that ask a command to end; a run under nohup wants to know nothing of a closed terminal."""
    hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    return [signal.SIGTERM, signal.SIGUSR1, *hangup]


class StopRequest:
    """Installs the handlers; `requested(ranks)` is True on all ranks once one of them was asked to stop.

    `file` asks by being there: signals do not reach the processes of every launcher on every node, a file in the run
    folder does. The main rank looks for it. A launcher asks by being gone: after SIGKILL it can say nothing, and its
    job, which is started again, would find the folder in use.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.signal: signal.Signals | None = None
        self._file = file
        self._parent = os.getppid() if any(name in os.environ for name in _LAUNCHED) else 0
        for number in (signal.SIGINT, *_ending_signals()):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    def requested(self, ranks: DistributedContext) -> bool:
        """Tell whether to stop now; the ranks agree."""
        return ranks.any(self.asked(ranks))

    def asked(self, ranks: DistributedContext) -> bool:
        """Tell whether this rank was asked to stop; the others do not know of it yet."""
        by_file = ranks.is_main and self._file is not None and self._file.exists()
        alone = self._parent != 0 and os.getppid() != self._parent
        return self.signal is not None or by_file or alone

    def acknowledge(self) -> None:
        """The checkpoint stands: the file has done its work, and would stop the next start."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    @property
    def exit_code(self) -> int:
        """128 + signal, as shells count; the file is what a batch script makes of USR1."""
        return 128 + int(self.signal or signal.SIGUSR1)
