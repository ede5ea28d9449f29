"""Whole images at one length of their short side, as scene parsing trains and evaluates."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from transforms.geometry import Size, moved
from utils.contracts import Sample
from utils.resize import short_side_scale


def fitted(size: Size, short: int, long_most: int) -> Size:
    """Give (h, w) of an image of `size` (H, W) at `short_side_scale`, rounded down."""
    scale = short_side_scale(size, short, long_most)
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


@dataclass(frozen=True)
class ShortSide:
    """Resize the whole image to the short side that its batch has drawn (`Sample.short`), its ratio kept.

    The image by Pillow's bilinear filter, its label by nearest neighbor.
    """

    long_most: int

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """(H, W, 3) -> (h, w, 3) by `fitted`; nothing is drawn."""
        height, width = fitted(sample.image.shape[:2], sample.short, self.long_most)  # type: ignore[arg-type]

        def resized(pixels: np.ndarray, kernel: Image.Resampling) -> np.ndarray:
            return np.array(Image.fromarray(pixels).resize((width, height), kernel))

        image = resized(sample.image, Image.Resampling.BILINEAR)
        return moved(sample, image, lambda label: resized(label, Image.Resampling.NEAREST))
