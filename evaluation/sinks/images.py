"""Pictures of some or all images: --dump_assets, --dump_all_images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from evaluation.sinks.base import ALONE, EvalItem, Results
from evaluation.sinks.folder import PictureFolder
from evaluation.sinks.seedmaps import OUTPUTS, seed_pictures
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.visualize import colorize, encode_png, error_map, file_stem, heat, overlay

ABOUT = 10


def pictures_of(item: EvalItem, spec: DatasetSpec, extras: Sequence[str] = ()) -> Iterator[tuple[str, np.ndarray]]:
    """Draw input, truth, prediction and error, (H, W, 3) each, in this order; without a label the first and third.

    One after another: together those of a large image would be several times its size. `extras`: outputs of the network
    that follow where they are there, those of seed pixels left out.
    """
    classes, palette = item.prediction.classes, spec.palette
    yield "input", item.image
    if item.label is not None:
        yield "truth", colorize(item.label, palette)
    yield "prediction", colorize(classes, palette)
    if item.label is not None:
        yield "error", error_map(item.image, classes, item.label, spec.ignore_label)
    for name in extras:
        if name in item.prediction.extras and name not in OUTPUTS:
            value = item.prediction.extras[name]  # (C, h, w)
            yield name, heat(value) if value.shape[0] == 1 else colorize(value.argmax(0), palette)


class Images(PictureFolder):
    """Writes `<name>_{input,prediction,composite,confidence}.png`, with a label `_truth` and `_error`, and with
    `extras` a `_pred_05x` (class colors) or `_attn_05x` (viridis, 0 to 1) for each output that is there. With those of
    seed pixels among them `_{arrows,initial,seed,seed_confidence}.png`, see `seed_pictures`.

    About ten images spread over `expected` of all ranks, or `everything`.
    """

    def __init__(
        self, folder: Path, spec: DatasetSpec, expected: int, everything: bool = False, extras: tuple[str, ...] = ()
    ) -> None:
        super().__init__(folder)
        self.spec, self.extras = spec, extras
        self._every, self._seen = 1 if everything else max(1, expected // ABOUT), 0

    def add(self, item: EvalItem) -> None:
        """Write the pictures of every n-th image."""
        if self._seen % self._every == 0:
            super().add(item)
        self._seen += 1

    def files(self, item: EvalItem) -> dict[str, bytes]:
        """Make all pictures of one image."""
        prediction, palette = item.prediction, self.spec.palette
        shown = {name: prediction.extras[name] for name in self.extras if name in prediction.extras}

        def further() -> Iterator[tuple[str, np.ndarray]]:
            yield "composite", overlay(item.image, prediction.classes, palette)
            yield "confidence", heat(prediction.max_prob)
            yield from seed_pictures(item.image, shown, palette).items()

        pictures = chain(pictures_of(item, self.spec, self.extras), further())
        return {f"{file_stem(item.name)}_{kind}.png": encode_png(picture) for kind, picture in pictures}

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Say how many files were written, and where."""
        return Results([f"{self.written(ranks)} in {self.folder}"])
