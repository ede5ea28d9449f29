"""What losses over pixels share: which pixels count, weights of classes, sums over all ranks. And their contract.

N images of this process, K classes, H x W pixels. Logits are (N, K, H, W), labels (N, H, W) int64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.amp import upcast_to_float32
from utils.distributed import DistributedContext

_SKIP = -100  # what F.cross_entropy leaves out


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


def pixel_weights(weight: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    """The weight of each pixel's class, 0 where it has none: (K,), (N, H, W) twice -> (N, H, W)."""
    return weight[label.masked_fill(~valid, 0)] * valid


def masked_mean(losses: Tensor, count: Tensor, ranks: DistributedContext) -> Tensor:
    """The sum of `losses` (0 where a pixel does not count) by the `count` of those on all ranks that do."""
    return losses.sum() * ranks.world / count.clamp(min=1)


@dataclass(eq=False, repr=False)
class PixelLoss(nn.Module):
    """A loss: `loss(logits, label) -> scalar`, of (N, K, H, W) and (N, H, W). A new one is a file and a row of LOSSES.

    `skipped` counts what the loss has left out and taken as 0 on this rank since it was made.

    What all of them keep, and tests/loss/test_losses.py asks of every row:

    - A label that is no class, or `ignore_label`, does not count, so that no kernel ever reads beyond its table. Where
      nothing counts the value is 0, with a gradient of zeros.
    - n ranks are one process: what the value is divided by is summed over all ranks (`ranks.sum`), and the local sum is
      multiplied by their number (`ranks.world`). The mean of the ranks' gradients is that of one process on the whole
      batch.
    - Half types are raised to float32 (`upcast_to_float32`); float64 stays.
    - Nothing waits for the device: no `.item()`, no `if` on a tensor, no `nonzero`, no tensor of numbers of the host
      but by `per_class`.
    - Its weight is none of its business: `Criterion` applies that.
    """

    num_classes: int
    ignore_label: int = 255
    ranks: DistributedContext = field(default_factory=DistributedContext)
    skipped: Tensor = field(init=False)
    _per_class: Tensor | None = field(init=False)

    def __post_init__(self) -> None:
        super().__init__()
        self._per_class = None
        self.register_buffer("skipped", torch.zeros((), dtype=torch.int64), persistent=False)

    def skip(self, count: Tensor) -> None:
        """Add to `skipped`, without a wait for the device."""
        self.skipped = self.skipped.to(count.device) + count

    def per_class(self, weight: Sequence[float], like: Tensor) -> Tensor:
        """`weight`, K numbers that stay the same, as a tensor of the type of `like` on its device: (K,).

        It is made once: a copy from the host waits for a GPU.
        """
        made = self._per_class
        if made is None or (made.dtype, made.device) != (like.dtype, like.device):
            made = self._per_class = like.new_tensor(weight)
        return made

    def valid(self, label: Tensor) -> Tensor:
        """True where a pixel has a class: (N, H, W) -> (N, H, W) bool."""
        return valid_pixels(label, self.num_classes, self.ignore_label)
