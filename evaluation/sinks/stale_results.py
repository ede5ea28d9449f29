"""What an older run has left in the folder of an evaluation, and this one has not replaced."""

from __future__ import annotations

from pathlib import Path

from evaluation.sinks.base import ALONE, Results, Sink
from media import results
from utils.distributed import DistributedContext

_TABLES = ("per_image.csv", "conditions.csv", "submit.zip")


class StaleResults(Sink):
    """Looks at the folder before the first image, and again after the last: closed after all other sinks."""

    def __init__(self, run_dir: Path) -> None:
        self._before = results.FilesBefore(run_dir, [*(f"{name}/**/*" for name in results.FOLDERS), *_TABLES])

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Say what is left of the older run."""
        return Results([note] if ranks.is_main and (note := self._before.note()) else ())
