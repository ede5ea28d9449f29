"""What a run says: lines on the terminal and in a file, scalars and images for trackers, runx's two files.

`metrics.csv` and `hparams.json` have the layout of runx's logger, so that `python -m runx.sumx` lists the runs.
Only the main rank writes; on the others every call is silent.
"""

from __future__ import annotations

import io
import json
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence, Sized
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from engine import curves
from engine.trackers import Trackers
from utils import console
from utils.errors import UserError
from utils.files import advice, append, csv_text, reason, write_file
from utils.names import valid
from utils.progress import counted

T = TypeVar("T")


class RunLog:
    """Log of one run in `run_dir`; `main` is False on ranks that keep silent. `track`: names of its trackers."""

    def __init__(
        self, run_dir: Path, main: bool = True, name: str = "train.log", track: Sequence[str] = ("tensorboard",)
    ) -> None:
        self.run_dir, self.main = run_dir, main
        self._path = (run_dir / name).absolute()
        self._file: TextIO | None = None
        self.trackers = Trackers(run_dir, track, self.once)
        self._lost: list[str] = []
        self._said: set[str] = set()
        if not main:
            return
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            self._file = open(self._path, "a", encoding="utf-8", errors="replace")
        except OSError as error:
            raise UserError(
                f"the output folder {run_dir} cannot be written: {error.strerror}; {advice(error)}"
            ) from None

    def line(self, text: str) -> None:
        """Log one message (of one or several lines); the file has what the terminal may fail to show."""
        self.note(text)
        if self._file is not None:
            tqdm.write(valid(text), file=sys.stdout)  # without tearing a progress bar
            sys.stdout.flush()
        for news in console.lost()[len(self._lost) :]:
            self._lost.append(news)
            self.note(f"warning: {news}")

    def once(self, text: str) -> None:
        """Log a message, but only the first time that it is said."""
        if text not in self._said:
            self._said.add(text)
            self.line(text)

    def note(self, text: str) -> None:
        """Write a message to the file alone; the terminal gets it from elsewhere. Say once if the disk is full."""
        if self._file is None:
            return
        try:
            self._file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {valid(text)}\n")
            self._file.flush()
        except OSError as error:
            lacking = f"warning: {self._path} lacks lines: {reason(error)}; {advice(error)}"
            if lacking not in self._said:
                self._said.add(lacking)
                print(lacking, file=sys.stderr)

    def start(self, hparams: Mapping[str, Any]) -> None:
        """Write `hparams.json`, and the first row of `metrics.csv` unless a resumed run has one; open the trackers."""
        if not self.main:
            return
        text = json.dumps({name: value for name, value in hparams.items()}, indent=1, default=str)
        write_file(self.run_dir / "hparams.json", f"{text}\n".encode())
        if not (self.run_dir / "metrics.csv").exists():
            self._row(["start", "start/step", 0])
        self.trackers.start(hparams)

    def metric(self, phase: str, values: Mapping[str, float], epoch: int) -> None:
        """Log the scores of an epoch: scalars `phase/name`, then a row of `metrics.csv`: they are there."""
        if not self.main:
            return
        self.scalars({f"{phase}/{name}": value for name, value in values.items()}, epoch)
        pairs = [item for pair in values.items() for item in pair]
        self._row([phase, *pairs, "epoch", epoch])

    def history(self, phase: str) -> list[dict[str, float]]:
        """Give the rows of `metrics.csv` of a phase, oldest first; of an epoch that was repeated, the last."""
        rows = {row.epoch: row.values for row in curves.rows(self.run_dir) if row.phase == phase and row.epoch >= 0}
        return [rows[epoch] for epoch in sorted(rows)]

    def best(self, phase: str, name: str) -> float:
        """Find the highest finite value of a score so far, 0 before the first."""
        return max((row[name] for row in self.history(phase) if math.isfinite(row.get(name, math.nan))), default=0.0)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Hand scalars to the trackers."""
        if self.main:
            self.trackers.each(lambda tracker: tracker.scalars(values, step))

    def picture(self, name: str, encoded: bytes, step: int) -> None:
        """Hand a JPEG or PNG to the trackers."""
        if self.main and self.trackers:
            image = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))  # (H, W, 3)
            self.trackers.each(lambda tracker: tracker.picture(name, image, step))

    def close(self) -> None:
        """Flush what is buffered. A full disk shows here again: what ended the run is said elsewhere."""
        self.trackers.each(lambda tracker: tracker.close())
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _row(self, row: list[Any]) -> None:
        path = self.run_dir / "metrics.csv"
        torn = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
        append(path, ("\n" if torn else "") + csv_text([[*row, "timestamp", time.time()]], end="\r\n"))

    def progress(self, items: Iterable[T], label: str, total: int | None = None, done: int = 0) -> tqdm[T]:
        """Iterate with a bar on a terminal and nothing elsewhere; `done` items of `total` were done before."""
        shown = self.main and sys.stderr.isatty()
        total = len(items) if total is None and isinstance(items, Sized) else total
        return tqdm(counted(items), label, total, initial=done, leave=False, disable=not shown, dynamic_ncols=True)
