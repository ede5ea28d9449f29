"""Pictures of seed pixels (arXiv:2303.14516): whose scores a pixel takes, how surely, and the classes by either.

K classes, H x W picture, h x w maps of a network.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from torch import Tensor

from utils.resize import resize
from utils.visualize import Palette, colorize, heat, to_array

OUTPUTS = ("initial", "seed", "offset", "confidence")  # of a network with offset vectors, beside `pred`
NOTABLE = 0.5  # confidence from which on a pixel has an arrow: the seed counts more than the pixel itself
ACROSS, CLOSEST = 22, 16  # arrows along the long side, and how many pixels they are apart at least
DIM = 0.55


def seed_pictures(image: np.ndarray, extras: Mapping[str, Tensor], palette: Palette) -> dict[str, np.ndarray]:
    """Draw four pictures of the size of `image` (H, W, 3), or none where `extras` lack what offsets give.

    "arrows": the image, dimmed, with arrows from pixels to their seeds; "initial" and "seed": the classes of these
    scores (K, h, w); "seed_confidence": the share of the seed's scores in the prediction.
    """
    if any(name not in extras for name in OUTPUTS):
        return {}
    return {
        "arrows": arrows(image, extras["offset"], extras["confidence"]),
        "initial": colorize(_at(image, extras["initial"]).argmax(0), palette),
        "seed": colorize(_at(image, extras["seed"]).argmax(0), palette),
        "seed_confidence": heat(_at(image, extras["confidence"])),
    }


def _at(image: np.ndarray, maps: Tensor) -> Tensor:
    """(C, h, w) -> (C, H, W)."""
    return resize(maps.float()[None], image.shape[:2])[0]


def arrows(image: np.ndarray, offset: Tensor, confidence: Tensor) -> np.ndarray:
    """Dim the image (H, W, 3), and draw an arrow from each pixel of a sparse grid to its seed, where that is trusted.

    `offset` (2, h, w), x before y in the units of `utils.positions`, and `confidence` (1, h, w), which gives the color
    as in `heat`; the most trusted lie on top. A seed beyond the border lies on it.
    """
    last = np.array([image.shape[1] - 1, image.shape[0] - 1])
    tails = _sparse(last)
    share = tails / np.maximum(last, 1)  # of the way from the first column and row to the last
    column, row = np.rint(share * (np.array(confidence.shape[:0:-1]) - 1)).astype(int).T
    trust, colors = to_array(confidence)[0, row, column], heat(confidence)[row, column].tolist()
    heads = np.rint(np.clip(tails + to_array(offset)[:, row, column].T * last / 2, 0, last)).astype(int)
    canvas = cv2.cvtColor((cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) * DIM).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    wide = max(1, round(max(image.shape) / 300))
    for i in np.argsort(trust, kind="stable"):
        if trust[i] >= NOTABLE:
            _arrow(canvas, tails[i], heads[i], colors[i], wide)
    return canvas


def _sparse(last: np.ndarray) -> np.ndarray:
    """Choose pixels (n, 2), x before y, of a grid over a picture whose last one is `last`."""
    step = max(CLOSEST, -(-int(max(last) + 1) // ACROSS))
    x, y = np.meshgrid(*(np.arange(min(step // 2, end), end + 1, step) for end in last))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _arrow(canvas: np.ndarray, tail: np.ndarray, head: np.ndarray, color: tuple[int, int, int], wide: int) -> None:
    """Draw one; a seed within two pixels is a dot."""
    length = float(np.hypot(*(head - tail)))
    if length < 2:
        cv2.circle(canvas, tail.tolist(), wide, color, cv2.FILLED, cv2.LINE_AA)
        return
    tip = min(0.4, 3.5 * wide / length)  # of the length
    cv2.arrowedLine(canvas, tail.tolist(), head.tolist(), color, wide, cv2.LINE_AA, tipLength=tip)
