"""A pinhole camera over a flat ground.

World in meters: X right, Y up, Z forward. Image in pixels: x right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR = 0.3


@dataclass(frozen=True)
class Camera:
    """`shape` (H, W); `focal` and `center` in pixels; `yaw` turns right, `pitch` looks down (radians)."""

    shape: tuple[int, int]
    focal: float
    center: tuple[float, float]
    position: tuple[float, float, float]
    yaw: float = 0.0
    pitch: float = 0.0

    def rotation(self) -> np.ndarray:
        """(3, 3): world directions -> camera directions (right, down, forward)."""
        sy, cy, sp, cp = np.sin(self.yaw), np.cos(self.yaw), np.sin(self.pitch), np.cos(self.pitch)
        return np.array([[cy, 0, -sy], [-sy * sp, -cp, -cy * sp], [sy * cp, -sp, cy * cp]])

    def intrinsics(self) -> np.ndarray:
        """(3, 3) matrix from camera coordinates to homogeneous pixels."""
        return np.array([[self.focal, 0, self.center[0]], [0, self.focal, self.center[1]], [0, 0, 1.0]])

    def rays(self, step: int = 1, top: int = 0) -> np.ndarray:
        """(h, w, 3) float32 world direction through every `step`-th pixel from row `top`, of depth 1 along the axis."""
        height, width = self.shape
        x = (np.arange(0, width, step, dtype=np.float32) + np.float32(0.5 - self.center[0])) / np.float32(self.focal)
        y = (np.arange(top, height, step, dtype=np.float32) + np.float32(0.5 - self.center[1])) / np.float32(self.focal)
        turn = self.rotation().astype(np.float32)
        return x[None, :, None] * turn[0] + y[:, None, None] * turn[1] + turn[2]


def clip_near(points: np.ndarray) -> np.ndarray:
    """(N, 3) polygon in camera coordinates -> its part with depth >= NEAR (Sutherland-Hodgman), maybe empty."""
    inside = points[:, 2] >= NEAR
    if inside.all():
        return points
    kept = []
    for i in range(len(points)):
        a, b = points[i - 1], points[i]
        if inside[i - 1] != inside[i]:
            kept.append(a + (NEAR - a[2]) / (b[2] - a[2]) * (b - a))
        if inside[i]:
            kept.append(b)
    return np.array(kept) if len(kept) >= 3 else np.empty((0, 3))
