"""Where pixels go: scale, crop, flip, label stride. Image and label always move together.

Offsets and sizes are (row, column) like array shapes; centers are (x, y) in pixels of the file.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F

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
        """Give first and one past the last pixel of the resized image that the crop sees along `axis`."""
        lo = max(0, self.offset[axis])
        return lo, min(self.whole[axis], self.offset[axis] + self.size[axis])

    def place(self, axis: int) -> slice:
        """Say where the visible pixels lie inside the crop."""
        lo, hi = self.visible(axis)
        return slice(lo - self.offset[axis], hi - self.offset[axis])


def moved(sample: Sample, image: np.ndarray, of_label: Callable[[np.ndarray], np.ndarray]) -> Sample:
    """Give the sample with its pixels elsewhere: its new image, its label by `of_label`. A crop's center is used up."""
    label = None if sample.label is None else of_label(sample.label)
    return replace(sample, image=image, label=label, crop_center=None)


def draw_offset(length: int, crop: int, center: int | None, slide: bool, rng: random.Random) -> int:
    """Draw the offset of a crop along one axis of an image that is `length` pixels long there.

    Long enough: uniform over all positions, or, with a center, uniform in [center - crop, center] and then clamped,
    so that the crop covers the center. Too short: (missing // 2 + 1) pixels of padding on both sides as published,
    which leaves one or two pixels to move; with `slide` the image lies anywhere inside the crop.
    """
    missing = crop - length
    if missing > 0:
        if slide:
            return -rng.randint(0, missing)
        pad = missing // 2 + 1
        return rng.randint(0, length + 2 * pad - crop) - pad
    if center is None:
        return rng.randint(0, -missing)
    return min(-missing, max(0, rng.randint(center - crop, center)))


def cut_image(image: np.ndarray, window: Window, fill: Sequence[int]) -> np.ndarray:
    """Cut (H, W, 3) -> (h, w, 3), what resizing the whole image (bicubic, as published) and cropping then would give.

    Only the source pixels of the window, and the kernel's reach round them, are touched; positions agree to half a
    source pixel. Padding of a float image, which is normalized already, is 0; that of a uint8 image is `fill`.
    """
    if window.whole == image.shape[:2]:
        (y0, y1), (x0, x1) = window.visible(0), window.visible(1)
        seen = np.array(image[y0:y1, x0:x1])
    else:
        seen = _resample(image, window)
    return _pad(seen, window, fill if image.dtype == np.uint8 else (0, 0, 0))


def cut_label(label: np.ndarray, window: Window, ignore: int) -> np.ndarray:
    """Cut (H, W) -> (h, w) by nearest neighbor: the label of the pixel that holds each new pixel's center."""
    spans = [_Span.of(window, label.shape, axis) for axis in (0, 1)]
    rows, columns = (span.nearest() for span in spans)
    source = spans[0].source
    if len(rows) < source.stop - source.start:
        seen = np.take(np.take(label, rows, axis=0), columns, axis=1)
    else:  # the columns, which cost more, of fewer rows
        seen = np.take(np.take(label[source], columns, axis=1), rows - source.start, axis=0)
    return _pad(seen, window, (ignore,))


def _pad(seen: np.ndarray, window: Window, value: Sequence[float]) -> np.ndarray:
    """Give the visible part with `value` round it, (h, w, ...)."""
    rows, columns = window.place(0), window.place(1)
    border = (rows.start, window.size[0] - rows.stop, columns.start, window.size[1] - columns.stop)
    return cv2.copyMakeBorder(seen, *border, cv2.BORDER_CONSTANT, value=value) if any(border) else seen


@dataclass(frozen=True, slots=True)
class _Span:
    """Source pixels `source` of one axis become `total` pixels, of which `kept` are visible.

    The source begins and ends at whole pixels, which moves positions by half a source pixel at most; image and label
    share the span, so that they move together. The kernel's reach is included on both sides.
    """

    source: slice
    total: int
    kept: slice

    @classmethod
    def of(cls, window: Window, shape: tuple[int, ...], axis: int) -> _Span:
        """Find the span of an axis (0: rows) of an image of `shape` (H, W, ...)."""
        length, whole = shape[axis], window.whole[axis]
        lo, hi = window.visible(axis)
        margin = math.ceil(_BICUBIC_SUPPORT * max(1.0, whole / length)) + 1
        first, last = max(0, lo - margin), min(whole, hi + margin)
        start = min(length - 1, round(first * length / whole))
        stop = max(start + 1, round(last * length / whole))
        return cls(slice(start, stop), last - first, slice(lo - first, hi - first))

    def nearest(self) -> np.ndarray:
        """Find the source pixel under the center of each visible pixel; in whole numbers, since ties are frequent."""
        taken = self.source.stop - self.source.start
        pixels = np.arange(self.kept.start, self.kept.stop)
        return self.source.start + (2 * pixels + 1) * taken // (2 * self.total)


def _resample(image: np.ndarray, window: Window) -> np.ndarray:
    """Give the visible part of the window, bicubic, with the kernel widened where the image shrinks, as Pillow does."""
    rows, columns = (_Span.of(window, image.shape, axis) for axis in (0, 1))
    part = torch.from_numpy(np.array(image[rows.source, columns.source])).permute(2, 0, 1)[None]  # (1, 3, h, w)
    out = F.interpolate(part, (rows.total, columns.total), mode="bicubic", antialias=True)
    return cv2.merge([plane.numpy() for plane in out[0, :, rows.kept, columns.kept]])  # much faster than a permutation


@dataclass(frozen=True)
class RandomScaleCrop:
    """Resize by a random factor, then crop at random or round the sample's center (Tao et al. 2020, section 4).

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
        """Draw the window of `sample` that a generator decides on."""
        height, width = sample.image.shape[:2]
        scale = self.pre_size / max(height, width) if self.pre_size else 1.0
        scale *= rng.uniform(self.scale_min, self.scale_max)
        whole = (max(1, int(height * scale)), max(1, int(width * scale)))
        size = self.size or sample.size
        center = (None, None) if sample.crop_center is None else [int(c * scale) for c in sample.crop_center]
        left = draw_offset(whole[1], size[1], center[0], self.slide, rng)
        top = draw_offset(whole[0], size[0], center[1], self.slide, rng)
        return Window(whole, (top, left), size)

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Cut `sample` to the crop size; its center is used up."""
        window = self.draw(sample, rng)
        return cut(sample, window, self.fill, self.ignore)


def cut(sample: Sample, window: Window, fill: Sequence[int], ignore: int) -> Sample:
    """Cut image and label of a window; the sample's center is used up."""
    return moved(sample, cut_image(sample.image, window, fill), lambda label: cut_label(label, window, ignore))


def resize_plain(sample: Sample, factor: float) -> Sample:
    """Resize the whole sample by `factor` in float32, bilinear without smoothing, its label by nearest neighbor.

    (H, W, 3) -> (round(H * factor), round(W * factor), 3) float32 in 0..255.
    """
    height, width = sample.image.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    image = cv2.resize(sample.image.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return moved(sample, image, lambda label: cv2.resize(label, size, interpolation=cv2.INTER_NEAREST))


def pad_crop(sample: Sample, size: Size, offset: Size, fill: float, ignore: int) -> Sample:
    """Cut the window of `size` (h, w) at `offset` (top, left); what is missing below and right is `fill`, ignored."""
    window = Window(sample.image.shape[:2], offset, size)  # type: ignore[arg-type]
    rows, columns = (slice(*window.visible(axis)) for axis in (0, 1))

    def pad(pixels: np.ndarray, value: Sequence[float]) -> np.ndarray:
        return _pad(np.ascontiguousarray(pixels[rows, columns]), window, value)

    return moved(sample, pad(sample.image, (fill,) * 3), lambda label: pad(label, (ignore,)))


@dataclass(frozen=True)
class ResizeCrop:
    """Resize the whole image by a uniform factor, pad to the crop with gray, then crop.

    The crop is uniform, or covers the sample's center. The image becomes float32 in 0..255, not normalized:
    `Distort` or `Normalize` has to follow.
    """

    size: Size
    scale_min: float = 0.5
    scale_max: float = 2.0
    fill: float = 127.5
    ignore: int = 255

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Cut `sample` to the crop size; its center is used up."""
        factor = rng.uniform(self.scale_min, self.scale_max)
        resized = resize_plain(sample, factor)
        center = (None, None) if sample.crop_center is None else [int(c * factor) for c in sample.crop_center[::-1]]
        top, left = (
            draw_offset(max(resized.image.shape[axis], self.size[axis]), self.size[axis], center[axis], False, rng)
            for axis in (0, 1)
        )
        return pad_crop(resized, self.size, (top, left), self.fill, self.ignore)


@dataclass(frozen=True)
class FixedSize:
    """Resize to a long edge of `size`; `square`: to a height of `size`, then the middle `size` x `size` of it.

    A square beyond a narrow image is padded, its label ignored there.
    """

    size: int
    square: bool = False
    fill: tuple[int, int, int] = (0, 0, 0)
    ignore: int = 255

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Give the sample at its new size; nothing is drawn."""
        height, width = sample.image.shape[:2]
        edge = height if self.square else max(height, width)
        whole = (max(1, height * self.size // edge), max(1, width * self.size // edge))
        left = (whole[1] - self.size) // 2 if self.square else 0
        window = Window(whole, (0, left), (self.size, self.size) if self.square else whole)
        return cut(sample, window, self.fill, self.ignore)


@dataclass(frozen=True)
class RandomFlip:
    """Mirror left to right with probability `p`."""

    p: float = 0.5

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """Give the sample or its mirror image."""
        if rng.random() >= self.p:
            return sample
        return moved(sample, cv2.flip(sample.image, 1), lambda label: cv2.flip(label, 1))


@dataclass(frozen=True)
class LabelStride:
    """Keep the label at 1 / `stride` of the image's resolution: the nearest pixel to each block's center.

    What does not fill a block is left out, or, with a `fill`, filled up with it.
    """

    stride: int
    fill: int | None = None

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """(H, W) label -> (H / stride, W / stride), rounded down to 1 or more (with `fill`: up); the image stays."""
        label, stride = sample.label, self.stride
        if label is None:
            return sample
        if self.fill is not None:
            rest = [(0, -side % stride) for side in label.shape]
            label = np.pad(label, rest, constant_values=self.fill)
        rows, columns = (slice(min(stride // 2, n - 1), n // stride * stride or n, stride) for n in label.shape)
        return replace(sample, label=np.ascontiguousarray(label[rows, columns]))
