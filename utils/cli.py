"""How a command starts and ends: streams that last, its user's mistake in one line, an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from utils import console
from utils.errors import UserError

GOES_ON = "the same command goes on from here"


def start(main: Callable[[], int | None]) -> int:
    """Run a command; gives its exit code, also where those who read its output leave, or lack its letters."""
    console.prepare()
    try:
        return main() or 0
    finally:
        console.flush()  # at the interpreter's own flush a closed pipe is a message and another exit code


def exit_code(
    work: Callable[[], object],
    place: str | Path = "",
    stopped: str = GOES_ON,
    explain: Callable[[Exception], str] = lambda error: "",
) -> int:
    """Do it. The code that it gives or 0, 2 with a line for a user's mistake or an unusable file, 130 after Ctrl-C.

    `place`: what to name where the system does not say which file it was. `stopped`: what to tell who stopped it.
    `explain`: the line for further errors that are no fault of ours, "" for those that are.
    """
    try:
        code = work()
    except UserError as error:
        return _failed(str(error))
    except OSError as error:
        where = error.filename or place or type(error).__name__
        return _failed(f"{where}: {error.strerror or error}")
    except KeyboardInterrupt as stop:
        print(f"stopped{f' by {stop}' if str(stop) else ''}: {stopped}", file=sys.stderr)
        return 128 + getattr(stop, "number", signal.SIGINT)
    except Exception as error:
        if line := explain(error):
            return _failed(line)
        raise
    return code if isinstance(code, int) else 0


def place_to_write(text: str) -> Path:
    """Read a path to write to, as a type for argparse. An empty one, a shell's "$UNSET", is a ValueError."""
    if not text.strip():
        raise ValueError
    return Path(text)


def check_free(paths: Iterable[Path], overwrite: bool, give: str = "another --out") -> None:
    """Raise UserError for the first of `paths` that is there, unless the user has asked to `overwrite` them; folders
    are never overwritten.
    """
    paths = [*paths]
    if folder := next(filter(os.path.isdir, paths), None):
        raise UserError(f"{folder} is a folder: give {give}")
    if not overwrite and (there := next((path for path in paths if os.path.lexists(path)), None)):
        raise UserError(f"{there} is there already: give {give}, or --overwrite to replace it")


def number(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], Any]:
    """Make a type for argparse of numbers between bounds, called so that its message about another text says these."""

    def read(text: str) -> Any:
        value = kind(text)
        if not least <= value <= most:
            raise ValueError
        return value

    end = f"to {most:g}" if most < float("inf") else "or more"
    read.__name__ = f"{'whole ' * (kind is int)}number ({least:g} {end})"
    return read


def comma_list(text: str) -> list[str]:
    """Split at commas: the type of a flag that takes several, for argparse. An empty one is a ValueError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError
    return parts


def comma_list_or_none(text: str) -> list[str]:
    """Split as `comma_list`; an empty text is an empty list."""
    return comma_list(text) if text.strip() else []


def _failed(line: str) -> int:
    print(f"error: {line}", file=sys.stderr)
    return 2
