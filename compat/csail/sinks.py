"""Pictures as CSAIL's scene parsing writes them: --visualize."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evaluation.sinks.base import ALONE, EvalItem, Results
from evaluation.sinks.folder import PictureFolder
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.visualize import colorize, encode_png, file_stem


class SideBySide(PictureFolder):
    """Writes `<folder>/<name>.png` of every image: itself, its truth where there is one, and the prediction, in a row.

    Truth and prediction in the dataset's colors; pixels without a truth are black.
    """

    def __init__(self, folder: Path, spec: DatasetSpec) -> None:
        super().__init__(folder)
        self.spec, self._labeled = spec, 0

    def files(self, item: EvalItem) -> dict[str, bytes]:
        """Make the picture of one image (H, W, 3): (H, 3 W, 3), or (H, 2 W, 3) without a label."""
        maps = [classes for classes in (item.label, item.prediction.classes) if classes is not None]
        parts = [item.image, *(colorize(classes, self.spec.palette) for classes in maps)]
        self._labeled += item.label is not None
        return {f"{file_stem(item.name)}.png": encode_png(np.concatenate(parts, axis=1))}

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Say how many, and what stands beside them."""
        beside = "truth and prediction" if sum(ranks.gather(self._labeled)) else "prediction"
        return Results([f"{self.written(ranks)} beside their {beside} in {self.folder}"])


# The option of EVAL that asks for it: (run folder, classes) -> sink.
FOLDERS = {"VISUALIZE": lambda run_dir, spec: SideBySide(run_dir / "result", spec)}
