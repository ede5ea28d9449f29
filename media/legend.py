"""A legend says which color is which class, and how much of the pictures each class takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from utils.contracts import DatasetSpec
from utils.plural import percent
from utils.visualize import to_array

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 0.001  # share of the pixels above which a class is listed
ROW, SWATCH, FONT, SIZE = 28, 40, cv2.FONT_HERSHEY_SIMPLEX, 0.55  # of the picture: pixels, and the letters' scale


class LegendEntry(NamedTuple):
    """One class with its color and its share of the pixels."""

    name: str
    color: tuple[int, int, int]
    share: float


class Legend:
    """Counts the pixels of each class over any number of pictures."""

    def __init__(self, spec: DatasetSpec) -> None:
        self.spec = spec
        self.pixels = np.zeros(spec.num_classes, np.int64)

    def add(self, classes: Tensor | np.ndarray) -> None:
        """Count (H, W) classes."""
        self.pixels += np.bincount(to_array(classes).ravel(), minlength=len(self.pixels))[: len(self.pixels)]

    def entries(self) -> list[LegendEntry]:
        """List the classes above 0.1 % of the pixels, the largest first."""
        shares = self.pixels / max(1, self.pixels.sum())
        order = np.argsort(-shares, kind="stable")
        found = (LegendEntry(self.spec.classes[k], self.spec.palette[k], float(shares[k])) for k in order)
        return [entry for entry in found if entry.share > LEAST]

    def lines(self) -> list[str]:
        """Give a line for each entry: share, color, name."""
        return [f"{percent(e.share):>6} %  #{bytes(e.color).hex()}  {e.name}" for e in self.entries()]

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8: a row for each entry, its color in front."""
        entries = self.entries()
        texts = [f"{e.name}  {percent(e.share)} %" for e in entries]
        width = max((cv2.getTextSize(text, FONT, SIZE, 1)[0][0] for text in texts), default=0)
        out = np.full((ROW * max(1, len(entries)), SWATCH + width + 24, 3), 255, np.uint8)
        for i, (entry, text) in enumerate(zip(entries, texts, strict=True)):
            out[i * ROW + 4 : (i + 1) * ROW - 4, 8:SWATCH] = entry.color
            cv2.putText(out, text, (SWATCH + 12, (i + 1) * ROW - 9), FONT, SIZE, (0, 0, 0), 1, cv2.LINE_AA)
        return out
