"""Pictures of faults in data: what of a file is wrong, and where."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from datasets.base import Item
from datasets.checking.faults import Fault
from datasets.checking.look import Reader
from media.reading import read_image
from utils.visualize import WRONG, encode_jpeg, overlay, shrink

LONG_EDGE = 420
_ZOOM = 96  # pixels of a file, the side of what is shown enlarged
_MENDED = (64, 220, 120)
Panels = dict[str, bytes]


class Album(NamedTuple):
    """Draws what was checked, by the reader that checked it."""

    reader: Reader

    def of_fault(self, fault: Fault) -> Panels:
        """Draw a fault: {caption: JPEG}; nothing where its files cannot be shown."""
        if fault.item is None:
            return {}
        try:
            return _DRAWN.get(fault.kind, _plain)(self, fault)
        except Exception:  # the file is wrong, which is why it is here; the page has its name
            return {}

    def of_item(self, item: Item) -> Panels:
        """Draw an image and its label: what a person sees at once where it is wrong."""
        try:
            return self.pair(item)
        except Exception:
            return {}

    def image(self, item: Item) -> np.ndarray:
        """Read (H, W, 3) uint8."""
        return self.reader.image_of(item)

    def pair(self, item: Item) -> Panels:
        """Draw an image, and under its label where it has one of its size."""
        image = self.image(item)
        found = {"image": _jpeg(image)}
        if item.label is None:
            return found
        try:
            label = self.reader.label_of(item)[0]
        except Exception:
            return found
        palette = self.reader.spec.palette
        if label.shape == image.shape[:2]:
            return {"image and label": _jpeg(overlay(image, label, palette, 0.6)), **found}
        return {**found, "label": _jpeg(overlay(np.zeros((*label.shape, 3), np.uint8), label, palette, 1.0), False)}


def _plain(album: Album, fault: Fault) -> Panels:
    assert fault.item
    return album.pair(fault.item)


def _two(album: Album, fault: Fault) -> Panels:
    """Draw both images of a pair."""
    if fault.item is None or fault.other is None:
        return _plain(album, fault)
    return {"this": _jpeg(album.image(fault.item)), "the other": _jpeg(album.image(fault.other))}


def _unmapped(album: Album, fault: Fault) -> Panels:
    """Draw where values without a class are, in red, and the first place of them enlarged."""
    assert fault.item
    image, (_, wrong) = album.image(fault.item), album.reader.label_of(fault.item)
    image = cv2.resize(image, wrong.shape[::-1], interpolation=cv2.INTER_AREA)
    dim = np.repeat((cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) * 0.6).astype(np.uint8)[..., None], 3, 2)
    dim[wrong] = WRONG
    factor = max(wrong.shape) / LONG_EDGE
    thick = cv2.dilate(wrong.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=max(0, round(factor / 2))) > 0
    whole = dim.copy()
    whole[thick] = WRONG  # a single pixel would be lost where the picture is made small
    y, x = (int(v) for v in np.argwhere(wrong)[0])
    top, left = max(0, y - _ZOOM // 2), max(0, x - _ZOOM // 2)
    part = dim[top : top + _ZOOM, left : left + _ZOOM]
    large = cv2.resize(part, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    return {"where (red)": _jpeg(whole), f"enlarged, from ({left}, {top}) on": _jpeg(large)}


def _misplaced(album: Album, fault: Fault) -> Panels:
    """Draw the borders of a label over its image, as they lie and, where that is known, as they would fit."""
    assert fault.item
    image, label = album.image(fault.item), album.reader.label_of(fault.item)[0]
    edges = np.zeros(label.shape, bool)
    edges[:, 1:] |= label[:, 1:] != label[:, :-1]
    edges[1:] |= label[1:] != label[:-1]
    found = {"borders of the label": _jpeg(_traced(image, edges, WRONG))}
    if fault.move:
        matrix = np.array([[1, 0, fault.move[0]], [0, 1, fault.move[1]]], np.float32)
        moved = cv2.warpAffine(edges.astype(np.uint8), matrix, edges.shape[::-1]) > 0
        found[f"moved by {fault.move[0]}, {fault.move[1]} pixels"] = _jpeg(_traced(image, moved, _MENDED))
    return found


def _traced(image: np.ndarray, edges: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    width = max(1, round(max(edges.shape) / LONG_EDGE))
    thick = cv2.dilate(edges.astype(np.uint8), np.ones((width, width), np.uint8)) > 0
    out = image.copy()
    out[thick] = color
    return out


def _label_as_it_is(album: Album, fault: Fault) -> Panels:
    """Draw an image, and beside it the picture that stands in its label's place."""
    assert fault.item and fault.item.label
    return {"image": _jpeg(album.image(fault.item)), "what should be its label": _jpeg(read_image(fault.item.label))}


def _jpeg(image: np.ndarray, smooth: bool = True) -> bytes:
    return encode_jpeg(shrink(image, LONG_EDGE, smooth))


_DRAWN: dict[str, Callable[[Album, Fault], Panels]] = {
    "leak": _two,
    "duplicate": _two,
    "repeated-label": _two,
    "unmapped-value": _unmapped,
    "misplaced-label": _misplaced,
    "color-label": _label_as_it_is,
    "label-is-image": _label_as_it_is,
    "lossy-label": _plain,
}
