"""Optical flow in files: KITTI's PNG of 16 bits, in which a flow of up to 512 pixels is kept to 1/64 pixel.

Red is 64 dx + 2^15, green 64 dy + 2^15, blue 1 where the flow is known (Menze and Geiger 2015, the KITTI flow devkit).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from utils.errors import UserError

STEPS, ZERO = 64.0, 2**15


def name(sequence: str, frame: int, other: int) -> str:
    """Give the file of the flow that says for each pixel of `frame` where it lies in `other`."""
    return f"{sequence}_{frame:06d}_{other:06d}_flow.png"


def to_pixels(flow: np.ndarray) -> np.ndarray:
    """(H, W, 2) pixels (dx, dy), NaN where unknown -> (H, W, 3) uint16 RGB. What is too large is unknown."""
    values = np.rint(flow.astype(np.float64) * STEPS) + ZERO
    known = np.isfinite(values).all(-1) & (values >= 0).all(-1) & (values < 2 * ZERO).all(-1)
    pixels = np.zeros((*flow.shape[:2], 3), np.uint16)
    pixels[known] = np.column_stack([values[known], np.ones(known.sum())])
    return pixels


def _decoded(path: Path) -> np.ndarray | None:
    """By its bytes: OpenCV opens names of UTF-8 alone."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        return cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except cv2.error:  # a head that asks for too much
        return None


def read(path: Path) -> np.ndarray:
    """Read (H, W, 2) float32 pixels (dx, dy), NaN where unknown. UserError for a missing file or another kind."""
    if not path.is_file():
        raise UserError(f"no flow {path}: its file has to be there, as a PNG of 16 bits in KITTI's manner")
    pixels = _decoded(path)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise UserError(f"{path} holds no flow: give a PNG of 3 x 16 bits in KITTI's manner, or write it again")
    flow = (pixels[..., :0:-1].astype(np.float32) - ZERO) / np.float32(STEPS)
    flow[pixels[..., 0] == 0] = np.nan
    return flow
