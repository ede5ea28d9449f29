"""Augmentation: `Sample -> Sample` steps that draw from the generator they are given and from nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transforms.color import BILATERAL_BLUR, GAUSSIAN_BLUR, ColorJitter, Distort, Normalize
from transforms.geometry import FixedSize, LabelStride, RandomFlip, RandomScaleCrop, ResizeCrop
from transforms.randaugment import RandAugment
from transforms.short_side import ShortSide
from utils.contracts import DatasetSpec, Sample

Transform = Callable[[Sample, random.Random], Sample]


@dataclass(frozen=True)
class Pipeline:
    """Steps one after another; none leaves the sample as it is."""

    steps: tuple[Transform, ...] = ()

    def __call__(self, sample: Sample, rng: random.Random) -> Sample:
        """The sample after all steps."""
        for step in self.steps:
            sample = step(sample, rng)
        return sample


def build_train(cfg: Any, spec: DatasetSpec) -> Pipeline:
    """Build the steps of AUG.TABLE, or those of whole images; at the end the label's stride."""
    steps, last = build_parts(cfg, spec)
    return Pipeline(steps.steps + last.steps)


def build_parts(cfg: Any, spec: DatasetSpec) -> tuple[Pipeline, Pipeline]:
    """Build the steps that give an image and its label at one resolution, and those behind, the label's stride."""
    whole = bool(cfg.DATASET.IMG_SIZES)
    steps = _whole(cfg, spec) if whole else CROPS[cfg.AUG.TABLE](cfg, spec)
    stride = LabelStride(cfg.DATASET.LABEL_STRIDE, spec.ignore_label if whole else None)
    return Pipeline(tuple(steps)), Pipeline((stride,) if cfg.DATASET.LABEL_STRIDE > 1 else ())


def _whole(cfg: Any, spec: DatasetSpec) -> list[Transform]:
    """Flip, resize; colors and blur as with crops, none by default of such recipes. Padding follows."""
    normalize = Normalize(tuple(cfg.DATASET.MEAN), tuple(cfg.DATASET.STD), every=True)
    return [RandomFlip(), ShortSide(cfg.DATASET.IMG_MAX_SIZE), *_looks(cfg, spec), normalize]


def _padded_crops(cfg: Any, spec: DatasetSpec) -> list[Transform]:
    """Resize, pad and crop, flip, colors; an image without new colors is float, and normalized."""
    size = cfg.DATASET.CROP_SIZE
    steps = [ResizeCrop(size, cfg.AUG.SCALE_MIN, cfg.AUG.SCALE_MAX, ignore=spec.ignore_label), RandomFlip()]
    if cfg.AUG.COLOR or cfg.AUG.HUE:
        return [*steps, Distort(cfg.AUG.COLOR, cfg.AUG.HUE)]
    return [*steps, Normalize(tuple(cfg.DATASET.MEAN), tuple(cfg.DATASET.STD))]


def _scaled_crops(cfg: Any, spec: DatasetSpec) -> list[Transform]:
    """Scale and crop, flip, RandAugment, colors, blur."""
    c, fill = cfg.DATASET, mean_color(cfg.DATASET.MEAN)
    size, scales = None if c.FULL_CROP else c.CROP_SIZE, (cfg.AUG.SCALE_MIN, cfg.AUG.SCALE_MAX)
    crop = RandomScaleCrop(size, *scales, c.PRE_SIZE, c.TRANSLATE_AUG_FIX, fill, spec.ignore_label)
    return [crop, RandomFlip(), *_looks(cfg, spec)]


# The steps of crops by --aug_table.
CROPS = {"nvidia": _scaled_crops, "paddle": _padded_crops}


def _looks(cfg: Any, spec: DatasetSpec) -> list[Transform]:
    """RandAugment, colors, blur."""
    steps: list[Transform] = []
    if cfg.AUG.RAND_AUGMENT:
        fill = mean_color(cfg.DATASET.MEAN)
        count, magnitude = cfg.AUG.RAND_AUGMENT
        steps.append(RandAugment(count, float(magnitude), fill, spec.ignore_label))
    if cfg.AUG.COLOR:
        steps.append(ColorJitter.of_strength(cfg.AUG.COLOR))
    if cfg.AUG.BBLUR:
        steps.append(BILATERAL_BLUR)
    elif cfg.AUG.GBLUR:
        steps.append(GAUSSIAN_BLUR)
    return steps


def build_val(cfg: Any, spec: DatasetSpec, size: int = 0) -> Pipeline:
    """Images are evaluated as they are, or, with `size`, at that long edge; --map_crop_val: on a square of it."""
    if not size:
        return Pipeline()
    return Pipeline((FixedSize(size, cfg.DATASET.MAPILLARY_CROP_VAL, mean_color(cfg.DATASET.MEAN), spec.ignore_label),))


def mean_color(mean: list[float] | tuple[float, ...]) -> tuple[int, int, int]:
    """Give the gray that is 0 after normalization, (R, G, B) in 0..255: padding of images."""
    red, green, blue = (round(255 * value) for value in mean)
    return red, green, blue
