"""Pictures as CSAIL's scene parsing writes them: --visualize."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from evaluation.sinks.base import ALONE, EvalItem, Results, Sink
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.files import write_file
from utils.plural import counted
from utils.visualize import colorize, encode_png, file_stem


class SideBySide:
    """Writes `<folder>/<name>.png` of every image: itself, its truth where there is one, and the prediction, in a row.

    Truth and prediction in the dataset's colors; pixels without a truth are black.
    """

    extras: tuple[str, ...] = ()

    def __init__(self, folder: Path, spec: DatasetSpec) -> None:
        self.folder, self.spec = folder, spec
        self._written = self._labelled = 0

    def add(self, item: EvalItem) -> None:
        """Write the picture of one image (H, W, 3): (H, 3 W, 3), or (H, 2 W, 3) without a label."""
        maps = [classes for classes in (item.label, item.prediction.classes) if classes is not None]
        parts = [item.image, *(colorize(classes, self.spec.palette) for classes in maps)]
        write_file(self.folder / f"{file_stem(item.name)}.png", encode_png(np.concatenate(parts, axis=1)))
        self._written += 1
        self._labelled += item.label is not None

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Say how many, and what stands beside them."""
        beside = "truth and prediction" if sum(ranks.gather(self._labelled)) else "prediction"
        return Results([f"{counted(sum(ranks.gather(self._written)), 'image')} beside their {beside} in {self.folder}"])


# The option of EVAL that asks for it: (run folder, classes) -> sink.
FOLDERS: dict[str, Callable[[Path, DatasetSpec], Sink]] = {
    "VISUALIZE": lambda run_dir, spec: SideBySide(run_dir / "result", spec),
}
