"""Boundary label relaxation (Zhu et al., "Improving Semantic Segmentation via Video Propagation and Label Relaxation",
arXiv:1812.01593, section 3.3): near a boundary any of the classes around a pixel is right.

N images of this process, K classes, H x W pixels. The classes around a pixel are read from the label itself, so the
data need no other targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from loss.pixels import PixelLoss, class_weights, image_mean, one_hot, valid_pixels
from utils.amp import upcast_to_float32


def _train_ids(label: Tensor, num_classes: int, ignore_label: int) -> Tensor:
    """Labels with everything that is no class as K: (N, H, W) -> (N, H, W)."""
    return label.masked_fill(~valid_pixels(label, num_classes, ignore_label), num_classes)


def relaxed_target(
    label: Tensor, num_classes: int, ignore_label: int = 255, border: int = 1, strict: Sequence[int] = ()
) -> Tensor:
    """Classes that are right at a pixel: (N, H, W) -> (N, K + 1, H, W) bool, the last channel for ignored ones.

    A class is set where it occurs within `border` pixels (a square window); outside the image all is ignored.
    Pixels whose own class is in `strict` are not relaxed.
    """
    ids = _train_ids(label, num_classes, ignore_label)
    (h, w), side = label.shape[-2:], 2 * border + 1
    near = one_hot(F.pad(ids, (border,) * 4, value=num_classes), num_classes + 1)  # (N, K + 1, H + 2b, W + 2b)
    rows = near[:, :, :h]
    for y in range(1, side):
        rows = rows | near[:, :, y : y + h]
    target = rows[..., :w]
    for x in range(1, side):
        target = target | rows[..., x : x + w]
    if not strict:
        return target
    own = torch.stack([ids == k for k in strict]).any(0).unsqueeze(1)  # (N, 1, H, W)
    return torch.where(own, one_hot(ids, num_classes + 1), target)


def boundaries(ids: Tensor) -> Tensor:
    """True where one of the four neighbors is of another class: (N, H, W) -> (N, H, W) bool."""
    edge = torch.zeros_like(ids, dtype=torch.bool)
    down, right = ids[:, 1:] != ids[:, :-1], ids[:, :, 1:] != ids[:, :, :-1]
    edge[:, 1:] |= down
    edge[:, :-1] |= down
    edge[:, :, 1:] |= right
    edge[:, :, :-1] |= right
    return edge


@dataclass(eq=False, repr=False)
class Relaxation(PixelLoss):
    """-log of the summed probability of the classes that are right at a pixel, weighted by class.

    Image i: the sum over pixels of mean_c(w_c) * -log(sum_c softmax_c), c over the classes set at the pixel, divided by
    (pixels with a class set + 1), w as in `class_weights` with shares of the target, its ignore channel counted in the
    total; then the mean over the images of all ranks. `batch`: shares of the batch of all ranks.
    `reduced` is what training ends with: plain labels, and pixels on a boundary count twice.
    `published`: the pixel's 1 / (classes set) is summed over all images, and so are the images.
    That needs images of one size on all ranks.
    """

    bound: float = 1.0
    batch: bool = False
    border: int = 1
    strict: Sequence[int] = ()
    reduced: bool = False
    published: bool = False

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W), (N, H, W) -> scalar."""
        logits = upcast_to_float32(logits)
        target, twice = self.target(label)
        known = target[:, :-1]  # (N, K, H, W)
        count = known.sum(1)  # (N, H, W)
        used = count > 0
        weights = self.weights(target, twice).to(logits.dtype)
        weight = torch.einsum("nkhw,nk->nhw", known.to(logits.dtype), weights)
        pixel = self._pixel_factor(count, twice).to(logits.dtype) * weight * -_log_sum(logits, known, used)
        per_image = pixel.sum((1, 2)) / (used.sum((1, 2)) + 1)  # (N,)
        return per_image.sum() * self.ranks.world if self.published else image_mean(per_image, self.ranks)

    def target(self, label: Tensor) -> tuple[Tensor, Tensor]:
        """Classes set at each pixel, (N, K + 1, H, W) bool, and the pixels that count twice, (N, H, W) bool."""
        if not self.reduced:
            target = relaxed_target(label, self.num_classes, self.ignore_label, self.border, self.strict)
            return target, torch.zeros_like(label, dtype=torch.bool)
        ids = _train_ids(label, self.num_classes, self.ignore_label)
        return one_hot(ids, self.num_classes + 1), boundaries(ids)

    def weights(self, target: Tensor, twice: Tensor) -> Tensor:
        """Weight of every class in every image, from what `target` gives: (N, K) float64."""
        counts = target.sum((2, 3))  # (N, K + 1)
        if self.reduced:
            counts = counts + (target & twice.unsqueeze(1)).sum((2, 3))
        if self.batch:
            counts = self.ranks.sum(counts.sum(0)).expand_as(counts)
        return class_weights(counts[:, :-1].double(), counts.sum(1, keepdim=True), self.bound)

    def _pixel_factor(self, count: Tensor, twice: Tensor) -> Tensor:
        factor = (1 + (twice & (count > 0)).double()) / count.clamp(min=1)  # (N, H, W)
        return self.ranks.sum(factor.sum(0)).expand_as(factor) if self.published else factor


def _log_sum(logits: Tensor, known: Tensor, used: Tensor) -> Tensor:
    """log of the summed softmax of the classes set: (N, K, H, W) twice, (N, H, W) -> (N, H, W); 0 where none is."""
    # All classes are set where none is: the log of 1, with a gradient of exactly 0.
    allowed = known | ~used.unsqueeze(1)
    return logits.masked_fill(~allowed, -torch.inf).logsumexp(1) - logits.logsumexp(1)
