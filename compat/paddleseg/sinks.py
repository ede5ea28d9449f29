"""Pictures as PaddleSeg's predict.py writes them: --dump_pseudo_color."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from evaluation.sinks.base import ALONE, EvalItem, Results, Sink
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.files import write_file
from utils.plural import counted
from utils.visualize import encode_indexed, encode_png, file_stem, overlay, to_array

COLOR = 0.4  # its share in the overlay; the image has the rest


def colors() -> np.ndarray:
    """(256, 3) uint8: Pascal VOC's colors without its black, so class 0 is (128, 0, 0).

    Bit 3k + c of the class's number, counted from 1, is bit 7 - k of its channel c.
    """
    number, channel = np.arange(1, 257)[:, None], np.arange(3)
    bits = [((number >> (3 * k + channel)) & 1) << (7 - k) for k in range(8)]
    return np.sum(bits, axis=0).astype(np.uint8)


class PseudoColor:
    """Writes, of every image, `added_prediction/<name>.png`, 60 % image and 40 % color, and
    `pseudo_color_prediction/<name>.png`, the train ids with a palette.
    """

    extras: tuple[str, ...] = ()

    def __init__(self, run_dir: Path) -> None:
        self.added, self.pseudo = run_dir / "added_prediction", run_dir / "pseudo_color_prediction"
        self._table = colors()
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
