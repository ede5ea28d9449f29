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

from utils.distributed import Ranks

_SKIP = -100  # what F.cross_entropy leaves out


def at_least_single(logits: Tensor) -> Tensor:
    """Half types as float32, others as they are: a sum over an image's pixels overflows or stalls in half."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


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
        at_least_single(logits), label.masked_fill(~valid, _SKIP), weight, ignore_index=_SKIP, reduction="none"
    )


def image_mean(per_image: Tensor, ranks: Ranks) -> Tensor:
    """Mean over the images of the batch of all ranks: (N,) -> scalar."""
    images = ranks.sum(torch.full((), len(per_image), device=per_image.device))
    return per_image.sum() * ranks.world / images


class CrossEntropy(nn.Module):
    """Mean of -log softmax over the valid pixels of the batch; 0 where there is none."""

    def __init__(self, num_classes: int, ignore_label: int = 255, ranks: Ranks | None = None) -> None:
        super().__init__()
        self.num_classes, self.ignore_label, self.ranks = num_classes, ignore_label, ranks or Ranks()

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W), (N, H, W) -> scalar."""
        valid = valid_pixels(label, self.num_classes, self.ignore_label)
        count = self.ranks.sum(valid.sum()).clamp(min=1)
        return pixel_losses(logits, label, valid).sum() * self.ranks.world / count


class WeightedCrossEntropy(nn.Module):
    """Cross entropy with a weight per class, averaged in each image, then over the images.

    Image i: sum over its pixels of w_y * nll / sum of w_y, with the weights of `class_weights`. Their shares are those
    of the image itself, with `batch` those of the batch of all ranks. `published`: as in NVIDIA's code, the shares are
    always the batch's, and the images are summed, so the value grows with their number.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_label: int = 255,
        ranks: Ranks | None = None,
        bound: float = 1.0,
        batch: bool = False,
        published: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes, self.ignore_label, self.ranks = num_classes, ignore_label, ranks or Ranks()
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
        ranks: Ranks | None = None,
        min_pixels: int = 100_000,
        threshold: float = 0.05,
        weight: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.num_classes, self.ignore_label, self.ranks = num_classes, ignore_label, ranks or Ranks()
        self.min_pixels, self.threshold, self.weight = min_pixels, threshold, tuple(weight)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W), (N, H, W) -> scalar."""
        valid = valid_pixels(label, self.num_classes, self.ignore_label)
        weight = at_least_single(logits.new_tensor(self.weight)) if self.weight else None
        losses = pixel_losses(logits, label, valid, weight).flatten(1)  # (N, HW)
        largest = losses.topk(min(self.min_pixels, losses.shape[1])).values.mean(1)
        hard = losses > self.threshold
        count = hard.sum(1)
        above = torch.where(hard, losses, 0.0).sum(1) / count.clamp(min=1)
        return image_mean(torch.where(count > self.min_pixels, above, largest), self.ranks)
