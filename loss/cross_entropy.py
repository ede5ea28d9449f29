"""Cross entropy over the valid pixels: plain, weighted by how rare a class is, and over the hard pixels alone.

N images of this process, K classes, H x W pixels. Logits are (N, K, H, W), labels (N, H, W) int64.
A label outside [0, K) counts as ignored, so that no kernel ever reads beyond its table. Where a loss divides by a
count, the count is summed over all ranks and the local sum multiplied by their number: after the averaging of
DistributedDataParallel the gradient is that of one process on the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.amp import upcast_to_float32
from utils.distributed import DistributedContext

_SKIP = -100  # what F.cross_entropy leaves out

# Weights of Cityscapes' 19 classes, as published with HRNet (Wang et al., arXiv:1908.07919).
CITYSCAPES = (0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023, 0.9539, 0.9843, 1.1116,
              0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507)  # fmt: skip


def valid_pixels(label: Tensor, num_classes: int, ignore_label: int) -> Tensor:
    """True where a pixel has a class: (N, H, W) int64 -> (N, H, W) bool."""
    return (label >= 0) & (label < num_classes) & (label != ignore_label)


def class_counts(label: Tensor, valid: Tensor, num_classes: int) -> Tensor:
    """Valid pixels per image and class: (N, H, W) -> (N, K) int64.

    One comparison a class, since bincount waits for the device and a scatter is slow where few bins collect it all.
    """
    return torch.stack([((label == k) & valid).sum((1, 2)) for k in range(num_classes)], dim=1)


def class_weights(counts: Tensor, total: Tensor, bound: float) -> Tensor:
    """1 + bound * (1 - share) for a class that occurs, 1 for one that does not: (N, K), (N, 1) -> (N, K).

    `counts` are the pixels of each class, `total` what they are a share of. The rule is that of label relaxation
    (Zhu et al., "Improving Semantic Segmentation via Video Propagation and Label Relaxation", arXiv:1812.01593).
    """
    share = counts / total.clamp(min=1)
    return torch.where(counts > 0, 1 + bound * (1 - share), torch.ones_like(share))


def one_hot(ids: Tensor, channels: int) -> Tensor:
    """(N, H, W) -> (N, channels, H, W) bool; nothing is set where an id is no channel."""
    return ids.unsqueeze(1) == torch.arange(channels, device=ids.device).view(-1, 1, 1)


def pixel_losses(logits: Tensor, label: Tensor, valid: Tensor, weight: Tensor | None = None) -> Tensor:
    """-log softmax of each pixel's class, times the class's weight, 0 where it has none.

    (N, K, H, W), (N, H, W) twice, (K,) -> (N, H, W).
    """
    # Not reduced here: the reducing kernel is not deterministic on a GPU.
    return F.cross_entropy(
        upcast_to_float32(logits), label.masked_fill(~valid, _SKIP), weight, ignore_index=_SKIP, reduction="none"
    )


def image_mean(per_image: Tensor, ranks: DistributedContext) -> Tensor:
    """Mean over the images of the batch of all ranks: (N,) -> scalar."""
    images = ranks.sum(torch.full((), len(per_image), device=per_image.device))
    return per_image.sum() * ranks.world / images


def pixel_weights(weight: Sequence[float], label: Tensor, valid: Tensor, dtype: torch.dtype) -> Tensor:
    """The weight of each pixel's class, 0 where it has none: K numbers, (N, H, W) twice -> (N, H, W)."""
    table = torch.tensor(weight, dtype=dtype, device=label.device)
    return table[label.where(valid, torch.zeros_like(label))] * valid


class CrossEntropy(nn.Module):
    """Mean of -log softmax over the valid pixels of the batch; 0 where there is none.

    With a `weight` per class, sum of w_y * nll / sum of w_y.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_label: int = 255,
        ranks: DistributedContext | None = None,
        weight: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.num_classes, self.ignore_label, self.ranks = num_classes, ignore_label, ranks or DistributedContext()
        self.weight = tuple(weight)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W), (N, H, W) -> scalar."""
        valid = valid_pixels(label, self.num_classes, self.ignore_label)
        losses = pixel_losses(logits, label, valid)
        if not self.weight:
            return losses.sum() * self.ranks.world / self.ranks.sum(valid.sum()).clamp(min=1)
        weight = pixel_weights(self.weight, label, valid, losses.dtype)
        total = self.ranks.sum(weight.sum())
        return (losses * weight).sum() * self.ranks.world / total.clamp(min=torch.finfo(total.dtype).tiny)


class WeightedCrossEntropy(nn.Module):
    """Cross entropy with a weight per class, averaged in each image, then over the images.

    Image i: sum over its pixels of w_y * nll / sum of w_y, with the weights of `class_weights`. Their shares are those
    of the image itself, with `batch` those of the batch of all ranks. `published`: the shares are
    always the batch's, and the images are summed, so the value grows with their number.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_label: int = 255,
        ranks: DistributedContext | None = None,
        bound: float = 1.0,
        batch: bool = False,
        published: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes, self.ignore_label, self.ranks = num_classes, ignore_label, ranks or DistributedContext()
        self.bound, self.batch, self.published = bound, batch or published, published

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W), (N, H, W) -> scalar."""
        valid = valid_pixels(label, self.num_classes, self.ignore_label)
        losses = pixel_losses(logits, label, valid)  # (N, H, W)
        weight = self._pixel_weights(label, valid).to(losses.dtype)
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

    def _pixel_weights(self, label: Tensor, valid: Tensor) -> Tensor:
        index = label.where(valid, torch.zeros_like(label)).flatten(1)  # (N, HW)
        return self.weights(label, valid).gather(1, index).view_as(label) * valid


class BootstrappedCrossEntropy(nn.Module):
    """Cross entropy over the hard pixels of an image (Wu et al., "Bridging Category-level and Instance-level Semantic
    Image Segmentation", arXiv:1605.06885, section 4.2), then the mean over the images of all ranks.

    The mean of the losses above `threshold` if they are more than `min_pixels`; else of the `min_pixels` largest ones.
    An ignored pixel has loss 0 and can be among these. Where an image has no more pixels, it is the mean of all.
    A `weight` per class multiplies a pixel's loss beforehand.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_label: int = 255,
        ranks: DistributedContext | None = None,
        min_pixels: int = 100_000,
        threshold: float = 0.05,
        weight: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.num_classes, self.ignore_label, self.ranks = num_classes, ignore_label, ranks or DistributedContext()
        self.min_pixels, self.threshold, self.weight = min_pixels, threshold, tuple(weight)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W), (N, H, W) -> scalar."""
        valid = valid_pixels(label, self.num_classes, self.ignore_label)
        weight = upcast_to_float32(logits.new_tensor(self.weight)) if self.weight else None
        losses = pixel_losses(logits, label, valid, weight).flatten(1)  # (N, HW)
        largest = losses.topk(min(self.min_pixels, losses.shape[1])).values.mean(1)
        hard = losses > self.threshold
        count = hard.sum(1)
        above = torch.where(hard, losses, 0.0).sum(1) / count.clamp(min=1)
        return image_mean(torch.where(count > self.min_pixels, above, largest), self.ranks)


class HardPixelCrossEntropy(nn.Module):
    """Cross entropy over the pixels whose class seems improbable: online hard example mining (Shrivastava et al.,
    arXiv:1604.03540) by pixels.

    A pixel is kept where the probability p of its class lies below `threshold`, or below the p of the pixel that
    `keep` others of this process are harder than, if that is larger. Sum of w_y * nll of the kept pixels / their number
    on all ranks, with a `weight` per class or 1. Where none is kept the value is 0, and `skipped` counts that.
    `probabilities`: p is read from the scores as they are, while the cross entropy takes their log softmax still.
    """

    skipped: Tensor

    def __init__(
        self,
        num_classes: int,
        ignore_label: int = 255,
        ranks: DistributedContext | None = None,
        threshold: float = 0.9,
        keep: int = 131072,
        weight: Sequence[float] = (),
        probabilities: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes, self.ignore_label, self.ranks = num_classes, ignore_label, ranks or DistributedContext()
        self.threshold, self.keep, self.weight = threshold, keep, tuple(weight)
        self.probabilities = probabilities
        self.register_buffer("skipped", torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W), (N, H, W) -> scalar."""
        valid = valid_pixels(label, self.num_classes, self.ignore_label)
        losses = pixel_losses(logits, label, valid)  # (N, H, W)
        kept = self._kept(logits.detach(), losses.detach(), label, valid)
        count = self.ranks.sum(kept.sum())
        self.skipped = self.skipped.to(count.device) + (count == 0) * self.ranks.is_main
        if self.weight:
            losses = losses * pixel_weights(self.weight, label, valid, losses.dtype)
        return torch.where(kept, losses, 0.0).sum() * self.ranks.world / count.clamp(min=1)

    def _kept(self, logits: Tensor, losses: Tensor, label: Tensor, valid: Tensor) -> Tensor:
        own = (-losses).exp()
        if self.probabilities:
            own = (
                upcast_to_float32(logits).gather(1, label.where(valid, torch.zeros_like(label)).unsqueeze(1)).squeeze(1)
            )
        own = own.masked_fill(~valid, torch.inf)
        hardest = own.flatten().topk(min(self.keep + 1, own.numel()), largest=False).values  # from hard to easy
        place = (valid.sum() - 1).clamp(0, len(hardest) - 1)
        limit = hardest.gather(0, place.view(1)).clamp(min=self.threshold)
        return valid & ~(own >= limit)  # what is NaN is kept, so that it shows
