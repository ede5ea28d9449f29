"""How sure the network is of each pixel: --dump_confidence."""

from __future__ import annotations

import numpy as np

from evaluation.sinks.base import ALONE, EvalItem, Results
from evaluation.sinks.folder import PictureFolder
from utils.distributed import DistributedContext
from utils.visualize import encode_png, file_stem, probability_bytes


class ConfidenceMaps(PictureFolder):
    """Writes `<folder>/<name>.png` of every image: the probability of each pixel's class, 8 bits, probability * 255."""

    def files(self, item: EvalItem) -> dict[str, bytes]:
        """Make the file of one image, (H, W) uint8."""
        values: np.ndarray = probability_bytes(item.prediction.max_prob)
        return {f"{file_stem(item.name)}.png": encode_png(values)}

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Say how many files were written, and where."""
        return Results([f"certainty (probability * 255) of {self.written(ranks)} in {self.folder}"])
