"""Cross entropy over the valid pixels: plain, weighted by how rare a class is, and over the hard pixels alone.

N images of this process, K classes, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from loss.pixels import PixelLoss, class_counts, class_weights, image_mean, masked_mean, pixel_losses, pixel_weights
from utils.amp import upcast_to_float32

# Weights of Cityscapes' 19 classes, as published with HRNet (Wang et al., arXiv:1908.07919).
CITYSCAPES = (0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023, 0.9539, 0.9843, 1.1116,
              0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507)  # fmt: skip


@dataclass(eq=False, repr=False)
class CrossEntropy(PixelLoss):
    """Mean of -log softmax over the valid pixels of the batch; 0 where there is none.

    With a `weight` per class, sum of w_y * nll / sum of w_y.
    """

    weight: Sequence[float] = ()

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W), (N, H, W) -> scalar."""
        valid = self.valid(label)
        losses = pixel_losses(logits, label, valid)
        if not self.weight:
            return masked_mean(losses, self.ranks.sum(valid.sum()), self.ranks)
        weight = pixel_weights(self.per_class(self.weight, losses), label, valid)
        total = self.ranks.sum(weight.sum())
        return (losses * weight).sum() * self.ranks.world / total.clamp(min=torch.finfo(total.dtype).tiny)


@dataclass(eq=False, repr=False)
class WeightedCrossEntropy(PixelLoss):
    """Cross entropy with a weight per class, averaged in each image, then over the images.

    Image i: sum over its pixels of w_y * nll / sum of w_y, with the weights of `class_weights`. Their shares are those
    of the image itself, with `batch` those of the batch of all ranks. `published`: the shares are
    always the batch's, and the images are summed, so the value grows with their number.
    """

    bound: float = 1.0
    batch: bool = False
    published: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.batch |= self.published

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W), (N, H, W) -> scalar."""
        valid = self.valid(label)
        losses = pixel_losses(logits, label, valid)  # (N, H, W)
        index = label.masked_fill(~valid, 0).flatten(1)  # (N, HW)
        weight = (self.weights(label, valid).gather(1, index).view_as(label) * valid).to(losses.dtype)
        numerator = (losses * weight).sum((1, 2))  # (N,)
        # A weight is at least 1, so the clamp acts on images without a valid pixel alone.
        per_image = numerator / weight.sum((1, 2)).clamp(min=1)
        return per_image.sum() * self.ranks.world if self.published else image_mean(per_image, self.ranks)

    def weights(self, label: Tensor, valid: Tensor) -> Tensor:
        """Weight of every class in every image: (N, H, W) -> (N, K) float64."""
        counts = class_counts(label, valid, self.num_classes)
        if self.batch:
            counts = self.ranks.sum(counts.sum(0)).expand_as(counts)
        return class_weights(counts.double(), counts.sum(1, keepdim=True), self.bound)


@dataclass(eq=False, repr=False)
class BootstrappedCrossEntropy(PixelLoss):
    """Cross entropy over the hard pixels of an image (Wu et al., "Bridging Category-level and Instance-level Semantic
    Image Segmentation", arXiv:1605.06885, section 4.2), then the mean over the images of all ranks.

    The mean of the losses above `threshold` if they are more than `min_pixels`; else of the `min_pixels` largest ones.
    An ignored pixel has loss 0 and can be among these. Where an image has no more pixels, it is the mean of all.
    A `weight` per class multiplies a pixel's loss beforehand.
    """

    min_pixels: int = 100_000
    threshold: float = 0.05
    weight: Sequence[float] = ()

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W), (N, H, W) -> scalar."""
        valid, logits = self.valid(label), upcast_to_float32(logits)
        weight = self.per_class(self.weight, logits) if self.weight else None
        losses = pixel_losses(logits, label, valid, weight).flatten(1)  # (N, HW)
        largest = losses.topk(min(self.min_pixels, losses.shape[1])).values.mean(1)
        hard = losses > self.threshold
        count = hard.sum(1)
        above = torch.where(hard, losses, 0.0).sum(1) / count.clamp(min=1)
        return image_mean(torch.where(count > self.min_pixels, above, largest), self.ranks)


@dataclass(eq=False, repr=False)
class HardPixelCrossEntropy(PixelLoss):
    """Cross entropy over the pixels whose class seems improbable: online hard example mining (Shrivastava et al.,
    arXiv:1604.03540) by pixels.

    A pixel is kept where the probability p of its class lies below `threshold`, or below the p of the pixel that
    `keep` others of this process are harder than, if that is larger. Sum of w_y * nll of the kept pixels / their number
    on all ranks, with a `weight` per class or 1. Where none is kept the value is 0, and `skipped` counts that.
    `probabilities`: p is read from the scores as they are, while the cross entropy takes their log softmax still.
    """

    threshold: float = 0.9
    keep: int = 131072
    weight: Sequence[float] = ()
    probabilities: bool = False

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W), (N, H, W) -> scalar."""
        valid = self.valid(label)
        losses = pixel_losses(logits, label, valid)  # (N, H, W)
        kept = self._kept(logits.detach(), losses.detach(), label, valid)
        count = self.ranks.sum(kept.sum())
        self.skip((count == 0) * self.ranks.is_main)
        if self.weight:
            losses = losses * pixel_weights(self.per_class(self.weight, losses), label, valid)
        return masked_mean(torch.where(kept, losses, 0.0), count, self.ranks)

    def _kept(self, logits: Tensor, losses: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        own = (-losses).exp()
        if self.probabilities:
            own = upcast_to_float32(logits).gather(1, label.masked_fill(~valid, 0).unsqueeze(1)).squeeze(1)
        own = own.masked_fill(~valid, torch.inf)
        hardest = own.flatten().topk(min(self.keep + 1, own.numel()), largest=False).values  # from hard to easy
        place = (valid.sum() - 1).clamp(0, len(hardest) - 1)
        limit = hardest.gather(0, place.view(1)).clamp(min=self.threshold)
        return valid & ~(own >= limit)  # what is NaN is kept, so that it shows
