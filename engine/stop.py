"""Signals, or a file, ask a run to stop after the step it is in; a second Ctrl-C stops it at once."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

from utils.distributed import DistributedContext


class StopRequest:
    """Installs the handlers; `requested(ranks)` is True on all ranks once one of them was asked to stop.

    `file` asks by being there: signals do not reach the processes of every launcher on every node, a file in the run
    folder does. The main rank looks for it.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.signal: signal.Signals | None = None
        self._file = file
        # Of a closed terminal a run under nohup wants to know nothing.
        hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, *hangup):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    def requested(self, ranks: DistributedContext) -> bool:
        """Whether to stop now; the ranks agree."""
        by_file = ranks.is_main and self._file is not None and self._file.exists()
        return ranks.any(self.signal is not None or by_file)

    def acknowledge(self) -> None:
        """The checkpoint stands: the file has done its work, and would stop the next start."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    @property
    def exit_code(self) -> int:
        """128 + signal, as shells count; the file is what a batch script makes of USR1."""
        return 128 + int(self.signal or signal.SIGUSR1)
