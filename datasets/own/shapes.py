"""What annotation tools draw over a picture: outlines with holes, and masks; and what was noticed in reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from utils.errors import UserError
from utils.names import shown

MOST_PIXELS = 1 << 30  # of one picture: what a file declares beyond it is refused before memory is asked for
_FARTHEST = 1e7  # a coordinate beyond it is a mistake of the file, not a place


class Mask(NamedTuple):
    """Pixels of an object, whose first one is at (left, top) of the picture; `pixels()` makes (height, width) bool."""

    left: int
    top: int
    size: tuple[int, int]
    pixels: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Shape:
    """One object: the union of its `rings`, (N, 2) float64 of x and y each, without its `holes`; or a `mask`.

    `name`, `id`: its class as the file calls it, and the number of that, where the format has one. (0, 0) is the upper
    left corner of the upper left pixel, (0.5, 0.5) its center. `closed`: pixels whose center lies on an outline belong
    to the object, as where points name pixels; otherwise those at its left and upper side do. `order`: a larger one
    lies above a smaller one, among equal ones the later above the earlier.
    """

    name: str
    id: int | None = None
    rings: tuple[np.ndarray, ...] = ()
    holes: tuple[np.ndarray, ...] = ()
    mask: Mask | None = None
    closed: bool = False
    order: int = 0

    def box(self) -> tuple[float, float, float, float] | None:
        """Give the left, upper, right and lower end; None for an object without pixels."""
        if self.mask is not None:
            (height, width), left, top = self.mask.size, self.mask.left, self.mask.top
            return left, top, left + width, top + height
        if not self.rings:
            return None
        low, high = (np.array([f(ring, 0) for ring in self.rings]) for f in (np.min, np.max))
        return (*low.min(0).tolist(), *high.max(0).tolist())


class Remarks:
    """What a reader left out or changed: how often, and where first. It goes on; the log says it once."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def add(self, what: str, where: str, count: int = 1) -> None:
        """Note cases of `what`, a sentence: "outlines have under 3 points: left out"."""
        self.counts[what] += count
        self.first.setdefault(what, where)

    def lines(self) -> tuple[str, ...]:
        """Write one line for each kind of remark."""
        return tuple(f"{what} ({count}; the first: {self.first[what]})" for what, count in self.counts.items())

    def outside(self, shape: Shape, size: tuple[int, int], where: str) -> None:
        """Note an object that reaches out of an image of (H, W) by more than a pixel, and one that is not in it."""
        box = shape.box()
        if box is None:
            return
        left, top, right, bottom = box
        if right <= 0 or bottom <= 0 or left >= size[1] or top >= size[0]:
            self.add("objects lie outside of their image: left out", where)
        elif left < -1 or top < -1 or right > size[1] + 1 or bottom > size[0] + 1:
            self.add("objects reach out of their image: cut at its border", where)

    def skipped(self, kind: Any, where: str) -> None:
        """Note an object of a kind that covers no pixels, or none that could be told."""
        self.add(f"objects of the kind {shown(str(kind)[:40])} give no exact area: left out", where)


def outline(values: Any, where: str, remarks: Remarks) -> np.ndarray | None:
    """Read an outline, [[x, y], ...] or [x, y, x, y, ...], as (N, 2) float64; None, noted, for one that has no area.

    UserError for what is no list of finite numbers.
    """
    found = numbers(values, where)
    if len(found) < 3 or (len(found) < 9 and len({*map(tuple, found.tolist())}) < 3):
        remarks.add("outlines have under 3 different points: left out", where)
        return None
    return found


def numbers(values: Any, where: str) -> np.ndarray:
    """Read points as (N, 2) float64; UserError for what is none, or no place in any picture."""
    try:
        if isinstance(values, (str, bytes)):
            raise TypeError
        found = np.asarray(values)
        if found.size and found.dtype.kind not in "iuf":
            raise TypeError
        found = found.astype(np.float64).reshape(-1, 2) if found.ndim < 2 else found.astype(np.float64)
        if found.ndim != 2 or found.shape[1] != 2:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise UserError(f"{where}: {shown(f'{values!r:.60}')} is no list of points of two numbers each") from None
    if found.size and not (good := np.abs(found) <= _FARTHEST).all():
        raise UserError(f"{where}: {found[~good][0]:g} is no coordinate of a point")
    return found


def declared_size(height: Any, width: Any, where: str) -> tuple[int, int]:
    """Check a size that a file declares; UserError for what is none, and for more than memory should be asked for."""
    if not (_whole(height) and _whole(width) and height > 0 and width > 0):
        raise UserError(f"{where}: {shown(f'{width!r:.40} x {height!r:.40}')} is no size of a picture")
    if height * width > MOST_PIXELS:
        raise UserError(f"{where}: {width} x {height} pixels are more than {MOST_PIXELS}")
    return height, width


def placed(left: Any, top: Any, where: str) -> tuple[int, int]:
    """Check where a file puts a mask; UserError for a place that is none."""
    if not (_whole(left) and _whole(top) and max(abs(left), abs(top)) <= _FARTHEST):
        raise UserError(f"{where}: {shown(f'({left!r:.40}, {top!r:.40})')} is no place of a mask")
    return left, top


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
    """List the corners of an upright rectangle."""
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def ellipse(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    """Draw an ellipse as an outline (N, 2) that is nowhere more than a hundredth of a pixel from it."""
    largest = float(np.clip(max(abs(rx), abs(ry)), 0.1, _FARTHEST))
    steps = int(np.clip(np.ceil(np.pi / np.sqrt(0.02 / largest)), 16, 4096))
    angles = np.arange(steps) * (2 * np.pi / steps)
    return np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], 1)


def turned(points: Any, degrees: float, center: Sequence[float] | None = None) -> np.ndarray:
    """Turn an outline clockwise, as pictures are seen, about its middle or a given center."""
    ring = np.asarray(points, np.float64)
    middle = ring.mean(0) if center is None else np.asarray(center, np.float64)
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return (ring - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle if degrees else ring


def hex_color(text: Any) -> tuple[int, int, int] | None:
    """Read "#RRGGBB"; None for anything else."""
    try:
        number = int(str(text)[1:7], 16)
    except ValueError:
        return None
    return (number >> 16, number >> 8 & 255, number & 255) if str(text)[:1] == "#" and len(str(text)) == 7 else None
