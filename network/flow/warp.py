"""Backward warping by a flow, and the check of a flow against its way back.

A flow (N, 2, H, W) is in pixels, channel 0 = dx (right), 1 = dy (down). A backward flow says for each pixel of the
target where it lies in the source: target(y, x) = source(y + dy, x + dx).
"""

from __future__ import annotations

import torch
from torch import Tensor

MODES = ("bilinear", "nearest")


def warp(image: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """`image` (N, C, H, W) sampled at every pixel plus its `flow` (N, 2, h, w) -> (N, C, h, w) of the image's dtype.

    "bilinear" takes the four neighbors, each held inside the image, and has a gradient towards image and flow; a
    flow of NaN counts as 0. "nearest" takes the pixel at floor(position + 1/2), held inside; ties go up. Any dtype:
    coordinates are float32 and an integer image is rounded. ValueError for other modes and shapes that do not fit.
    """
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}: one of {', '.join(MODES)}")
    if flow.ndim != 4 or flow.shape[1] != 2 or image.ndim != 4 or flow.shape[0] != image.shape[0]:
        raise ValueError(f"image {tuple(image.shape)} and flow {tuple(flow.shape)}: give (N, C, H, W) and (N, 2, h, w)")
    x, y = positions(flow)
    if mode == "nearest":
        return _pick(image, torch.floor(x + 0.5), torch.floor(y + 0.5))
    x0, y0 = torch.floor(x), torch.floor(y)
    a, b = (x - x0)[:, None], (y - y0)[:, None]  # (N, 1, h, w), before anything is held inside the image
    values = image if image.is_floating_point() else image.float()
    upper = (1 - a) * _pick(values, x0, y0) + a * _pick(values, x0 + 1, y0)
    lower = (1 - a) * _pick(values, x0, y0 + 1) + a * _pick(values, x0 + 1, y0 + 1)
    out = (1 - b) * upper + b * lower
    return (out if image.is_floating_point() else out.round()).to(image.dtype)


def positions(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Where a flow (N, 2, h, w) points: float32 columns and rows, (N, h, w) each."""
    h, w = flow.shape[-2:]
    flow = torch.nan_to_num(flow.float())
    columns = torch.arange(w, device=flow.device, dtype=torch.float32)
    rows = torch.arange(h, device=flow.device, dtype=torch.float32)
    return flow[:, 0] + columns, flow[:, 1] + rows[:, None]


def _pick(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(N, C, h, w): pixels of `image` (N, C, H, W) at whole positions (N, h, w), held inside the image."""
    n, c, height, width = image.shape
    index = y.clamp(0, height - 1).long() * width + x.clamp(0, width - 1).long()
    picked = image.flatten(2).gather(2, index.view(n, 1, -1).expand(-1, c, -1))
    return picked.view(n, c, *x.shape[1:])


def consistent(flow: Tensor, back: Tensor, relative: float = 0.01, absolute: float = 0.5) -> Tensor:
    """Where a flow and the flow back (N, 2, H, W) agree: (N, H, W) bool.

    `flow` leads from a pixel of A to B, `back` from B to A. A pixel passes where it lands inside B and
    |f + b|^2 < relative * (|f|^2 + |b|^2) + absolute, b being `back` at the landing point (Sundaram, Brox and Keutzer
    2010, "Dense point trajectories by GPU-accelerated large displacement optical flow", eq. 5). What is hidden in B, or
    where either flow is wrong, fails; so does what is NaN or next to it.
    """
    x, y = positions(flow)
    inside = (x >= 0) & (x <= back.shape[-1] - 1) & (y >= 0) & (y <= back.shape[-2] - 1)
    forth, home = flow.float(), warp(back.float(), flow)
    apart = (forth + home).square().sum(1)
    return inside & (apart < relative * (forth.square() + home.square()).sum(1) + absolute)
