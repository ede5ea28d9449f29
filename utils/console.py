"""What a command says, on its way out: the reader may go away, the encoding may lack a letter, nobody may be there."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

# A closed pipe, a terminal that is gone: nobody reads any more, which is no fault of the command.
GONE = (errno.EPIPE, errno.EIO, errno.ENXIO, errno.ECONNRESET, errno.ESHUTDOWN, errno.EBADF)


class Lasting:
    """A text stream that writing to never ends a run; in everything else the stream that it is made of.

    `lost`: what the system said when it could not be written to any more, "" before; what comes after goes nowhere.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name, self.lost = stream, name, ""
        with suppress(AttributeError, ValueError):  # a stream of a notebook or an editor has its own ways
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what the encoding has letters for, "?" for the others."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            letters = self._stream.encoding or "ascii"
            return self.write(text.encode(letters, "replace").decode(letters))
        except OSError as error:
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Hand on what is buffered."""
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        """Let the rest, also what libraries and other processes print there, go nowhere."""
        if isinstance(error, BlockingIOError):  # its reader is slow, not gone
            return
        first, self.lost = not self.lost, self.lost or error.strerror or type(error).__name__
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        if first and error.errno not in GONE and sys.stderr is not self:
            print(f"warning: {self._name} cannot be written to ({self.lost}): the rest of it is lost", file=sys.stderr)


def prepare() -> None:
    """Make the streams of this process last. Once, at the start of a command."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us: `>&-`, a service, a program without a console
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        if not isinstance(stream, Lasting):
            setattr(sys, name, Lasting(stream, name))


def flush() -> None:
    """Hand on what is left, while an error of it can still be dealt with."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def lost() -> list[str]:
    """Write a line for each stream that nobody reads any more."""
    streams = {name: getattr(getattr(sys, name), "lost", "") for name in ("stdout", "stderr")}
    return [f"{name} goes nowhere from here on ({why}); the run goes on" for name, why in streams.items() if why]
