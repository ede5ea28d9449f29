"""Where pixels go: scale, crop, flip, label stride. Image and label always move together.

Offsets and sizes are (row, column) like array shapes; centres are (x, y) in pixels of the file.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from utils.contracts import Sample

Size = tuple[int, int]

# Reach of the bicubic kernel (Keys 1981) in source pixels, at scale 1 and above.
_BICUBIC_SUPPORT = 2.0


@dataclass(frozen=True, slots=True)
class Window:
    """A crop of `size` (h, w) at `offset` (top, left) of the image resized to `whole` (H', W').

    A negative offset, or a crop that reaches beyond `whole`, means padding.
    """

    whole: Size
    offset: Size
    size: Size

    def visible(self, axis: int) -> tuple[int, int]:
        """First and one past the last pixel of the resized image that the crop sees along `axis`."""
        lo = max(0, self.offset[axis])
        return lo, min(self.whole[axis], self.offset[axis] + self.size[axis])

    def place(self, axis: int) -> slice:
        """Where the visible pixels lie inside the crop."""
        lo, hi = self.visible(axis)
        return slice(lo - self.offset[axis], hi - self.offset[axis])


def draw_offset(length: int, crop: int, centre: int | None, slide: bool, rng: random.Random) -> int:
    """Offset of a crop along one axis of an image that is `length` pixels long there.

    Long enough: uniform over all positions, or, with a centre, uniform in [centre - crop, centre] and then clamped,
    so that the crop covers the centre. Too short: (missing // 2 + 1) pixels of padding on both sides as published,
    which leaves one or two pixels to move; with `slide` the image lies anywhere inside the crop.
    """
    missing = crop - length
    if missing > 0:
        if slide:
            return -rng.randint(0, missing)
        pad = missing // 2 + 1
        return rng.randint(0, length + 2 * pad - crop) - pad
    if centre is None:
        return rng.randint(0, -missing)
    return min(-missing, max(0, rng.randint(centre - crop, centre)))


def cut_image(image: np.ndarray, window: Window, fill: Sequence[int]) -> np.ndarray:
    """(H, W, 3) -> (h, w, 3), the same pixels as resizing the whole image (bicubic, as published) and cropping then.

    Only the source pixels of the window, and the kernel's reach round them, are touched. Padding of a float image,
    which is normalised already, is 0; that of a uint8 image is `fill`.
    """
    canvas = np.empty((*window.size, 3), image.dtype)
    if canvas.shape[:2] != _visible_size(window):
        canvas[:] = fill if image.dtype == np.uint8 else 0
    rows, columns = window.place(0), window.place(1)
    if window.whole == image.shape[:2]:
        (y0, y1), (x0, x1) = window.visible(0), window.visible(1)
        canvas[rows, columns] = image[y0:y1, x0:x1]
    else:
        canvas[rows, columns] = _resample(image, window)
    return canvas


def cut_label(label: np.ndarray, window: Window, ignore: int) -> np.ndarray:
    """(H, W) -> (h, w) by nearest neighbour: the label of the pixel that holds each new pixel's centre."""
    canvas = np.full(window.size, ignore, label.dtype)
    index = []
    for axis in (0, 1):
        lo, hi = window.visible(axis)
        # (i + 1/2) * length / whole in whole numbers, since centres fall on pixel borders often
        index.append((2 * np.arange(lo, hi) + 1) * label.shape[axis] // (2 * window.whole[axis]))
    canvas[window.place(0), window.place(1)] = label[index[0]][:, index[1]]
    return canvas


def _visible_size(window: Window) -> Size:
    (y0, y1), (x0, x1) = window.visible(0), window.visible(1)
    return y1 - y0, x1 - x0


def _resample(image: np.ndarray, window: Window) -> np.ndarray:
    box, part = [], []
    for axis in (0, 1):
        ratio = image.shape[axis] / window.whole[axis]
        lo, hi = (edge * ratio for edge in window.visible(axis))
        # Further out than the kernel reaches nothing counts, so the cut-out gives the same numbers as the image.
        margin = math.ceil(_BICUBIC_SUPPORT * max(ratio, 1.0)) + 1
        first = max(0, math.floor(lo) - margin)
        last = min(image.shape[axis], math.ceil(hi) + margin)
        part.append(slice(first, last))
        box.append((lo - first, min(hi - first, last - first)))
    (y0, y1), (x0, x1) = box
    height, width = _visible_size(window)
    return _pil_resize(image[part[0], part[1]], (width, height), (x0, y0, x1, y1))


def _pil_resize(image: np.ndarray, size: Size, box: tuple[float, float, float, float]) -> np.ndarray:
    """Pillow's bicubic, which widens the kernel when it shrinks and takes a box at fractions of a pixel."""
    if image.dtype == np.uint8:
        picture = Image.fromarray(np.ascontiguousarray(image))
        return np.asarray(picture.resize(size, Image.Resampling.BICUBIC, box=box))
    planes = (Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(image.shape[2]))
    return np.stack([np.asarray(p.resize(size, Image.Resampling.BICUBIC, box=box)) for p in planes], axis=-1)


@dataclass(frozen=True)
class RandomScaleCrop:
    """Resize by a random factor, then crop at random or round the sample's centre (Tao et al. 2020, section 4).

    The factor is uniform in [scale_min, scale_max], times `pre_size` / long edge if `pre_size` is set. `size` is
    the crop (h, w); None: the size of the image's own file. Only the crop is ever resized.
    """

    size: Size | None
    scale_min: float = 1.0
    scale_max: float = 1.0
    pre_size: int = 0
    slide: bool = False
    fill: tuple[int, int, int] = (0, 0, 0)
    ignore: int = 255

    def draw(self, sample: Sample, rng: random.Random) -> Window:
        """The window of `sample` that a generator decides on."""
        height, width = sample.image.shape[:2]
        scale = self.pre_size / max(height, width) if self.pre_size else 1.0
        scale *= rng.uniform(self.scale_min, self.scale_max)
        whole = (max(1, int(height * scale)), max(1, int(width * scale)))
        size = self.size or sample.size
        centre = (None, None) if sample.centre is None else [int(c * scale) for c in sample.centre]
        left = draw_offset(whole[1], size[1], centre[0], self.slide, rng)
        top = draw_offset(whole[0], size[0], centre[1], self.slide, rng)
        return Window(whole, (top, left), size)

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """`sample` cut to the crop size; its centre is used up."""
        window = self.draw(sample, rng)
        image = cut_image(sample.image, window, self.fill)
        label = None if sample.label is None else cut_label(sample.label, window, self.ignore)
        return Sample(image, label, sample.name, sample.size)


@dataclass(frozen=True)
class RandomFlip:
    """Mirror left to right with probability `p`."""

    p: float = 0.5

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """The sample or its mirror image."""
        if rng.random() >= self.p:
            return sample
        label = None if sample.label is None else np.ascontiguousarray(sample.label[:, ::-1])
        return Sample(np.ascontiguousarray(sample.image[:, ::-1]), label, sample.name, sample.size)


@dataclass(frozen=True)
class LabelStride:
    """Keep the label at 1 / `stride` of the image's resolution: the nearest pixel to each block's centre."""

    stride: int

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """(H, W) label -> (H // stride, W // stride); the image stays."""
        if sample.label is None:
            return sample
        height, width = (n // self.stride * self.stride for n in sample.label.shape)
        first = self.stride // 2
        label = np.ascontiguousarray(sample.label[first : height : self.stride, first : width : self.stride])
        return Sample(sample.image, label, sample.name, sample.size, sample.centre)
