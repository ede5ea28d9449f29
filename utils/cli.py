"""How a script ends: what its user did wrong in one line, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from utils.errors import UserError

GOES_ON = "the same command goes on from here"


def exit_code(work: Callable[[], object], place: str | Path = "", stopped: str = GOES_ON) -> int:
    """Do it. The code that it gives or 0, 2 with a line for a user's mistake or an unusable file, 130 after Ctrl-C.

    `place`: what to name where the system does not say which file it was. `stopped`: what to tell who stopped it.
    """
    try:
        code = work()
    except UserError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename or place}: {error.strerror or error}")
    except KeyboardInterrupt:
        print(f"stopped: {stopped}", file=sys.stderr)
        return 130
    return code if isinstance(code, int) else 0


def place_to_write(text: str) -> Path:
    """The type of such a flag, for argparse. An empty name, as a shell makes of an unset variable, is a ValueError."""
    if not text.strip():
        raise ValueError
    return Path(text)


def _failed(line: str) -> int:
    print(f"error: {line}", file=sys.stderr)
    return 2
