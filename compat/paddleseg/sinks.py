"""Pictures as PaddleSeg's predict.py writes them: --dump_pseudo_color."""

from __future__ import annotations

from pathlib import Path

from evaluation.sinks.base import ALONE, EvalItem, Results
from evaluation.sinks.folder import PictureFolder
from utils.distributed import DistributedContext
from utils.visualize import bit_colors, encode_indexed, encode_png, file_stem, overlay, to_array

ADDED, PSEUDO = "added_prediction", "pseudo_color_prediction"
COLOR = 0.4  # its share in the overlay; the image has the rest


class PseudoColor(PictureFolder):
    """Writes, of every image, `added_prediction/<name>.png`, 60 % image and 40 % color, and
    `pseudo_color_prediction/<name>.png`, the train ids with a palette.
    """

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir)
        self._table = bit_colors(first=1)  # without black, so class 0 is (128, 0, 0)
        self._palette = [tuple(color) for color in self._table.tolist()]

    def files(self, item: EvalItem) -> dict[str, bytes]:
        """Make both pictures of one image."""
        name, classes = f"{file_stem(item.name)}.png", to_array(item.prediction.classes)
        return {
            f"{ADDED}/{name}": encode_png(overlay(item.image, classes, self._palette, COLOR)),
            f"{PSEUDO}/{name}": encode_indexed(classes, self._table),
        }

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Say how many files were written, and where."""
        return Results([f"{self.written(ranks)} in {self.folder / ADDED} and {self.folder / PSEUDO}"])


# The option of EVAL that asks for it: (run folder, classes) -> sink.
FOLDERS = {"DUMP_PSEUDO_COLOR": lambda run_dir, _: PseudoColor(run_dir)}
