"""Joint propagation: one flow moves an image and its label to the next frame (Zhu et al. 2019, "Improving semantic
segmentation via video propagation and label relaxation", section 3.1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from network.flow.warp import consistent, warp


class Moved(NamedTuple):
    """An image (1, 3, H, W) float32 and its label (1, 1, H, W) uint8 as they look some frames on.

    `flow` (1, 2, H, W): where each pixel lies in the labeled frame; `trusted` (1, H, W) bool: where that is credible.
    """

    image: Tensor
    label: Tensor
    flow: Tensor
    trusted: Tensor

    @classmethod
    def start(cls, image: Tensor, label: Tensor) -> Moved:
        """The labeled frame itself."""
        return cls(image, label, torch.zeros_like(image[:, :2]), torch.ones_like(label[:, 0], dtype=torch.bool))


def advance(
    start: Moved,
    before: Moved,
    flow: Tensor,
    ignore: int,
    back: Tensor | None = None,
    drop: bool = False,
    again: bool = False,
) -> Moved:
    """Move on by one frame. `flow` (1, 2, H, W) says where each pixel of the new frame lies in the one of `before`.

    Flows are put together, so that image (bilinear) and label (nearest) of `start` are sampled only once, however far
    they go; with `again`, as published, those of `before` are sampled once more, the image to the nearest pixel but in
    the first step. With the flow `back` (from the old frame to the new one) trust ends where the two do not agree; with
    `drop` the label there is `ignore`, as it is wherever the flow is NaN.
    """
    total = flow + warp(before.flow, flow)
    trusted = total.isfinite().all(1) & warp(before.trusted[:, None], flow, "nearest")[:, 0]
    if back is not None:
        trusted &= consistent(flow, back)
    whole, by = (before, flow) if again else (start, total)
    kept = trusted if drop else by.isfinite().all(1)
    label = warp(whole.label, by, "nearest").masked_fill(~kept[:, None], ignore)
    image = warp(whole.image, by, "nearest" if again and before is not start else "bilinear")
    return Moved(image, label, total, trusted)
