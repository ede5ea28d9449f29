"""What differs between the published ways of evaluating, as one frozen value, and the input that follows from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from utils.contracts import scale_name
from utils.normalization import Normalization
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

    `mean`, `std`: of RGB in 0..1. `scales`: of the input; `flip`: the mirror image as well; `flip_vertical`: the
    image upside down; both: turned by 180 degrees. `mirror_first`: before scaling, which only "pil_nearest" minds.
    `short_edge_sizes`: in place of `scales`, of each image those at which its short edge has these pixels, or its long
    edge `max_long_edge`, the smaller of both. `base_long_edge`: scale 1 has the long edge at so many pixels; 0: at its
    own.
    `size_rule`: side of a scaled input, a name of SIZE_RULES; then up to a multiple of `multiple`.
    `resize`: who makes the scaled input: "torch" (on the device), "cv2" (linear), "pil" (bilinear, smooths when it
    shrinks; "pil_bicubic" and "pil_nearest" likewise). `resize_first`: cv2 and pil resize the uint8 image, else the
    normalized one.
    `use_given_scale_factor`: networks of several scales resize their input by the scale itself, not by the ratio of
    the rounded sizes (see `utils.resize.resize_by`).
    `align_corners`: of torch's resizing, of inputs and of the logits on their way back to the size of the image.
    `logit_resize`: that way back: "bilinear", or "area", the mean of the pixels that fall together where it shrinks.
    `resize_logits_once`: a network that takes a `size` resizes its logits straight to the image's; else to the input's
    first. Not with windows.
    `average`: what is averaged over scales (and tiles): "logits", softmax only at the end (one softmax of the mean);
    "probabilities", softmax of every pass after resizing; "exp", exp of each scale's logits before resizing.

    What is cut where the network sees a part at a time:

    `tile`    the image, before it is scaled, for the sake of memory: squares of this side, 0: none, or what fits.
              `overlap`: their share in common, where their weights fall off to the border.
    `window`  the input, scaled and mirrored: squares of `window * max(scale, 1)`, 0: none. `window_overlap`: their
              share in common, averaged by `inference.windows.counts`, or as `published_counts` says.
    `piece`   the input, scaled, before it is mirrored: (h, w) at every scale, None: none. Without overlap, but the last
              is shifted inside.
    """

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    scales: tuple[float, ...] = (1.0,)
    short_edge_sizes: tuple[int, ...] = ()
    max_long_edge: int = 1000
    multiple: int = 1
    base_long_edge: int = 0
    flip: bool = False
    flip_vertical: bool = False
    mirror_first: bool = False
    size_rule: str = "round"
    resize: Literal["torch", "cv2", "pil", "pil_bicubic", "pil_nearest"] = "torch"
    resize_first: bool = False
    use_given_scale_factor: bool = False
    align_corners: bool = False
    logit_resize: Literal["bilinear", "area"] = "bilinear"
    resize_logits_once: bool = False
    average: Literal["logits", "probabilities", "exp"] = "logits"
    window: int = 0
    window_overlap: float = 1 / 3
    published_counts: bool = False
    piece: Size | None = None
    tile: int = 0
    overlap: float = 0.25

    @property
    def flips(self) -> tuple[tuple[int, ...], ...]:
        """Axes to mirror in each pass over the image as it is, left to right, upside down, both."""
        one = [((-1,), self.flip), ((-2,), self.flip_vertical), ((-2, -1), self.flip and self.flip_vertical)]
        return ((), *(axes for axes, asked in one if asked))

    def scales_of(self, size: Size) -> tuple[float, ...]:
        """Give the scales of the inputs of an image of `size` (H, W)."""
        if self.base_long_edge:
            return tuple(int(self.base_long_edge * scale + 0.5) / max(size) for scale in self.scales)
        if not self.short_edge_sizes:
            return self.scales
        return tuple(short_side_scale(size, short, self.max_long_edge) for short in self.short_edge_sizes)

    @property
    def names(self) -> tuple[str, ...]:
        """What the outputs of the single scales are called: "pred_05x", or "pred_300" for a short side."""
        return tuple(f"pred_{name}" for name in self.short_edge_sizes or map(scale_name, self.scales))

    def scaled(self, size: Size, scale: float) -> Size:
        """Give the size (h, w) of the input at `scale` of an image, or a tile of it, of `size` (H, W)."""
        side = SIZE_RULES[self.size_rule]
        height, width = (rounded_up(max(1, side(length * scale)), self.multiple) for length in size)
        return height, width


PLAIN = EvalRule()  # the image at its own size, once


class Way(NamedTuple):
    """A published way of evaluating. `rule`: with its own values. `suits(options)`: whether --eval_rule auto takes it
    for {key: value}, of which any may be missing. `fill(cfg, rule)`: the rule, in which the options that every way
    reads are filled in, with those that this one reads.
    """

    rule: EvalRule
    suits: Callable[[Mapping[str, Any]], bool] = lambda _: False
    fill: Callable[[Any, EvalRule], EvalRule] = lambda _, rule: rule


def normalize(images: Tensor, rule: EvalRule) -> Tensor:
    """(N, 3, H, W) uint8 -> float32 with the rule's mean and deviation taken out; floats are normalized already."""
    return _normalization(rule.mean, rule.std, images.device)(images)


@cache
def _normalization(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> Normalization:
    with torch.inference_mode(False):  # it outlives the pass that asks for it first
        return Normalization(mean, std, device)


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
    """(N, 3, H, W) uint8, or float as normalized already -> (N, 3, *size) normalized, on `device`."""
    if rule.resize == "torch" or tuple(images.shape[-2:]) == size:
        return resize(normalize(images.to(device), rule), size, rule.align_corners).to(dtype)
    if not rule.resize_first:
        images = normalize(images, rule)
    arrays = images.permute(0, 2, 3, 1).cpu().numpy()  # (N, H, W, 3)
    scaled = np.stack([_HOST[rule.resize](np.ascontiguousarray(a), size) for a in arrays])
    return normalize(torch.from_numpy(scaled).permute(0, 3, 1, 2).to(device), rule).to(dtype)
