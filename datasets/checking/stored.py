"""Labels as their files have them, also those with values that are no class: training would stop at the first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from datasets.base import Item
from datasets.labelvalues import ids_in
from datasets.reading import UNMAPPED, color_keys, color_lut, color_text, label_lut
from utils.contracts import DatasetSpec

COLOR = "is a color image"  # part of what is said of a label that is one


class Stored(NamedTuple):
    """Tables from stored values to train ids: of the dataset's ids, of train ids, and of colors where there are any."""

    spec: DatasetSpec
    ids: tuple[np.ndarray, np.ndarray]
    colors: np.ndarray | None

    def decoded(self, data: bytes, item: Item) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        """Decode a label: (H, W) uint8 train ids, bool where a value has no class (ignored), {such a value: pixels}."""
        path, table = str(item.label), self.ids[bool(item.train_ids)]
        if self.colors is None:
            values = ids_in(data, path)
            found = np.where(values < len(table), table[np.minimum(values, len(table) - 1)], UNMAPPED)
        else:
            values = color_keys(data, path)
            stored = self.colors[values].astype(np.int16) - 1
            found = np.where(stored >= 0, table[np.maximum(stored, 0)], UNMAPPED)
        unmapped = found == UNMAPPED
        label = np.where(unmapped, self.spec.ignore_label, found).astype(np.uint8)
        return label, unmapped, self._counted(values[unmapped])

    def _counted(self, values: np.ndarray) -> dict[str, int]:
        """Count values that have no class, the most frequent first."""
        if not values.size:
            return {}
        found, pixels = np.unique(values, return_counts=True)
        text = str if self.colors is None else color_text
        order = np.argsort(-pixels, kind="stable")
        return {text(int(found[i])): int(pixels[i]) for i in order}


def stored_labels(spec: DatasetSpec) -> Stored:
    """Make the tables of a dataset."""
    colors = color_lut(spec.color_to_id) if spec.color_to_id else None
    return Stored(spec, (label_lut(spec), label_lut(spec, train_ids=True)), colors)
