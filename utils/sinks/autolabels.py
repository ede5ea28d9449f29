"""Predictions as labels for a further training: --dump_for_auto_labelling."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from utils.contracts import DatasetSpec
from utils.distributed import Ranks
from utils.sinks.base import ALONE, EvalItem
from utils.sinks.submission import id_table
from utils.visualize import encode_png, file_stem, to_array, write_file

_CITY = re.compile(r"(?P<city>[^_]+)_\d{6}_\d{6}")


class AutoLabels:
    """Writes `autolabelled/train_extra/<city>/<name>.png` (the dataset's own ids) and `<name>_prob.png` (8 bit:
    confidence * 255), as the loader of automatic labels reads them.

    Names of Cityscapes images go into a folder of their city, others lie directly in `train_extra`.
    """

    extras: tuple[str, ...] = ()

    def __init__(self, run_dir: Path, spec: DatasetSpec) -> None:
        self.folder = run_dir / "autolabelled" / "train_extra"
        self._table = id_table(spec)
        self._count = 0

    def add(self, item: EvalItem) -> None:
        """Write one image's label and probability."""
        name = file_stem(item.name).split("__")[-1] if _CITY.search(item.name) else file_stem(item.name)
        city = _CITY.match(name)
        folder = self.folder / city["city"] if city else self.folder
        # Rounded down: "at least this sure" must not come true by rounding.
        sure = np.clip(to_array(item.prediction.confidence) * 255, 0, 255).astype(np.uint8)
        write_file(folder / f"{name}.png", encode_png(self._table[to_array(item.prediction.classes)]))
        write_file(folder / f"{name}_prob.png", encode_png(sure))
        self._count += 1

    def close(self, ranks: Ranks = ALONE) -> str | None:
        """Say how many and where."""
        return f"{sum(ranks.gather(self._count))} automatic labels in {self.folder}"
