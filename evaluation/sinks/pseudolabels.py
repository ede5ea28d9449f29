"""Predictions as labels for a further training: --dump_for_auto_labelling, scripts/auto_label.py."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets import labelrecord
from evaluation.sinks.base import ALONE, EvalItem, Results, Sink
from evaluation.sinks.coverage import Coverage
from utils.contracts import DatasetSpec, id_table
from utils.distributed import DistributedContext
from utils.errors import UserError, nearest
from utils.files import write_file
from utils.plural import counted
from utils.visualize import encode_png, file_stem, to_array

_CITY = re.compile(r"(?P<city>[^_]+)_\d{6}_\d{6}_leftImg8bit")


def place(name: str) -> str:
    """Tell where below `train_extra` the label of an image lies, without suffix: in its city's folder for Cityscapes
    names, else where its name says.
    """
    last = file_stem(name).split("__")[-1]
    city = _CITY.fullmatch(last)
    return f"{city['city']}/{last}" if city else name


def ignored_id(spec: DatasetSpec) -> int:
    """Give a label value that reading maps to ignore, 255 where that is one. UserError where there is none."""
    values = spec.values(train_ids=not spec.train_to_id)
    ignored = [value for value, train in values.items() if train == spec.ignore_label]
    if not ignored:
        free = next(value for value in range(254, -1, -1) if value not in values)
        raise UserError(
            f"pseudo-labels need a value for what they leave out, and each of {spec.name} is a class: "
            f"add one that is none to the file of --classes (ignore: [{free}])"
        )
    return max(ignored, key=lambda value: (value < 256, value))


def thresholds(parts: Sequence[str], spec: DatasetSpec, default: float = 0.9) -> list[float]:
    """Read the least confidence of every class: "0.9" for all, "road=0.95" for one; UserError for others."""
    known = {name.lower(): k for k, name in enumerate(spec.classes)}
    least, own = default, {}
    for part in parts:
        name, _, number = part.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise UserError(f"--threshold takes numbers from 0 to 1, like 0.9 or 0.9,road=0.95, not {part!r}")
        if not name:
            least = value
        elif name.strip().lower() in known:
            own[known[name.strip().lower()]] = value
        else:
            raise UserError(f"--threshold: no class {name!r}{nearest(name, spec.classes)}")
    return [own.get(k, least) for k in range(spec.num_classes)]


class PseudoLabels(Sink):
    """Writes `train_extra/<city>/<name>.png` (the dataset's own ids) and `<name>_prob.png` (8 bit: confidence * 255),
    as the loader of pseudo-labels reads them, and `autolabels.json` with the names of the classes.

    Names of Cityscapes images go into a folder of their city, others lie in `train_extra` as they are called.
    `thresholds`: confidence that a pixel of each class needs, else it is ignored. `made`: for the record.
    `coverage` counts what is kept.
    """

    def __init__(
        self,
        folder: Path,
        spec: DatasetSpec,
        thresholds: Sequence[float] = (),
        made: Mapping[str, Any] | None = None,
        coverage: Coverage | None = None,
    ) -> None:
        self.folder, self.spec, self.made, self.coverage = folder, spec, made or {}, coverage
        self.thresholds = np.asarray(thresholds or [0.0] * spec.num_classes)
        self._ignored = ignored_id(spec)
        self._table = id_table(spec).astype(np.uint16 if self._ignored > 255 else id_table(spec).dtype)
        self._count = 0

    def files(self, name: str) -> tuple[Path, Path]:
        """Label and probability of an image. The label is written last: where it is, the other is as well."""
        path = self.folder / "train_extra" / place(name)
        return path.with_name(f"{path.name}.png"), path.with_name(f"{path.name}_prob.png")

    def add(self, item: EvalItem) -> None:
        """Write one image's label and probability."""
        label_file, probability_file = self.files(item.name)
        classes, confidence = to_array(item.prediction.classes), to_array(item.prediction.max_prob)
        # Rounded down: "at least this sure" must not come true by rounding.
        sure = np.clip(confidence * 255, 0, 255).astype(np.uint8)
        kept = sure >= (self.thresholds * 255)[classes]  # as --custom_coarse_prob compares
        write_file(probability_file, encode_png(sure))
        write_file(label_file, encode_png(np.where(kept, self._table[classes], self._table.dtype.type(self._ignored))))
        if self.coverage is not None:
            counts = [np.bincount(part.ravel(), minlength=self.spec.num_classes) for part in (classes, classes[kept])]
            self.coverage.add(item.name, *counts)
        self._count += 1

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Say how many and where."""
        total = sum(ranks.gather(self._count))
        if ranks.is_main and total:
            labelrecord.write(self.folder, self.spec, self.made)
        return Results([f"{counted(total, 'pseudo-label')} in {self.folder}"])
