"""Dice loss (Milletari et al., "V-Net", arXiv:1606.04797, section 3, with plain sums in the denominator).

N images of this process, K classes, H x W pixels. P is the summed probability of a class, T its number of pixels, I
the probability summed over its own pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from loss.pixels import PixelLoss, image_mean, one_hot
from utils.amp import upcast_to_float32
from utils.errors import UserError

_EPS = 1e-8
_EARLIER_EPS = 1e-5  # of the published variants of 2.0 and 2.1


@dataclass(eq=False, repr=False)
class Dice(PixelLoss):
    """1 - (2 I + smooth) / (P + T + smooth), of each image and class, over valid pixels; mean of both.

    An absent class counts (its value is near 0), a `weight` per class multiplies its share of the mean. An image
    without a valid pixel is 0, and still one of the images.
    `published`: "dice_v2.0" and "dice_v2.1" are those of such releases: one sum over the pixels of all images of
    all ranks, nothing to smooth; in 2.0 ignored pixels are uniform and part of P. "dice_labels" writes class 0 over the
    ignored labels of its caller, as from 2.6 on, so that every later term takes them for road.
    """

    PUBLISHED: ClassVar = ("", "dice_v2.0", "dice_v2.1", "dice_labels")

    smooth: float = 1.0
    weight: Sequence[float] = ()
    published: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.published not in self.PUBLISHED:
            raise UserError(f"Dice knows the variants {', '.join(self.PUBLISHED[1:])}, not {self.published!r}")

    @property
    def rewrites_label(self) -> bool:
        """Whether later terms see another label: `Criterion` then keeps their order."""
        return self.published == "dice_labels"

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W), (N, H, W) -> scalar."""
        logits = upcast_to_float32(logits)
        valid = self.valid(label).unsqueeze(1)  # (N, 1, H, W)
        truth = one_hot(label, self.num_classes) & valid  # (N, K, H, W)
        if self.published in ("dice_v2.0", "dice_v2.1"):
            value = self._earlier(logits, truth, valid)
        else:
            value = image_mean(self._per_image(logits, truth, valid), self.ranks)
        if self.published == "dice_labels":
            label.masked_fill_(~valid.squeeze(1), 0)
        return value

    def _per_image(self, logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        probability = logits.softmax(1) * valid
        inside, predicted, there = (x.sum((2, 3)) for x in (probability * truth, probability, truth))  # (N, K) each
        loss = 1 - (2 * inside + self.smooth) / (predicted + there + self.smooth + _EPS)
        return self._class_mean(loss) * valid.flatten(1).any(1)

    def _earlier(self, logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        uniform = self.published == "dice_v2.0"
        probability = (logits * valid).softmax(1) if uniform else logits.softmax(1) * valid
        maps = (probability * truth, probability, truth.to(logits.dtype))
        sums = torch.stack([x.sum((0, 2, 3)) for x in maps])  # (3, K)
        # The value of the whole batch; its gradient times the ranks, over which it is averaged.
        inside, predicted, there = self.ranks.sum(sums.detach()) + self.ranks.world * (sums - sums.detach())
        return self._class_mean(1 - 2 * inside / (predicted + there + _EARLIER_EPS))

    def _class_mean(self, loss: Tensor) -> Tensor:
        """(..., K) -> (...)."""
        return (loss * self.per_class(self.weight, loss) if self.weight else loss).mean(-1)
