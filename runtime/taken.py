"""What of a folder a demo may write over: nothing, but for what the same command has left there, and its own legend."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from utils.errors import UserError
from utils.names import shown, valid

LOG, LEGEND, OVERWRITE = "demo.log", "legend.png", "--overwrite"
# A line that begins a demo's part of the log, with or without the time.
_COMMAND = re.compile(r"^(?:[-\d]{10} [:\d]{8} )?(\S+ demo(?:_folder)?\.py .*)$", re.MULTILINE)


def check_free(folder: Path, command: str, targets: Iterable[Path], overwrite: bool) -> None:
    """Raise UserError where one of the `targets` is there, unless an earlier run of this `command` has left it.

    A legend is that of the folder: every demo that writes there replaces it, but not a file of others.
    """
    log = folder / LOG
    if overwrite or not folder.is_dir() or valid(command) in _earlier(log):
        return
    legend = () if log.exists() else (folder / LEGEND,)
    if there := next((path for path in (*legend, *targets) if path.exists()), None):
        raise UserError(
            f"{shown(str(there))} is there already, not by this command: give another --save-dir, or {OVERWRITE} to "
            "replace it"
        )


def _earlier(log: Path) -> set[str]:
    """Give the commands whose results are still in the folder of a log: --overwrite may have replaced older ones."""
    found: set[str] = set()
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    for line in _COMMAND.findall(text):
        plain = line.replace(f" {OVERWRITE}", "")
        found = {plain} if plain != line else found | {plain}
    return found
