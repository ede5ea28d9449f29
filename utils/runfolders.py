"""The folder of a run in the place of its checkpoint: which file of it is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from utils import hub

BEST, LAST, KEPT = "best_checkpoint_ep*.pth", "last_checkpoint_ep*.pth", "checkpoint_ep*.pth"
CURE = f"give a .pth file, or the folder of a run with its {BEST} or {LAST}"
BESIDE = ("temperature.json",)  # what is read beside weights, where it is
_NAMED, _LOOKED_AT = 3, 500  # runs below a folder that a message names; folders that are looked at for them


def checkpoint_in(path: str) -> tuple[str, str]:
    """Give the checkpoint that the folder of a run stands for, and a line that says so; any other path as it is.

    That is the best one, or the last one where no validation has made one; of a folder that was written to be shared
    its weights. `hf:OWNER/NAME` is such a folder on the hub. UserError where the hub does not give it.
    """
    if path.startswith(hub.START):
        found = str(hub.checkpoint(path, BESIDE))
        return found, f"{path} is kept as {found}"
    folder = Path(path)
    if not path or not folder.is_dir():
        return path, ""
    for kind, pattern in (("best", BEST), ("last", LAST), ("newest", KEPT)):
        if found := max(folder.glob(pattern), key=epoch_of, default=None):
            lacking = "" if kind == "best" else " (it has no best one: no validation has been scored)"
            return str(found), f"{folder} is the folder of a run: its {kind} checkpoint is taken, {found.name}{lacking}"
    if (folder / hub.WEIGHTS).is_file():
        return str(folder / hub.WEIGHTS), f"{folder} is a shared network: its {hub.WEIGHTS} is taken"
    return path, ""


def epoch_of(checkpoint: Path) -> int:
    """Read the epoch in a checkpoint's name: 29 of best_checkpoint_ep29.pth, -1 where there is none."""
    found = re.search(r"_ep(\d+)\.pth$", checkpoint.name)
    return int(found[1]) if found else -1


def runs_below(folder: Path) -> str:
    """Name runs below a folder that is none itself, for a message; empty where there are none."""
    found = list(islice(_with_checkpoints(folder), _NAMED + 1))
    names = ", ".join(map(str, found[:_NAMED])) + (", ..." if len(found) > _NAMED else "")
    return f"; runs below it: {names}" if found else ""


def _with_checkpoints(folder: Path) -> Iterator[Path]:
    """Find folders with checkpoints, one or two levels below."""
    below = (place for pattern in ("*", "*/*") for place in sorted(folder.glob(pattern)) if place.is_dir())
    return (place for place in islice(below, _LOOKED_AT) if any(place.glob(f"*{KEPT}")))
