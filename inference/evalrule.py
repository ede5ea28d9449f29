"""What differs between the published ways of evaluating, as one frozen value, and the input that follows from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from network.mscale import scale_name
from utils.resize import resize, rounded_up, short_side_scale

Size = tuple[int, int]

# Side of the input at a scale. `round` is Python's (to even), `half_up` the usual one, `floor` cuts off.
SIZE_RULES: dict[str, Callable[[float], int]] = {
    "round": round,
    "floor": math.floor,
    "half_up": lambda side: math.floor(side + 0.5),
}


@dataclass(frozen=True)
class EvalRule:
    """How an image becomes inputs of a network and its outputs one map. `dataclasses.replace` changes a field.

    `mean`, `std`: of RGB in 0..1. `scales`: of the input; `flip`: the mirror image, too; `flip_vertical`: the image
    upside down; both: turned by 180 degrees, too. `mirror_first`: before scaling, which only "pil_nearest" minds.
    `short_sides`: in place of `scales`, of each image those at which its short side has these pixels, or its long side
    `longest`, whichever is smaller. `base`: scale 1 has the long side at so many pixels; 0: at its own.
    `size_rule`: side of a scaled input, a name of SIZE_RULES; then up to a multiple of `multiple`.
    `resize`: who makes the scaled input: "torch" (on the device), "cv2" (linear), "pil" (bilinear, smooths when it
    shrinks; "pil_bicubic" and "pil_nearest" likewise). `resize_first`: cv2 and pil resize the uint8 image, else the
    normalised one.
    `use_given_scale_factor`: networks of several scales resize their input by the scale itself, not by the ratio of
    the rounded sizes (see `utils.resize.resize_by`).
    `align_corners`: of torch's resizing, of inputs and of the logits on their way back to the size of the image.
    `back`: that way back: "bilinear", or "area", the mean of the pixels that fall together where it shrinks. `direct`:
    a network that takes a `size` resizes its logits once, to the image's; else to the input's first. Not with windows.
    `average`: what is averaged over scales (and tiles): "logits", softmax only at the end (one softmax of the mean);
    "probabilities", softmax of every pass after resizing; "exp", exp of each scale's logits before resizing.
    `window`: 0 = the scaled input at once; else in square windows of `window * max(scale, 1)`, `window_overlap` their
    share in common, averaged by `inference.windows.counts`, or as `published_counts` says.
    `piece`: (h, w); an input that is larger is seen in windows of that size without overlap, the last shifted inside,
    each with its mirror images.
    `tile`: 0 = the whole image if memory allows; else square tiles of this size, `overlap` their share in common,
    `blend` their weight: "tent" (falls off to the border) or "uniform".
    """

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    scales: tuple[float, ...] = (1.0,)
    short_sides: tuple[int, ...] = ()
    longest: int = 1000
    multiple: int = 1
    base: int = 0
    flip: bool = False
    flip_vertical: bool = False
    mirror_first: bool = False
    size_rule: str = "round"
    resize: Literal["torch", "cv2", "pil", "pil_bicubic", "pil_nearest"] = "torch"
    resize_first: bool = False
    use_given_scale_factor: bool = False
    align_corners: bool = False
    back: Literal["bilinear", "area"] = "bilinear"
    direct: bool = False
    average: Literal["logits", "probabilities", "exp"] = "logits"
    window: int = 0
    window_overlap: float = 1 / 3
    published_counts: bool = False
    piece: Size | None = None
    tile: int = 0
    overlap: float = 0.25
    blend: Literal["tent", "uniform"] = "tent"

    @property
    def flips(self) -> tuple[tuple[int, ...], ...]:
        """Axes to mirror in each pass over the image as it is, left to right, upside down, both."""
        one = [((-1,), self.flip), ((-2,), self.flip_vertical), ((-2, -1), self.flip and self.flip_vertical)]
        return ((), *(axes for axes, asked in one if asked))

    def scales_of(self, size: Size) -> tuple[float, ...]:
        """Scales of the inputs of an image of `size` (H, W)."""
        if self.base:
            return tuple(int(self.base * scale + 0.5) / max(size) for scale in self.scales)
        if not self.short_sides:
            return self.scales
        return tuple(short_side_scale(size, short, self.longest) for short in self.short_sides)

    @property
    def names(self) -> tuple[str, ...]:
        """What the outputs of the single scales are called: "pred_05x", or "pred_300" for a short side."""
        return tuple(f"pred_{name}" for name in self.short_sides or map(scale_name, self.scales))

    def scaled(self, size: Size, scale: float) -> Size:
        """Size (h, w) of the input at `scale` of an image, or a tile of it, of `size` (H, W)."""
        side = SIZE_RULES[self.size_rule]
        height, width = (rounded_up(max(1, side(length * scale)), self.multiple) for length in size)
        return height, width


# Hierarchical multi-scale attention (Tao, Sapra, Catanzaro 2020): logits averaged over scales and mirror images.
# "paddle": the same in PaddleSeg since its release 2.8; before, probabilities were averaged.
# "hrnet": the HRNet family's lists of scales, exp of the logits summed over them.
# "csail": short sides of the scene-parsing code (Zhou et al. 2016).
# "sdcnet": video propagation and label relaxation (Zhu, Sapra et al. 2019), windows over every scale and mirror image.
# "sdcnet_whole": the same without windows. "sdcnet_pooling": the other way there, with the filter Pillow takes unasked.
_SDCNET = EvalRule(
    scales=(0.5, 1.0, 2.0), flip=True, mirror_first=True, size_rule="floor", resize="pil", resize_first=True
)
RULES: dict[str, EvalRule] = {
    "nvidia": EvalRule(),
    "paddle": EvalRule(size_rule="half_up", use_given_scale_factor=True),
    "hrnet": EvalRule(size_rule="half_up", resize="cv2", average="exp", base=2048, piece=(1024, 2048)),
    "csail": EvalRule(
        size_rule="floor", multiple=8, resize="pil", resize_first=True, direct=True, average="probabilities"
    ),
    "sdcnet": replace(_SDCNET, window=1024),
    "sdcnet_whole": _SDCNET,
    "sdcnet_pooling": replace(_SDCNET, resize="pil_bicubic", back="area"),
}


def normalise(images: Tensor, rule: EvalRule) -> Tensor:
    """(N, 3, H, W) uint8 -> float32 with the rule's mean and deviation taken out; floats are normalised already."""
    if images.is_floating_point():
        return images
    mean = torch.tensor(rule.mean, device=images.device).view(1, 3, 1, 1) * 255
    std = torch.tensor(rule.std, device=images.device).view(1, 3, 1, 1) * 255
    return (images.float() - mean) / std


def _cv2(image: np.ndarray, size: Size) -> np.ndarray:
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)


def _pil(image: np.ndarray, size: Size, how: Image.Resampling) -> np.ndarray:
    if image.dtype == np.uint8:
        return np.asarray(Image.fromarray(image).resize((size[1], size[0]), how))
    bands = (Image.fromarray(np.ascontiguousarray(band, np.float32)) for band in image.transpose(2, 0, 1))
    return np.stack([np.asarray(b.resize((size[1], size[0]), how)) for b in bands], axis=2)


_HOST: dict[str, Callable[[np.ndarray, Size], np.ndarray]] = {
    "cv2": _cv2,
    "pil": partial(_pil, how=Image.Resampling.BILINEAR),
    "pil_bicubic": partial(_pil, how=Image.Resampling.BICUBIC),
    "pil_nearest": partial(_pil, how=Image.Resampling.NEAREST),
}


def prepare(images: Tensor, size: Size, rule: EvalRule, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(N, 3, H, W) uint8, or float as normalised already -> (N, 3, *size) normalised, on `device`."""
    if rule.resize == "torch" or tuple(images.shape[-2:]) == size:
        return resize(normalise(images.to(device), rule), size, rule.align_corners).to(dtype)
    if not rule.resize_first:
        images = normalise(images, rule)
    arrays = images.permute(0, 2, 3, 1).cpu().numpy()  # (N, H, W, 3)
    scaled = np.stack([_HOST[rule.resize](np.ascontiguousarray(a), size) for a in arrays])
    return normalise(torch.from_numpy(scaled).permute(0, 3, 1, 2).to(device), rule).to(dtype)
