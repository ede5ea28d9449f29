"""Ctrl-C and SIGTERM ask a run to stop after the step it is in; a second Ctrl-C stops it at once."""

from __future__ import annotations

import signal
from types import FrameType

from utils.distributed import Ranks


class StopRequest:
    """Installs the handlers; `asked(ranks)` is True on all ranks once one was asked to stop."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    def asked(self, ranks: Ranks) -> bool:
        """Whether to stop now; the ranks agree."""
        return ranks.any(self.signal is not None)

    @property
    def exit_code(self) -> int:
        """128 + signal, as shells count."""
        return 128 + int(self.signal or signal.SIGTERM)
