"""Does a label lie over its image? Where classes meet, images have edges more often than elsewhere.

Both are made small, the label's borders and the strength of the image's edges, and compared at every shift: the best
one of a label that was drawn over this image is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

SIDE, REACH = 128, 16  # of the maps, pixels: their long side, and the largest shift that is tried
_LEAST_SIDE = 40  # of their short side: below it chance is as good
_NEAR = 1  # shifts that are none: rounding, and labels drawn a little beside the edge
_BORDERS = 0.004  # mean of the border map above which there is something to compare
_STRONG, _BETTER, _ALONE = 0.15, 1.3, 1.2  # the least correlation, and how far it has to stand out
_SCALES = (0.7, 0.75, 0.8, 0.85, 0.9, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4)


class Fit(NamedTuple):
    """How well a label fits where it is: `here`, a correlation, NaN where it cannot be told; `surface` (2 REACH + 1,
    2 REACH + 1) at all shifts; what is wrong with it, empty for nothing; the `move`, (x, y) pixels of the label, that
    would mend it.
    """

    here: float
    surface: np.ndarray | None = None
    what: str = ""
    move: tuple[int, int] | None = None


UNKNOWN = Fit(float("nan"))


def fit(image: np.ndarray, label: np.ndarray, ignore: int) -> Fit:
    """Compare a label (H, W) uint8 with its image (H, W, 3) uint8."""
    height, width = label.shape
    factor = min(1.0, SIDE / max(height, width))
    size = round(width * factor), round(height * factor)
    if min(size) < _LEAST_SIDE:
        return UNKNOWN
    borders = _borders(label, ignore, size)
    if borders.mean() < _BORDERS:
        return UNKNOWN
    edges = _flat(_edges(image, size))
    surface = _surface(edges, _flat(borders))
    here = float(_middle(surface, _NEAR).max())
    what, move = _shift(surface, here, 1 / factor)
    if not what and here < _STRONG:
        what = _other_way(edges, borders, here)
    return Fit(here, surface, what, move)


def of_all(mean: np.ndarray, pixel: float) -> str:
    """Say what is wrong with all labels of a split by their mean surface; `pixel`: those of labels in one of it."""
    here = float(_middle(mean, _NEAR).max())
    y, x = (int(v) - REACH for v in np.unravel_index(mean.argmax(), mean.shape))
    if max(abs(x), abs(y)) <= _NEAR or mean.max() < max(_STRONG / 3, _BETTER * here):
        return ""
    return f"most labels lie about {_pixels(-x * pixel, -y * pixel)} beside their images"


def _borders(label: np.ndarray, ignore: int, size: tuple[int, int]) -> np.ndarray:
    """Map where two classes meet, neither of them ignored: `size` (w, h), 0 to 0.5."""
    found = np.zeros(label.shape, np.uint8)
    known = label != ignore
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        met = (label[one] != label[other]) & known[one] & known[other]
        found[one] |= met
        found[other] |= met
    small = cv2.resize(found.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.minimum(small, 0.5)  # a border is a border, be it wiggly


def _edges(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Map how strong an image's edges are; the root keeps those of the sun from hiding all others."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    double = min(2 * size[0], gray.shape[1]), min(2 * size[1], gray.shape[0])
    gray = cv2.resize(gray, double, interpolation=cv2.INTER_AREA).astype(np.float32)
    strength = np.sqrt(cv2.magnitude(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)))
    return cv2.resize(strength, size, interpolation=cv2.INTER_AREA)


def _flat(values: np.ndarray) -> np.ndarray:
    """Take away what is slow, such as a busy half below an empty sky, and scale to a deviation of 1."""
    values = values - cv2.blur(values, (31, 31))
    return values / max(float(values.std()), 1e-6)


def _surface(edges: np.ndarray, borders: np.ndarray, reach: int = REACH) -> np.ndarray:
    """Correlate (h, w) maps at all shifts up to `reach`: (2 reach + 1, 2 reach + 1), in the middle without one."""
    height, width = edges.shape
    padded = (height + reach, width + reach)  # what is shifted out at one side does not come in at the other
    product = np.fft.rfft2(edges, padded) * np.conj(np.fft.rfft2(borders, padded))
    found = np.fft.irfft2(product, padded)
    return np.roll(found, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1] / edges.size


def _middle(surface: np.ndarray, near: int) -> np.ndarray:
    """Cut out the shifts up to `near`."""
    at = len(surface) // 2
    return surface[at - near : at + near + 1, at - near : at + near + 1]


def _shift(surface: np.ndarray, here: float, pixel: float) -> tuple[str, tuple[int, int] | None]:
    """Tell whether another place fits better: one alone, and clearly."""
    row, column = (int(v) for v in np.unravel_index(surface.argmax(), surface.shape))
    y, x, best = row - REACH, column - REACH, float(surface.max())
    if max(abs(x), abs(y)) <= _NEAR or best < max(_STRONG, _BETTER * here):
        return "", None
    others = surface.copy()
    others[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4] = -1
    if best < _ALONE * others.max():
        return "", None
    return f"lies about {_pixels(-x * pixel, -y * pixel)} beside the image", (round(x * pixel), round(y * pixel))


def _pixels(x: float, y: float) -> str:
    """Write a distance: "12 pixels to the right and 3 up"."""
    parts = [(abs(round(x)), "to the right" if x > 0 else "to the left"), (abs(round(y)), "down" if y > 0 else "up")]
    return " and ".join(f"{count} pixels {way}" for count, way in parts if count)


def _other_way(edges: np.ndarray, borders: np.ndarray, here: float) -> str:
    """Tell whether a mirrored, turned or scaled label would fit, where it does not as it is."""
    best, name = max((float(_surface(edges, _flat(made), 6).max()), name) for name, made in _ways(borders))
    return f"fits if it is {name}" if best > max(_STRONG, 1.5 * here) else ""


def _ways(borders: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Give (what was done, the border map after it)."""
    yield "mirrored", borders[:, ::-1]
    yield "turned upside down", borders[::-1, ::-1]
    yield "mirrored at a horizontal line", borders[::-1]
    height, width = borders.shape
    for scale in _SCALES:
        matrix = np.array([[scale, 0, (1 - scale) * width / 2], [0, scale, (1 - scale) * height / 2]])
        yield f"scaled by {scale}", cv2.warpAffine(borders, matrix, (width, height), flags=cv2.INTER_LINEAR)
