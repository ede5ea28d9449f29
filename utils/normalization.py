"""Images as networks take them: mean and deviation are taken out here, in training and evaluation alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalization(nn.Module):
    """Maps (N, 3, H, W) uint8 to float32, (x / 255 - mean) / std.

    Images of floats pass: `transforms.color.Normalize` has normalized them. `mean` and `std` lie on
    `device` from the beginning, so that a call does not wait for a copy.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(tuple(values), device=device).view(1, 3, 1, 1) * 255, False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 or float -> float."""
        return images if images.is_floating_point() else (images.float() - self.mean) / self.std
