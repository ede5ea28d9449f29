"""Label values as pictures that show their classes' colors: --dump_palette."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evaluation.sinks.base import ALONE, EvalItem, Results
from evaluation.sinks.folder import PictureFolder
from utils.contracts import DatasetSpec, id_table
from utils.distributed import DistributedContext
from utils.visualize import encode_indexed, encode_png, file_stem, to_array


class LabelMaps(PictureFolder):
    """Writes `<folder>/<name>.png` of every image: the dataset's own ids, each with the color of its class.

    Datasets whose submissions are written in train ids also have those here. Values that are no class are black. Ids
    above 255 need 16 bits, which have no colors in a PNG: they are gray.
    """

    def __init__(self, folder: Path, spec: DatasetSpec) -> None:
        super().__init__(folder)
        self._ids = id_table(spec)
        self._colors = np.zeros((256, 3), np.uint8)
        if self._ids.dtype == np.uint8:
            self._colors[self._ids[: spec.num_classes]] = spec.palette

    def files(self, item: EvalItem) -> dict[str, bytes]:
        """Make the file of one image, with its label ids."""
        ids = self._ids[to_array(item.prediction.classes)]
        data = encode_indexed(ids, self._colors) if ids.dtype == np.uint8 else encode_png(ids)
        return {f"{file_stem(item.name)}.png": data}

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Say how many files were written, and where."""
        how = "with colors" if self._ids.dtype == np.uint8 else "of 16 bits, without colors (ids above 255),"
        return Results([f"{self.written(ranks, 'label map')} {how} in {self.folder}"])
