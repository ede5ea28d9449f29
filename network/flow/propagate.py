"""Joint propagation: one flow moves an image and its label to the next frame (Zhu et al. 2019, "Improving semantic
segmentation via video propagation and label relaxation", section 3.1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from network.flow.warp import consistent, warp


class Moved(NamedTuple):
    """An image (1, 3, H, W) float32, its label (1, 1, H, W) uint8, and where both can be trusted (1, H, W) bool."""

    image: Tensor
    label: Tensor
    trusted: Tensor

    @classmethod
    def start(cls, image: Tensor, label: Tensor) -> Moved:
        """A frame with a label that somebody drew."""
        return cls(image, label, torch.ones_like(label[:, 0], dtype=torch.bool))


def advance(
    before: Moved, flow: Tensor, ignore: int, back: Tensor | None = None, drop: bool = False, mode: str = "bilinear"
) -> Moved:
    """Move everything one frame on. `flow` (1, 2, H, W) says where each pixel of the new frame lies in the old one.

    The label goes to the nearest pixel, the image by `mode`. With the flow `back` (from the old frame to the new one)
    trust ends where the two do not agree; with `drop` the label there is `ignore`, as it is wherever the flow is NaN.
    """
    known = flow.isfinite().all(1)
    trusted = known & warp(before.trusted[:, None], flow, "nearest")[:, 0]
    if back is not None:
        trusted &= consistent(flow, back)
    label = warp(before.label, flow, "nearest")
    label = label.masked_fill(~(trusted if drop else known)[:, None], ignore)
    return Moved(warp(before.image, flow, mode), label, trusted)
