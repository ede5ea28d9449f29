"""One self-contained HTML page of the most suspicious areas: image, label, prediction, and where they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from evaluation import pages
from evaluation.labelcheck.areas import CLASS, MISSING, PART, Area, mask_of
from evaluation.pages import css_color, data_uri
from utils.contracts import DatasetSpec
from utils.files import write_file
from utils.names import shown, valid
from utils.plural import counted
from utils.visualize import RIGHT_DIM, VOID, WRONG, colorize, encode_jpeg, encode_png, shrink

FRAME, OTHER = (255, 215, 0), (255, 165, 64)
LONG_EDGE, MARGIN, LEAST_SIDE = 320, 0.75, 96  # of a picture, around an area in its own sides, of a cut
IMAGES, PAIRS = 20, 20  # rows of the tables
MEANING = {
    CLASS: "an object with another class",
    MISSING: "an object that the label lacks",
    PART: "a part of an object, or its border",
}


@dataclass(frozen=True)
class Shown:
    """An area on the page, and its pictures: caption -> JPEG or PNG bytes."""

    area: Area
    score: float
    panels: Mapping[str, bytes]


@dataclass(frozen=True)
class PageData:
    """All that the page shows. `facts`: tiles (name, value); `notes`: what a reader has to know; `images`: (image, its
    areas, the sum of their scores), the worst first.
    """

    title: str
    command: str
    date: str
    spec: DatasetSpec
    rows: Sequence[Shown] = ()
    images: Sequence[tuple[str, int, float]] = ()
    facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


def write_page(path: Path, data: PageData) -> None:
    """Write the page, replacing an older one whole or not at all. UserError if it cannot be written."""
    write_file(path, valid(render(data)).encode())


def render(data: PageData) -> str:
    """Write the page as text. Pure: the same data give the same page."""
    names = data.spec.classes
    pairs = Counter((names[row.area.labeled], names[row.area.predicted]) for row in data.rows)
    view = {
        "data": data,
        "rows": [_row(row, names) for row in data.rows],
        "legend": [(name, css_color(color)) for name, color in zip(names, data.spec.palette, strict=True)],
        "images": [(shown(name), count, f"{total:.1f}") for name, count, total in data.images[:IMAGES]],
        "pairs": [(*pair, count) for pair, count in pairs.most_common(PAIRS)],
    }
    return pages.render("label_errors.html.j2", view)


def _row(row: Shown, names: Sequence[str]) -> dict[str, object]:
    """Make a row for the template."""
    area, image = row.area, shown(row.area.image)
    left, top, width, height = area.file_box
    facts = [f"score {row.score:.2f}", counted(area.pixels, "pixel"), f"{width}x{height} at {left}, {top}"]
    panels = [(caption, f"{caption} of {image}", data_uri(data)) for caption, data in row.panels.items()]
    labeled, predicted = names[area.labeled], names[area.predicted]
    meaning = MEANING[area.kind]
    return {
        "image": image, "labeled": labeled, "predicted": predicted, "kind": meaning, "facts": facts, "panels": panels
    }  # fmt: skip


def pictures(
    area: Area, image: np.ndarray, label: np.ndarray, classes: np.ndarray, spec: DatasetSpec
) -> dict[str, bytes]:
    """Draw the whole image with a frame, and of the area's surroundings image, label, prediction and difference.

    `image` (H, W, 3), `label` and `classes` (H, W), all uint8.
    """
    top, bottom, left, right = cut_around(area.box, label.shape)
    cut = np.s_[top:bottom, left:right]
    found = {
        "whole image": encode_jpeg(shrink(framed(image, area.box), LONG_EDGE)),
        "image": encode_jpeg(_scaled(image[cut], smooth=True)),
    }
    difference = difference_map(image, label, classes, mask_of(area, label, classes, spec.ignore_label), spec)
    flat = {"label": colorize(label, spec.palette), "prediction": colorize(classes, spec.palette)}
    for name, picture in {**flat, "where they differ": difference}.items():
        found[name] = encode_png(_scaled(picture[cut], smooth=False), level=9)
    return found


def cut_around(box: Sequence[int], size: Sequence[int]) -> tuple[int, int, int, int]:
    """Give top, bottom, left, right of the surroundings of a box (left, top, width, height) in an image of (H, W)."""
    spans = []
    for start, length, whole in ((box[1], box[3], size[0]), (box[0], box[2], size[1])):
        side = min(whole, max(LEAST_SIDE, round(length * (1 + 2 * MARGIN))))
        first = min(max(0, start + length // 2 - side // 2), whole - side)
        spans += [first, first + side]
    return spans[0], spans[1], spans[2], spans[3]


def framed(image: np.ndarray, box: Sequence[int]) -> np.ndarray:
    """Draw a frame around a box."""
    left, top, width, height = box
    thick = max(2, max(image.shape[:2]) // 160)
    corners = (left - thick, top - thick), (left + width + thick, top + height + thick)
    return cv2.rectangle(image.copy(), *corners, FRAME, thick)


def difference_map(
    image: np.ndarray, label: np.ndarray, classes: np.ndarray, mask: np.ndarray, spec: DatasetSpec
) -> np.ndarray:
    """Draw the image dimmed and gray, the area `mask` red, other differing pixels orange, ignored ones black."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    out = np.repeat((gray * RIGHT_DIM).astype(np.uint8)[..., None], 3, axis=2)
    out[classes != label] = OTHER
    out[mask] = WRONG
    out[label == spec.ignore_label] = VOID
    return out


def _scaled(picture: np.ndarray, smooth: bool) -> np.ndarray:
    """Enlarge or shrink a cut to the size of the page's pictures."""
    factor = LONG_EDGE / max(picture.shape[:2])
    if factor <= 1:
        return shrink(picture, LONG_EDGE, smooth)
    how = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how)
