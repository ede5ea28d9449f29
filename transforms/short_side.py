"""Whole images at one length of their short side, as scene parsing trains and evaluates."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from utils.contracts import Sample
from utils.resize import short_side_scale

Size = tuple[int, int]


def fitted(size: Size, short: int, long_most: int) -> Size:
    """(h, w) of an image of `size` (H, W) at `short_side_scale`, rounded down."""
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
        image = Image.fromarray(sample.image).resize((width, height), Image.Resampling.BILINEAR)
        label = sample.label
        if label is not None:
            label = np.array(Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST))
        return replace(sample, image=np.array(image), label=label, crop_center=None)
