"""Learning from a teacher's scores (Hinton et al., arXiv:1503.02531)."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from loss.pixels import PixelLoss, masked_mean
from utils.amp import upcast_to_float32


@dataclass(eq=False, repr=False)
class Distillation(PixelLoss):
    """T^2 KL(softmax(teacher / T) || softmax(logits / T)), the mean over pixels that have a class (section 2 there)."""

    temperature: float = 1.0

    def forward(self, logits: Tensor, teacher: Tensor, label: Tensor) -> Tensor:
        """(N, K, H, W) twice, (N, H, W) -> scalar; the teacher gets no gradient."""
        t, valid = self.temperature, self.valid(label)
        student = F.log_softmax(upcast_to_float32(logits) / t, dim=1)
        taught = F.log_softmax(upcast_to_float32(teacher.detach()) / t, dim=1)
        losses = t * t * (taught.exp() * (taught - student)).sum(1) * valid  # (N, H, W)
        return masked_mean(losses, self.ranks.sum(valid.sum()), self.ranks)
