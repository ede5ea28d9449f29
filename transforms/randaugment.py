"""RandAugment (Cubuk et al. 2020) for images with labels: geometric operations also move the label.

An operation takes the sample's image and label, a level in [0, 1] and a sign, and gives both back.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from transforms.color import adjust_brightness, adjust_contrast, adjust_saturation
from transforms.geometry import moved
from utils.contracts import Sample

# Magnitude M counts in thirtieths of an operation's range, as in the paper.
MAX_MAGNITUDE = 30

MAX_ROTATION = 30.0  # degrees
MAX_SHEAR = 0.3  # columns a row
MAX_SHIFT = 0.45  # of the side: 150 of 331 pixels in the paper
MAX_ENHANCE = 0.9  # change of a factor round 1
MAX_LOST_BITS = 4


def auto_contrast(image: np.ndarray, level: float = 0.0, sign: int = 1) -> np.ndarray:
    """Stretch every channel of (H, W, 3) uint8 to the full range; a flat channel stays."""
    tables = []
    for channel in cv2.split(image):
        low, high, *_ = cv2.minMaxLoc(channel)
        levels = np.arange(256)
        if high > low:
            levels = np.clip(255 * (levels - low) / (high - low), 0, 255)
        tables.append(levels.astype(np.uint8))
    return cv2.LUT(image, np.stack(tables, axis=-1)[None])  # table (1, 256, 3)


def equalize(image: np.ndarray, level: float = 0.0, sign: int = 1) -> np.ndarray:
    """Equalize the histogram of every channel of (H, W, 3) uint8."""
    return cv2.merge([cv2.equalizeHist(channel) for channel in cv2.split(image)])


def posterize(image: np.ndarray, level: float, sign: int = 1) -> np.ndarray:
    """Drop up to four of the eight bits of every value of (H, W, 3) uint8."""
    lost = round(level * MAX_LOST_BITS)
    return image & np.uint8(0xFF << lost & 0xFF)


def solarize(image: np.ndarray, level: float, sign: int = 1) -> np.ndarray:
    """Invert the values of (H, W, 3) uint8 above a threshold that falls from 255 to 0."""
    threshold = 255 * (1 - level)
    levels = np.arange(256)
    return cv2.LUT(image, np.where(levels > threshold, 255 - levels, levels).astype(np.uint8))


def sharpness(image: np.ndarray, level: float, sign: int) -> np.ndarray:
    """Blend (H, W, 3) uint8 with a smoothed version (weights 1, 5 in the middle), or away from it."""
    kernel = np.ones((3, 3), np.float32)
    kernel[1, 1] = 5.0
    smooth = cv2.filter2D(image, -1, kernel / kernel.sum())
    factor = 1 + sign * MAX_ENHANCE * level
    return cv2.addWeighted(image, factor, smooth, 1 - factor, 0.0)


def _identity(image: np.ndarray, level: float, sign: int) -> np.ndarray:
    return image


def _enhance(adjust: Callable[[np.ndarray, float], np.ndarray]) -> Callable[[np.ndarray, float, int], np.ndarray]:
    def operation(image: np.ndarray, level: float, sign: int) -> np.ndarray:
        return adjust(image, 1 + sign * MAX_ENHANCE * level)

    return operation


COLOR: dict[str, Callable[[np.ndarray, float, int], np.ndarray]] = {
    "identity": _identity,
    "auto_contrast": auto_contrast,
    "equalize": equalize,
    "posterize": posterize,
    "solarize": solarize,
    "color": _enhance(adjust_saturation),
    "contrast": _enhance(adjust_contrast),
    "brightness": _enhance(adjust_brightness),
    "sharpness": sharpness,
}


def _rotation(amount: float, height: int, width: int) -> np.ndarray:
    return cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), MAX_ROTATION * amount, 1.0)


def _shear_x(amount: float, height: int, width: int) -> np.ndarray:
    slope = MAX_SHEAR * amount
    return np.array([[1, slope, -slope * (height - 1) / 2], [0, 1, 0]])


def _shear_y(amount: float, height: int, width: int) -> np.ndarray:
    slope = MAX_SHEAR * amount
    return np.array([[1, 0, 0], [slope, 1, -slope * (width - 1) / 2]])


def _shift_x(amount: float, height: int, width: int) -> np.ndarray:
    return np.array([[1, 0, round(MAX_SHIFT * amount * width)], [0, 1, 0.0]])


def _shift_y(amount: float, height: int, width: int) -> np.ndarray:
    return np.array([[1, 0, 0], [0, 1, round(MAX_SHIFT * amount * height)]], dtype=float)


GEOMETRIC: dict[str, Callable[[float, int, int], np.ndarray]] = {
    "rotate": _rotation,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "shift_x": _shift_x,
    "shift_y": _shift_y,
}


def warp(sample: Sample, matrix: np.ndarray, fill: tuple[int, int, int], ignore: int) -> Sample:
    """Move the sample by a (2, 3) matrix that maps old (x, y) to new; bilinear image, nearest label, filled border."""
    height, width = sample.image.shape[:2]

    def warped(pixels: np.ndarray, kernel: int, value: tuple[int, ...]) -> np.ndarray:
        return cv2.warpAffine(pixels, matrix, (width, height), None, kernel, cv2.BORDER_CONSTANT, value)

    image = warped(sample.image, cv2.INTER_LINEAR, fill)
    return moved(sample, image, lambda label: warped(label, cv2.INTER_NEAREST, (ignore,)))


@dataclass(frozen=True)
class RandAugment:
    """`count` operations drawn with replacement, each at `magnitude` / 30 of its range, with a random sign."""

    count: int
    magnitude: float
    fill: tuple[int, int, int] = (0, 0, 0)
    ignore: int = 255

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Give the sample after `count` operations."""
        assert sample.image.dtype == np.uint8, "RandAugment works before normalization"
        for name in rng.choices([*COLOR, *GEOMETRIC], k=self.count):
            sample = self.apply(sample, name, rng.choice((-1, 1)))
        return sample

    def apply(self, sample: Sample, name: str, sign: int) -> Sample:
        """Give the sample after the operation `name` of COLOR or GEOMETRIC."""
        level = min(1.0, self.magnitude / MAX_MAGNITUDE)
        if name in COLOR:
            return replace(sample, image=COLOR[name](sample.image, level, sign))
        matrix = GEOMETRIC[name](math.copysign(level, sign), *sample.image.shape[:2])
        return warp(sample, matrix, self.fill, self.ignore)
