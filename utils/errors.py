"""What a user gets to see when something given is wrong: one line, no traceback."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 300  # letters of a text that a message repeats


class UserError(ValueError):
    """A user's mistake. The message says what was wrong, where, and what to do.

    Takes one string, so that a DataLoader worker can hand it to the main process unchanged.
    """


class LoadingError(UserError):
    """There is no next batch: a file is wrong, or a process that reads files has died. Training saves what it has."""


class MachineError(UserError):
    """The machine is short of something, such as open files: no fault of the file that could not be read."""


class MemoryShortageError(UserError):
    """Prediction does not fit into memory even in the smallest tiles: training goes on without the scores."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the known names closest to `name`, or an empty string."""
    close = get_close_matches(name, list(dict.fromkeys(known)), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else ""


def clipped(text: str) -> str:
    """Shorten what a file or a command line gives, for a line that repeats it."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} letters)"


def in_short(error: BaseException) -> str:
    """Give the kind and text of an error in one line: "ValueError: no such mode"."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
