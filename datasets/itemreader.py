"""Reads images and labels of items: files, or pieces of huge ones; labels as train ids by their own classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from datasets import rawpixels
from datasets.reading import color_lut, label_lut, read_label, read_rgb_encoded, remap_labels
from media.reading import read_turned
from utils.contracts import DatasetSpec
from utils.errors import UserError

if TYPE_CHECKING:
    from datasets.base import Item


class Tables(NamedTuple):
    """What maps stored values to train ids: by the dataset's own ids, by train ids; and colors to values, if it has
    some."""

    own: np.ndarray
    train: np.ndarray
    colors: np.ndarray | None

    @classmethod
    def of(cls, spec: DatasetSpec) -> Tables:
        """Tabulate the classes of a description."""
        left_out = [value for value, train in spec.values().items() if train == spec.ignore_label]
        rest = left_out[0] if spec.ignores_rest else -1
        colors = color_lut(spec.color_to_id, rest) if spec.color_to_id else None
        return cls(label_lut(spec), label_lut(spec, train_ids=True), colors)


class ItemReader:
    """Reads items of a dataset of classes `spec`. `image_bits`: as `media.reading.read_image`."""

    def __init__(self, spec: DatasetSpec, image_bits: int) -> None:
        self.spec, self.image_bits = spec, image_bits
        self._tables: dict[int, tuple[DatasetSpec, Tables]] = {}
        self._of(spec)

    def _of(self, spec: DatasetSpec) -> Tables:
        """Give the tables of a description, made once."""
        known = self._tables.get(id(spec))
        if known is None or known[0] is not spec:  # in another process ids are others'
            known = self._tables[id(spec)] = (spec, Tables.of(spec))
        return known[1]

    def image(self, item: Item) -> tuple[np.ndarray, bool]:
        """Read (H, W, 3) uint8 RGB, and whether the file asks for a turn."""
        if item.piece is not None:
            return rawpixels.image(item.image, item.piece, self.image_bits), False
        return read_turned(item.image, item.exif_turned, self.image_bits)

    def label(self, item: Item) -> np.ndarray:
        """Read the (H, W) uint8 train ids of an item that has a label."""
        assert item.label is not None
        if item.piece is None:
            return self.mapped(item, item.label, item.train_ids)
        spec = item.spec or self.spec
        values = rawpixels.label(item.label, item.piece)
        return self._remapped(values, item.label, item.train_ids, spec)

    def mapped(self, item: Item, path: str, train_ids: bool | None) -> np.ndarray:
        """Read a file of the label values of an item as train ids."""
        spec = item.spec or self.spec
        colors = self._of(spec).colors
        values = read_label(path) if colors is None else read_rgb_encoded(path, colors, spec.name)
        return self._remapped(values, path, train_ids, spec)

    def _remapped(self, values: np.ndarray, path: str, train_ids: bool | None, spec: DatasetSpec) -> np.ndarray:
        assert train_ids is not None, f"nobody has said what ids {path} holds"
        tables = self._of(spec)
        return remap_labels(values, tables.train if train_ids else tables.own, path, spec)


def check_size(item: Item, image: np.ndarray, label: np.ndarray | None) -> None:
    """Raise UserError where an image has another size than its list says, or than its label."""
    if item.size is not None and item.size != image.shape[:2]:
        raise UserError(
            f"{item.image} is {image.shape[1]}x{image.shape[0]} pixels, its list says {item.size[1]}x{item.size[0]}"
        )
    if label is not None and label.shape != image.shape[:2]:
        raise UserError(
            f"{item.label} is {label.shape[1]}x{label.shape[0]} pixels, "
            f"its image {item.image} {image.shape[1]}x{image.shape[0]}"
        )
