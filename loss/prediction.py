"""Loss of a predicted frame and its flow (Reda et al. 2018, "SDC-Net", arXiv:1811.00684, section 3.3)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

COLOR, GRADIENT, SMOOTHNESS = 0.7, 0.2, 0.1  # weights


class PredictionLoss(NamedTuple):
    """Scalars; `total` is their weighted sum."""

    color: Tensor
    gradient: Tensor
    smoothness: Tensor

    @property
    def total(self) -> Tensor:
        return COLOR * self.color + GRADIENT * self.gradient + SMOOTHNESS * self.smoothness


def prediction_loss(image: Tensor, flow: Tensor, target: Tensor) -> PredictionLoss:
    """Image and target (N, 3, H, W) from 0 to 255, flow (N, 2, H, W) in pixels -> three mean absolute differences.

    Of colors, as shares of 255; of the absolute steps between neighboring pixels, in both directions; and of the
    flow of neighboring pixels.
    """
    gradient = sum((a.abs() - b.abs()).abs().mean() for a, b in zip(steps(image), steps(target), strict=True))
    smoothness = sum(step.abs().mean() for step in steps(flow))
    return PredictionLoss((image - target).abs().mean() / 255, gradient, smoothness)  # type: ignore[arg-type]


def steps(x: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbors along x and along y: (N, C, H, W) -> (N, C, H, W - 1), (N, C, H - 1, W)."""
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]
