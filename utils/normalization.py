"""Images as networks take them: mean and deviation are taken out here, in training and evaluation alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Normalization:
    """Maps (N, 3, H, W) uint8 to float32, (x / 255 - mean) / std; images of floats are normalized already.

    `mean` and `std` lie on `device` from the beginning, so that a call does not wait for a copy.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self._mean = torch.tensor(tuple(mean), device=device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(tuple(std), device=device).view(1, 3, 1, 1) * 255

    def __call__(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 or float -> float."""
        return images if images.is_floating_point() else (images.float() - self._mean) / self._std
