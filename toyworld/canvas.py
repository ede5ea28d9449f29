"""What is painted on: color, label, inverse depth and glow, at twice the final resolution."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from toyworld.camera import NEAR, Camera, clip_near
from toyworld.colors import Color
from toyworld.textures import noise_tile

Window = tuple[int, int, int, int]  # x0, y0, x1, y1
Fade = tuple[float, float]  # brightness at the top and at the bottom
SHIFT = 4  # fractional bits of polygon corners
LIMIT = 60_000.0  # pixels; keeps fixed-point corners inside int32


@dataclass(frozen=True)
class Light:
    """`sun`: unit vector towards the sun; a surface of normal n gets `ambient + diffuse * max(0, n . sun)`."""

    sun: np.ndarray
    ambient: float
    diffuse: float
    night: bool = False
    snow: bool = False

    def shade(self, normal: np.ndarray) -> float:
        """Give the brightness factor of a surface with unit `normal`."""
        return self.ambient + self.diffuse * max(0.0, float(normal @ self.sun))

    @property
    def upright(self) -> float:
        """Brightness factor of something without a single normal (people, leaves, poles)."""
        return self.ambient + 0.55 * self.diffuse


class Canvas:
    """Painter's algorithm: what is drawn later covers what was there.

    `draft` draws labels alone, which is much faster. `owner` is the number of what is being drawn.
    """

    owner = 0

    def __init__(self, camera: Camera, light: Light, draft: bool = False) -> None:
        self.camera, self.light, self.draft = camera, light, draft
        shape = camera.shape
        self.image = np.zeros((*shape, 3), np.uint8)
        self.label = np.zeros(shape, np.uint8)
        self.nearness = np.zeros(shape, np.float32)  # 1 / depth, 0 = infinitely far
        self.glow = np.zeros(shape, np.uint8)
        self.turn = camera.rotation()
        self.origin = np.asarray(camera.position, float)

    def area(self, seen: np.ndarray) -> int:
        """Count pixels of the window round a polygon in camera coordinates."""
        corners = self.project(seen)
        window = None if corners is None else self.window(corners)
        return 0 if window is None else (window[2] - window[0]) * (window[3] - window[1])

    def seen_from(self, points: np.ndarray) -> np.ndarray:
        """World points (N, 3) -> camera coordinates (right, down, forward)."""
        return (points - self.origin) @ self.turn.T

    def corners(self, seen: np.ndarray) -> np.ndarray:
        """Camera coordinates (N, 3), all in front of the camera -> fixed-point pixels (N, 2) int32."""
        camera = self.camera
        pixels = seen[:, :2] * (camera.focal / seen[:, 2:])
        pixels += (camera.center[0] - 0.5, camera.center[1] - 0.5)
        np.maximum(pixels, -LIMIT, out=pixels)
        np.minimum(pixels, LIMIT, out=pixels)
        pixels *= 1 << SHIFT
        return np.rint(pixels, out=pixels).astype(np.int32)

    def project(self, seen: np.ndarray) -> np.ndarray | None:
        """Like `corners` for one polygon that may reach behind the camera; None when nothing is left."""
        if seen[:, 2].min() < NEAR:
            seen = clip_near(seen)
        return self.corners(seen) if len(seen) else None

    def window(self, corners: np.ndarray) -> Window | None:
        """Find the part of the picture round a polygon; None outside of it."""
        x, y, w, h = cv2.boundingRect(corners)
        height, width = self.camera.shape
        x0, y0 = max(0, x >> SHIFT), max(0, y >> SHIFT)
        x1, y1 = min(width, ((x + w) >> SHIFT) + 2), min(height, ((y + h) >> SHIFT) + 2)
        return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None

    def polygon(
        self, corners: np.ndarray, seen: np.ndarray, color: Color | None, label: int, fade: Fade, glow: bool
    ) -> None:
        """Fill a polygon of fixed-point pixels, `seen` in camera coordinates. `color` None draws only the label.

        `fade`: brightness at the top and the bottom, where it is large enough to show that.
        """
        window = self.window(corners)
        if window is None:
            return
        cv2.fillPoly(self.label, [corners], label, shift=SHIFT)
        self._cover(corners, window, seen)
        if self.draft or color is None:
            return
        self._paint(corners, window, color, fade)
        if self.light.night:
            cv2.fillPoly(self.glow, [corners], 255 if glow else 0, shift=SHIFT)

    def _cover(self, corners: np.ndarray, window: Window, seen: np.ndarray) -> None:
        """Note what a polygon covers: its inverse depth, that of its first corner all over; a draft notes none."""
        if not self.draft:
            cv2.fillPoly(self.nearness, [corners], 1.0 / max(float(seen[0, 2]), NEAR), shift=SHIFT)

    def _paint(self, corners: np.ndarray, window: Window, color: Color, fade: Fade) -> None:
        x0, y0, x1, y1 = window
        height, width = y1 - y0, x1 - x0
        if height * width < 500:
            tone = 0.5 * (fade[0] + fade[1])
            cv2.fillPoly(self.image, [corners], tuple(min(255.0, tone * float(c)) for c in color), shift=SHIFT)
            return
        mask = self._mask(corners, window)
        ramp = np.arange(height, dtype=np.float32)[:, None] * ((fade[1] - fade[0]) / height) + fade[0]
        grain = noise_tile(1)
        if height > grain.shape[0] or width > grain.shape[1]:
            grain = np.resize(grain, (height, width))
        tone = ramp * (1.0 + 0.045 * grain[:height, :width])
        patch = cv2.merge([cv2.convertScaleAbs(tone, alpha=float(c)) for c in color])
        cv2.copyTo(patch, mask, self.image[y0:y1, x0:x1])

    @staticmethod
    def _mask(corners: np.ndarray, window: Window) -> np.ndarray:
        x0, y0, x1, y1 = window
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [corners - np.array([x0 << SHIFT, y0 << SHIFT], np.int32)], 255, shift=SHIFT)
        return mask

    def textured(
        self,
        quad: np.ndarray,
        texture: np.ndarray | None,
        label: int,
        *,
        shade: float = 1.0,
        solid_label: bool = False,
        glow: np.ndarray | None = None,
    ) -> None:
        """Put `texture` (h, w, 3 or 4) uint8 on a parallelogram; None draws the label only.

        `quad` (3, 3) in camera coordinates: top-left, top-right, bottom-left corner. With a fourth channel (alpha) only
        its opaque part is drawn; the label covers the same part, or the whole quad with `solid_label`.
        `glow` (h, w) uint8: lit parts.
        """
        corner, across, down = quad[0], quad[1] - quad[0], quad[2] - quad[0]
        corners = self.project(np.array([corner, corner + across, corner + across + down, corner + down]))
        window = None if corners is None else self.window(corners)
        if corners is None or window is None:
            return
        mask = self._mask(corners, window)
        if texture is None:
            self._mark(mask, window, label, quad)
            return
        texture, glow = _level(texture, glow, cv2.boundingRect(corners)[3] >> SHIFT)
        x0, y0, x1, y1 = window
        h, w = texture.shape[:2]
        move = np.array([[1, 0, -x0 - 0.5], [0, 1, -y0 - 0.5], [0, 0, 1.0]])
        mapping = move @ self.camera.intrinsics() @ np.stack([across / w, down / h, corner], 1)
        size = (x1 - x0, y1 - y0)
        warped = cv2.warpPerspective(texture, mapping, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = mask
        if texture.shape[2] == 4:
            mask = cv2.bitwise_and(inside, cv2.threshold(warped[..., 3], 127, 255, cv2.THRESH_BINARY)[1])
            warped = np.ascontiguousarray(warped[..., :3])
        cv2.copyTo(cv2.convertScaleAbs(warped, alpha=shade), mask, self.image[y0:y1, x0:x1])
        self._mark(inside if solid_label else mask, window, label, quad)
        if self.light.night:
            lit = np.zeros_like(mask) if glow is None else cv2.warpPerspective(glow, mapping, size)
            cv2.copyTo(lit, mask, self.glow[y0:y1, x0:x1])

    def _mark(self, mask: np.ndarray, window: Window, label: int, quad: np.ndarray) -> None:
        """Write label and inverse depth of a plane; the latter is linear in the pixel."""
        x0, y0, x1, y1 = window
        self.label[y0:y1, x0:x1][mask > 0] = label
        a, b = (quad[1] - quad[0]).tolist(), (quad[2] - quad[0]).tolist()
        normal = np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
        distance = float(normal @ quad[0])
        if self.draft or abs(distance) < 1e-9:
            return
        camera = self.camera
        x = (np.arange(x0, x1, dtype=np.float32) - camera.center[0]) * (normal[0] / camera.focal / distance)
        y = (np.arange(y0, y1, dtype=np.float32) - camera.center[1]) * (normal[1] / camera.focal / distance)
        near = x[None].astype(np.float32) + (y[:, None] + normal[2] / distance).astype(np.float32)
        cv2.copyTo(near, mask, self.nearness[y0:y1, x0:x1])


def _level(texture: np.ndarray, glow: np.ndarray | None, tall: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Halve the texture until it is no finer than twice its projection, so that distant ones do not flicker."""
    while texture.shape[0] > 2 * max(tall, 4) and min(texture.shape[:2]) > 8:
        texture = cv2.pyrDown(texture)
        glow = None if glow is None else cv2.pyrDown(glow)
    return texture, glow
