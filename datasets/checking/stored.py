"""Labels as their files have them, also those with values that are no class: training would stop at the first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from datasets import rawpixels
from datasets.base import Item
from datasets.itemreader import Tables
from datasets.labelvalues import ids_in
from datasets.reading import UNMAPPED, color_keys, color_text
from utils.contracts import DatasetSpec

COLOR = "is a color image"  # part of what is said of a label that is one


class Stored(NamedTuple):
    """A description of labels and its tables."""

    spec: DatasetSpec
    tables: Tables

    def decoded(self, data: bytes, item: Item) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        """Decode a label: (H, W) uint8 train ids, bool where a value has no class (ignored), {such a value: pixels}."""
        path, colors = str(item.label), self.tables.colors
        table = self.tables.train if item.train_ids else self.tables.own
        if item.piece is not None or colors is None:
            values = ids_in(data, path) if item.piece is None else rawpixels.label(path, item.piece)
            found = np.where(values < len(table), table[np.minimum(values, len(table) - 1)], UNMAPPED)
        else:
            values = color_keys(data, path)
            stored = colors[values].astype(np.int16) - 1
            found = np.where(stored >= 0, table[np.maximum(stored, 0)], UNMAPPED)
        unmapped = found == UNMAPPED
        label = np.where(unmapped, self.spec.ignore_label, found).astype(np.uint8)
        return label, unmapped, self._counted(values[unmapped], colors is not None and item.piece is None)

    def _counted(self, values: np.ndarray, are_colors: bool) -> dict[str, int]:
        """Count values that have no class, the most frequent first."""
        if not values.size:
            return {}
        found, pixels = np.unique(values, return_counts=True)
        text = color_text if are_colors else str
        order = np.argsort(-pixels, kind="stable")
        return {text(int(found[i])): int(pixels[i]) for i in order}


def stored_labels(spec: DatasetSpec) -> Stored:
    """Make the tables of a dataset."""
    return Stored(spec, Tables.of(spec))
