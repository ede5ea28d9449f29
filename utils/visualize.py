"""Pictures of label maps, errors and attention, and their files. Images are (H, W, 3) uint8 RGB throughout."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:  # an exported file is run without torch
    from torch import Tensor

Palette = Sequence[tuple[int, int, int]]

WRONG, RIGHT_DIM, VOID = (255, 64, 64), 0.35, (0, 0, 0)
_AT_ONCE = 1 << 20  # pixels
_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".tif", ".tiff"}


def to_array(values: Tensor | np.ndarray) -> np.ndarray:
    """Give the same values as an array on the host."""
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()


def colorize(classes: Tensor | np.ndarray, palette: Palette) -> np.ndarray:
    """(H, W) classes -> their colors; black for values beyond the palette, which includes the ignore label."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return table[to_array(classes).astype(np.uint8, copy=False)]


def bit_colors(first: int = 0) -> np.ndarray:
    """(256, 3) uint8: Pascal VOC's colors of the numbers from `first` on: 0 black, 1 (128, 0, 0), 2 (0, 128, 0), ...

    Bit 3k + c of a number is bit 7 - k of its channel c.
    """
    number, channel = np.arange(first, first + 256)[:, None], np.arange(3)
    bits = [((number >> (3 * k + channel)) & 1) << (7 - k) for k in range(8)]
    return np.sum(bits, axis=0).astype(np.uint8)


def overlay(image: np.ndarray, classes: Tensor | np.ndarray, palette: Palette, alpha: float = 0.5) -> np.ndarray:
    """Draw the image under translucent class colors: alpha = 1 shows the colors alone."""
    return cv2.addWeighted(image, 1 - alpha, colorize(classes, palette), alpha, 0)


def wrong_pixels(classes: Tensor | np.ndarray, label: np.ndarray, ignore_label: int) -> np.ndarray:
    """(H, W) bool: predicted otherwise than the truth, where there is a truth."""
    return (to_array(classes) != label) & (label != ignore_label)


def error_map(image: np.ndarray, classes: Tensor | np.ndarray, label: np.ndarray, ignore_label: int) -> np.ndarray:
    """Draw the image dimmed and gray, wrong pixels red, ignored ones black."""
    dim = (np.arange(256) * RIGHT_DIM).astype(np.uint8)  # as a table: the product of a large picture is a large one
    out = cv2.cvtColor(cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dim), cv2.COLOR_GRAY2RGB)
    out[wrong_pixels(classes, label, ignore_label)] = WRONG
    out[label == ignore_label] = VOID
    return out


def heat(values: Tensor | np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """(H, W) or (1, H, W) values -> viridis colors, dark blue at `low`, yellow at `high`."""
    array = to_array(values)
    height, width = array.shape[-2:]
    array, out = array.reshape(height, width), np.empty((height, width, 3), np.uint8)
    step = max(1, _AT_ONCE // width)  # what is made on the way takes ten times the memory of the picture
    for top in range(0, height, step):
        part = array[top : top + step].astype(np.float32)
        gray = np.clip((part - low) * (255 / max(high - low, 1e-12)), 0, 255).round().astype(np.uint8)
        out[top : top + step] = cv2.cvtColor(cv2.applyColorMap(gray, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    return out


def probability_bytes(values: Tensor | np.ndarray) -> np.ndarray:
    """(H, W) probabilities -> uint8, rounded probability * 255."""
    return np.clip(np.rint(to_array(values).astype(np.float32) * 255), 0, 255).astype(np.uint8)


def shrink(image: np.ndarray, long_edge: int, smooth: bool = True) -> np.ndarray:
    """Not larger than `long_edge`; area averaging for photographs, nearest (`smooth` False) for class colors."""
    height, width = image.shape[:2]
    factor = long_edge / max(height, width)
    if factor >= 1:
        return image
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if smooth else cv2.INTER_NEAREST)


def encode_png(image: np.ndarray, level: int = 1) -> bytes:
    """(H, W, 3) RGB or (H, W) uint8 or uint16 -> PNG. Level 1: a large picture costs half the time of the default."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, level])[1].tobytes()


def encode_indexed(values: np.ndarray, colors: np.ndarray, level: int = 1) -> bytes:
    """(H, W) uint8 -> PNG of these very values, shown in `colors` (256, 3) uint8, RGB of each value."""
    from PIL import Image  # what runs without it needs no palettes

    picture, data = Image.fromarray(values), io.BytesIO()
    picture.putpalette(colors.tobytes())
    picture.save(data, "PNG", compress_level=level)
    return data.getvalue()


def encode_jpeg(image: np.ndarray, quality: int = 80) -> bytes:
    """(H, W, 3) RGB uint8 -> JPEG."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def file_stem(name: str) -> str:
    """A sample's name as a file name without suffix: "city/a_000019.png" -> "city__a_000019"."""
    path = Path(name)
    stem = path.with_suffix("") if path.suffix.lower() in _IMAGE_SUFFIXES else path
    return "__".join(part for part in stem.parts if part not in ("/", ".", ".."))
