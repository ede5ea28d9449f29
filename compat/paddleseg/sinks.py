"""Pictures as PaddleSeg's predict.py writes them: --dump_pseudo_color."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evaluation.sinks.base import ALONE, EvalItem, Results, Sink
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.files import write_file
from utils.plural import counted
from utils.visualize import bit_colors, encode_indexed, encode_png, file_stem, overlay, to_array

COLOR = 0.4  # its share in the overlay; the image has the rest


class PseudoColor:
    """Writes, of every image, `added_prediction/<name>.png`, 60 % image and 40 % color, and
    `pseudo_color_prediction/<name>.png`, the train ids with a palette.
    """

    extras: tuple[str, ...] = ()

    def __init__(self, run_dir: Path) -> None:
        self.added, self.pseudo = run_dir / "added_prediction", run_dir / "pseudo_color_prediction"
        self._table = bit_colors(first=1)  # without black, so class 0 is (128, 0, 0)
        self._palette = [tuple(color) for color in self._table.tolist()]
        self._written = 0

    def add(self, item: EvalItem) -> None:
        """Write both pictures of one image."""
        name, classes = f"{file_stem(item.name)}.png", to_array(item.prediction.classes)
        write_file(self.added / name, encode_png(overlay(item.image, classes, self._palette, COLOR)))
        write_file(self.pseudo / name, encode_indexed(classes, self._table))
        self._written += 1

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Say how many."""
        written = counted(sum(ranks.gather(self._written)), "image")
        return Results([f"{written} in {self.added} and {self.pseudo}"])


# The option of EVAL that asks for it: (run folder, classes) -> sink.
FOLDERS: dict[str, Callable[[Path, DatasetSpec], Sink]] = {"DUMP_PSEUDO_COLOR": lambda run_dir, _: PseudoColor(run_dir)}
