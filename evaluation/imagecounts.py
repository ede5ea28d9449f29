"""What is kept of each image of an evaluation, and the figures that any sum over images has.

N images, K classes. Every figure is a function of sums over images, so that a resampling of the images is a product of
a matrix of weights with a matrix of counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.calibration import BINS, calibration_error
from evaluation.objects import SIZES

WHOLE = ("mean IoU", "boundary IoU", "pixel accuracy", "calibration error")  # figures of all classes, in their order


@dataclass(frozen=True)
class ImageCounts:
    """Counts of every image, float64: `pixels` (N, 3, K): right, missed and wrongly claimed ones of each class;
    `boundary` (N, 2, K), see `boundary_counts`; `bins` (N, BINS, 3), see `bin_counts`; `objects` (N, 2, sizes), see
    `found_by_size`.
    """

    pixels: np.ndarray
    boundary: np.ndarray
    bins: np.ndarray
    objects: np.ndarray

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.pixels.shape[-1]

    def table(self) -> np.ndarray:
        """Give all counts as one matrix (N, columns), a row an image."""
        parts = (self.pixels, self.boundary, self.bins, self.objects)
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    def only(self, images: np.ndarray) -> ImageCounts:
        """Give those of some of the images (N,) bool, or of their places."""
        return ImageCounts(self.pixels[images], self.boundary[images], self.bins[images], self.objects[images])

    def total(self) -> np.ndarray:
        """Give all figures of the sum over the images, as `figures`."""
        return figures(self.table().sum(0), self.classes)

    def image_scores(self) -> np.ndarray:
        """Give the mean IoU of each image by itself (N,), over its classes; NaN where no pixel counts."""
        return _means(_ious(self.pixels))


def names(classes: Sequence[str]) -> list[str]:
    """Name the columns of `figures`: those of WHOLE, the IoU of each class, its boundary IoU, what is found by size."""
    return [*WHOLE, *classes, *(f"boundary of {name}" for name in classes), *(f"found of {size}" for size in SIZES)]


def figures(sums: np.ndarray, classes: int) -> np.ndarray:
    """(..., columns of a table, summed) -> (..., figures) in 0..1, as `names` calls them; NaN where undefined."""
    ends = np.cumsum([3 * classes, 2 * classes, 3 * BINS])
    pixels, boundary, bins, objects = np.split(sums, ends, axis=-1)
    pixels = pixels.reshape(*sums.shape[:-1], 3, classes)
    boundary = boundary.reshape(*sums.shape[:-1], 2, classes)
    objects = objects.reshape(*sums.shape[:-1], 2, len(SIZES))
    iou, outline = _ious(pixels), _share(boundary[..., 0, :], boundary[..., 1, :])
    right, missed = pixels[..., 0, :].sum(-1), pixels[..., 1, :].sum(-1)
    error = calibration_error(bins.reshape(*sums.shape[:-1], BINS, 3))
    whole = np.stack([_means(iou), _means(outline), _share(right, right + missed), error], axis=-1)
    return np.concatenate([whole, iou, outline, _share(objects[..., 0, :], objects[..., 1, :])], axis=-1)


def _ious(pixels: np.ndarray) -> np.ndarray:
    """(..., 3, K) -> (..., K)."""
    return _share(pixels[..., 0, :], pixels.sum(-2))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide; NaN where there is nothing."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def _means(values: np.ndarray) -> np.ndarray:
    """(..., K) -> (...): the mean of the defined ones, NaN where there are none."""
    defined = ~np.isnan(values)
    return _share(np.where(defined, values, 0).sum(-1), defined.sum(-1).astype(float))
