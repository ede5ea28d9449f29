"""Label values as pictures that show their classes' colors: --dump_palette."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evaluation.sinks.base import EvalItem, FileSink
from evaluation.sinks.submission import id_table
from utils.contracts import DatasetSpec
from utils.files import write_file
from utils.visualize import encode_indexed, encode_png, file_stem, to_array


class LabelMaps(FileSink):
    """Writes `<folder>/<name>.png` of every image: the dataset's own ids, each with the color of its class.

    Datasets whose submissions are written in train ids have those here, too. Values that are no class are black. Ids
    above 255 need 16 bits, which have no colors in a PNG: they are gray.
    """

    def __init__(self, folder: Path, spec: DatasetSpec) -> None:
        self.folder, self._ids = folder, id_table(spec)
        self._colors = np.zeros((256, 3), np.uint8)
        how = "of 16 bits, without colors (ids above 255),"
        if self._ids.dtype == np.uint8:
            self._colors[self._ids[: spec.num_classes]] = spec.palette
            how = "with colors"
        super().__init__(f"{how} in {folder}", "label map")

    def add(self, item: EvalItem) -> None:
        """Write one image's ids."""
        ids = self._ids[to_array(item.prediction.classes)]
        data = encode_indexed(ids, self._colors) if ids.dtype == np.uint8 else encode_png(ids)
        write_file(self.folder / f"{file_stem(item.name)}.png", data)
        self.written += 1
