"""How pixels look: color jitter and blur, on RGB images in 0..255. Labels are left as they are.

The single operations have the semantics of torchvision's `adjust_*` functions on uint8 images (within two gray
levels, by rounding), through look-up tables and OpenCV, since they run once for each crop.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import cv2
import numpy as np
from PIL import Image, ImageEnhance

from utils.contracts import Sample

Adjust = Callable[[np.ndarray, float], np.ndarray]
_LEVELS = np.arange(256, dtype=np.float32)
# Bytes of rows that go through all steps before the next ones: they stay in a core's cache, and no step asks the system
# for the memory of a whole image, whose pages cost as much as the arithmetic.
_STRIP = 1 << 17


def _table(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _gray(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend (H, W, 3) uint8 with black: 0 is black, 1 the image."""
    return cv2.LUT(image, _table(_LEVELS * factor))


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend (H, W, 3) uint8 with the mean of its gray version: 0 is flat gray, 1 the image."""
    return _spread_round(image, factor, _mean_gray(image))


def _mean_gray(image: np.ndarray) -> int:
    """Find the mean of the gray version of an image, rounded."""
    total = sum(cv2.sumElems(_gray(image[rows]))[0] for rows in _strips(image))  # of whole numbers, and so exact
    return int(total * (1 / (image.shape[0] * image.shape[1])) + 0.5)


def _spread_round(image: np.ndarray, factor: float, mean: int) -> np.ndarray:
    """Blend (H, W, 3) uint8 with a gray `mean`."""
    return cv2.LUT(image, _table(mean + (_LEVELS - mean) * factor))


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend (H, W, 3) uint8 with its gray version: 0 is gray, 1 the image."""
    gray = cv2.cvtColor(_gray(image), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, factor, gray, 1.0 - factor, 0.0)


def adjust_hue(image: np.ndarray, shift: float) -> np.ndarray:
    """Turn the hue of (H, W, 3) uint8 by `shift` of a full circle, in [-0.5, 0.5]."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)  # hue over all of 0..255
    rows = hsv.reshape(len(hsv), -1)  # (H, W * 3)
    rows += np.tile(np.array([round(shift * 256) % 256, 0, 0], np.uint8), image.shape[1])  # wraps at 256
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def blur_gaussian(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur (H, W, 3) with standard deviation `sigma` pixels, cut off at four of them."""
    side = 2 * math.ceil(4 * sigma) + 1
    return cv2.GaussianBlur(image, (side, side), sigma)


def blur_bilateral(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur (H, W, 3) uint8 within regions of like color (Tomasi and Manduchi 1998).

    `sigma` pixels in space; in color the standard deviation of the image itself.
    """
    side = max(5, 2 * math.ceil(3 * sigma) + 1)
    # A flat image has deviation 0, which OpenCV would take as 1; there is nothing to blur then anyway.
    return cv2.bilateralFilter(image, side, float(image.std()), sigma)


@dataclass(frozen=True)
class ColorJitter:
    """Brightness, contrast, saturation and hue, each by a random amount, in random order.

    Factors are uniform in [max(0, 1 - x), 1 + x], the turn of the hue in [-hue, hue]; 0 leaves a step out.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    @classmethod
    def of_strength(cls, strength: float) -> ColorJitter:
        """The published single number for all four; a hue cannot turn further than half a circle."""
        return cls(strength, strength, strength, min(strength, 0.5))

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Give the sample in other colors."""
        assert sample.image.dtype == np.uint8, "colors are changed before normalization"
        adjusters = (adjust_brightness, adjust_contrast, adjust_saturation)
        amounts = zip(adjusters, (self.brightness, self.contrast, self.saturation), strict=True)
        steps: list[tuple[Adjust, float, float]] = [
            (adjust, max(0.0, 1 - amount), 1 + amount) for adjust, amount in amounts if amount
        ]
        if self.hue:
            steps.append((adjust_hue, -self.hue, self.hue))
        rng.shuffle(steps)
        return replace(sample, image=_adjusted(sample.image, [(f, rng.uniform(low, high)) for f, low, high in steps]))


def _adjusted(image: np.ndarray, steps: Sequence[tuple[Adjust, float]]) -> np.ndarray:
    """Give (H, W, 3) uint8 after all steps; a change of contrast looks at the whole image before."""
    pending: list[Callable[[np.ndarray], np.ndarray]] = []
    out = np.empty_like(image)
    for adjust, amount in steps:
        if adjust is adjust_contrast:
            image, pending = _by_strips(pending, image, out), []
            mean = _mean_gray(image)
            pending.append(lambda strip, mean=mean, amount=amount: _spread_round(strip, amount, mean))
        else:
            pending.append(lambda strip, adjust=adjust, amount=amount: adjust(strip, amount))
    return _by_strips(pending, image, out)


def _by_strips(steps: Sequence[Callable[[np.ndarray], np.ndarray]], image: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Put each strip of an image through all steps, into `out`, which may be the image; without steps the image."""
    if not steps:
        return image
    for rows in _strips(image):
        out[rows] = reduce(lambda strip, step: step(strip), steps, image[rows])
    return out


def _strips(image: np.ndarray) -> Iterator[slice]:
    """Give the rows of an image in strips."""
    height = max(1, _STRIP // image[0].nbytes)
    return (slice(top, top + height) for top in range(0, len(image), height))


def enhance(image: np.ndarray, kind: str, factor: float) -> np.ndarray:
    """Put (H, W, 3) uint8 through Pillow's enhancer `kind`: "Brightness", "Contrast" or "Color"."""
    return np.asarray(getattr(ImageEnhance, kind)(Image.fromarray(image)).enhance(factor))


def turn_hue(image: np.ndarray, shift: float) -> np.ndarray:
    """(H, W, 3) uint8 with `shift` (in 1/256 of the circle) added to Pillow's 8-bit hue, cut off towards 0, wrapped."""
    turned = (np.trunc(np.arange(256) + shift).astype(int) % 256).tolist()
    hue, saturation, value = Image.fromarray(image).convert("HSV").split()
    return np.asarray(Image.merge("HSV", (hue.point(turned), saturation, value)).convert("RGB"))


@dataclass(frozen=True)
class Distort:
    """Brightness, contrast, saturation by a factor in [1 - strength, 1 + strength], hue.

    The hue turns by a uniform shift in [-hue, hue], in 1/256 of the circle. All of them always, in random order,
    through Pillow; a float image is cut off to uint8 before.
    """

    strength: float = 0.25
    hue: float = 63.0

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Give the sample in other colors, uint8."""
        image = sample.image.astype(np.uint8)
        steps = [*("Brightness", "Contrast", "Color") * (self.strength > 0), *("hue",) * (self.hue > 0)]
        rng.shuffle(steps)
        for step in steps:
            if step == "hue":
                image = turn_hue(image, rng.uniform(-self.hue, self.hue))
            else:
                image = enhance(image, step, rng.uniform(max(0.0, 1 - self.strength), 1 + self.strength))
        return replace(sample, image=image)


@dataclass(frozen=True)
class Normalize:
    """Image in 0..255 -> (x / 255 - mean) / std, float32. uint8 stays unless `every`: the device normalizes that."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    every: bool = False

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Give the sample, normalized; nothing is drawn."""
        if sample.image.dtype == np.uint8 and not self.every:
            return sample
        image = (sample.image / np.float32(255) - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return replace(sample, image=image)


@dataclass(frozen=True)
class Blur:
    """Blur every image by a random, small sigma."""

    blur: Adjust
    low: float
    high: float

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Give the sample with a blurred image."""
        return replace(sample, image=self.blur(sample.image, rng.uniform(self.low, self.high)))


# By the published ranges of sigma, in pixels.
GAUSSIAN_BLUR = Blur(blur_gaussian, 0.15, 1.3)
BILATERAL_BLUR = Blur(blur_bilateral, 0.05, 0.75)  # edges excepted
