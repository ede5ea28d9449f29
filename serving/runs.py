"""The runs of a folder: what each has learned, how well, when, and where its report is."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from engine import curves
from utils.names import shown
from utils.runfolders import checkpoint_in

REPORT = "report.html"
_SIGNS = (REPORT, "metrics.csv")  # of a run; a checkpoint is one as well
_BELOW_A_RUN, _ASIDE = "eval_", "before-"  # what begins the names of its evaluations, and of what was set aside
_LATEST = 2e11  # seconds since 1970: the year 8307, beyond which there is no date
DEPTH, MOST = 5, 1000  # levels of folders that are looked into; runs that are listed


@dataclass(frozen=True)
class Run:
    """A run in the list. `key` stands for it in addresses; `score`: the best mean IoU of a validation, in 0..1.

    `epochs`: those done, `planned`: all of them, 0 where it is not known; `date`: seconds since 1970.
    """

    key: str
    name: str
    folder: Path
    arch: str = ""
    dataset: str = ""
    score: float | None = None
    epochs: int = 0
    planned: int = 0
    date: float = 0.0
    checkpoint: str = ""
    report: Path | None = None


class Listing(NamedTuple):
    """Runs, the newest first, and lines on what is not among them."""

    runs: list[Run]
    notes: list[str]


def listing(root: Path) -> Listing:
    """Look for runs in a folder, which may be one itself. Links to folders are not followed."""
    links: list[Path] = []
    found = [read(folder, root) for folder, _ in zip(_folders(root, links, DEPTH), range(MOST + 1), strict=False)]
    notes = [f"more than {MOST} runs: the others are not listed"] if len(found) > MOST else []
    if links:
        notes.append(f"not followed, links to folders: {shown(links[0].name)}" + _more(len(links) - 1))
    return Listing(sorted(found[:MOST], key=lambda run: (-run.date, run.name)), notes)


def read(folder: Path, root: Path) -> Run:
    """Read what the files of a run say; what they do not say, or say wrongly, stays empty."""
    options, rows = _options(folder / "hparams.json"), _rows(folder)
    scores = [row.values["mean_iu"] for row in rows if row.phase == "val" and "mean_iu" in row.values]
    dates = [row.values["timestamp"] for row in rows if 0 <= row.values.get("timestamp", math.nan) < _LATEST]
    checkpoint = checkpoint_in(str(folder))[0]
    name = os.path.relpath(folder, root.parent if folder == root else root)
    return Run(
        key=hashlib.sha256(os.fsencode(os.path.abspath(folder))).hexdigest()[:16],
        name=shown(name),
        folder=folder,
        arch=str(options.get("arch", "")),
        dataset=str(options.get("dataset", "")),
        score=max(filter(math.isfinite, scores), default=None),
        epochs=max((int(row.epoch) + 1 for row in rows if row.phase == "train" and row.epoch < 1e9), default=0),
        planned=options["max_epoch"] if isinstance(options.get("max_epoch"), int) else 0,
        date=max(dates, default=_changed(folder)),
        checkpoint=checkpoint if checkpoint != str(folder) else "",
        report=_report(folder, root),
    )


def _report(folder: Path, root: Path) -> Path | None:
    """Give the report of a run, where it is a file that lies in the folder that is served, not behind a link."""
    path = folder / REPORT
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    return real if real.is_file() and root.resolve() in real.parents else None


def _folders(here: Path, links: list[Path], depth: int) -> Iterator[Path]:
    """Find the folders of runs in `here`, itself among them; of a run only its evaluations are looked into."""
    try:
        entries = sorted(os.scandir(here), key=lambda entry: entry.name)
    except OSError:
        return
    names = {entry.name for entry in entries}
    is_run = any(sign in names for sign in _SIGNS) or checkpoint_in(str(here))[1] != ""
    if is_run:
        yield here
    for entry in entries:
        if entry.name.startswith((".", _ASIDE)) or (is_run and not entry.name.startswith(_BELOW_A_RUN)):
            continue
        if entry.is_symlink():
            links += [Path(entry.path)] if entry.is_dir() else []
        elif depth and entry.is_dir():
            yield from _folders(Path(entry.path), links, depth - 1)


def _options(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _rows(folder: Path) -> list[curves.Row]:
    try:
        return [row for row in curves.rows(folder) if row.values]
    except OSError:
        return []


def _changed(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""
