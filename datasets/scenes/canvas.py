"""What is painted on: colour, label, inverse depth and glow, at twice the final resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from datasets.scenes.camera import Camera, clip_near
from datasets.scenes.textures import noise_tile

Colour = Sequence[float]
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
        """Brightness factor of a surface with unit `normal`."""
        return self.ambient + self.diffuse * max(0.0, float(normal @ self.sun))

    @property
    def upright(self) -> float:
        """Brightness factor of something without a single normal (people, leaves, poles)."""
        return self.ambient + 0.55 * self.diffuse


class Canvas:
    """Painter's algorithm: whatever is drawn later covers what was there. Points are (N, 3) in world metres."""

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera, self.light = camera, light
        shape = camera.shape
        self.image = np.zeros((*shape, 3), np.uint8)
        self.label = np.zeros(shape, np.uint8)
        self.nearness = np.zeros(shape, np.float32)  # 1 / depth, 0 = infinitely far
        self.glow = np.zeros(shape, np.uint8)
        self._turn = camera.rotation()
        self._origin = np.asarray(camera.position, float)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, float] | None:
        """World polygon -> (fixed-point corners (M, 2) int32, mean inverse depth); None when behind the camera."""
        seen = clip_near((points - self._origin) @ self._turn.T)
        if not len(seen):
            return None
        camera = self.camera
        pixels = seen[:, :2] * (camera.focal / seen[:, 2:]) + camera.centre - 0.5
        corners = np.rint(np.clip(pixels, -LIMIT, LIMIT) * (1 << SHIFT)).astype(np.int32)
        low, high = corners.min(0) >> SHIFT, corners.max(0) >> SHIFT
        if high[0] < 0 or high[1] < 0 or low[0] >= camera.shape[1] or low[1] >= camera.shape[0]:
            return None
        return corners, float(1.0 / seen[:, 2].mean())

    def polygon(
        self,
        points: np.ndarray,
        colour: Colour | None,
        label: int | None,
        *,
        fade: tuple[float, float] = (1.0, 1.0),
        glow: bool = False,
    ) -> None:
        """Fill a polygon. `colour` None draws only the label, `label` None only the colour.

        `fade`: brightness factors at the top and the bottom of a polygon that is large enough to show it.
        """
        seen = self.project(points)
        if seen is None:
            return
        corners, near = seen
        if label is not None:
            cv2.fillPoly(self.label, [corners], label, shift=SHIFT)
            cv2.fillPoly(self.nearness, [corners], near, shift=SHIFT)
        if colour is None:
            return
        self._paint(corners, colour, fade)
        if self.light.night:
            cv2.fillPoly(self.glow, [corners], 255 if glow else 0, shift=SHIFT)

    def _paint(self, corners: np.ndarray, colour: Colour, fade: tuple[float, float]) -> None:
        window = self._window(corners)
        x0, y0, x1, y1 = window
        if (x1 - x0) * (y1 - y0) < 200:
            tone = 0.5 * (fade[0] + fade[1])
            cv2.fillPoly(self.image, [corners], tuple(min(255.0, tone * float(c)) for c in colour), shift=SHIFT)
            return
        mask = self._mask(corners, window)
        ramp = np.linspace(fade[0], fade[1], y1 - y0, dtype=np.float32)[:, None]
        grain = noise_tile(1)[: y1 - y0, : x1 - x0]
        if grain.shape != mask.shape:
            grain = np.resize(grain, mask.shape)
        tone = ramp * (1.0 + 0.045 * grain)
        patch = np.clip(tone[..., None] * np.asarray(colour, np.float32), 0, 255).astype(np.uint8)
        cv2.copyTo(patch, mask, self.image[y0:y1, x0:x1])

    def _window(self, corners: np.ndarray) -> tuple[int, int, int, int]:
        height, width = self.camera.shape
        low, high = corners.min(0) >> SHIFT, (corners.max(0) >> SHIFT) + 2
        return max(0, int(low[0])), max(0, int(low[1])), min(width, int(high[0])), min(height, int(high[1]))

    @staticmethod
    def _mask(corners: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
        x0, y0, x1, y1 = window
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        offset = np.array([x0 << SHIFT, y0 << SHIFT], np.int32)
        cv2.fillPoly(mask, [corners - offset], 255, shift=SHIFT)
        return mask

    def textured(
        self,
        quad: np.ndarray,
        texture: np.ndarray,
        label: int | None,
        *,
        shade: float = 1.0,
        solid_label: bool = False,
        glow: np.ndarray | None = None,
    ) -> None:
        """Put `texture` (h, w, 3 or 4) uint8 on a parallelogram.

        `quad` (3, 3): top-left corner, top-right, bottom-left. With a fourth channel (alpha) only its opaque part
        is drawn; the label covers the same part, or the whole quad with `solid_label`. `glow` (h, w) uint8: lit parts.
        """
        corner, across, down = quad[0], quad[1] - quad[0], quad[2] - quad[0]
        seen = self.project(np.array([corner, corner + across, corner + across + down, corner + down]))
        if seen is None:
            return
        window = self._window(seen[0])
        x0, y0, x1, y1 = window
        if x1 <= x0 or y1 <= y0:
            return
        texture, glow = self._level(texture, glow, seen[0])
        inside = self._mask(seen[0], window)
        h, w = texture.shape[:2]
        plane = np.stack([across / w, down / h, corner - self._origin], 1)
        move = np.array([[1, 0, -x0 - 0.5], [0, 1, -y0 - 0.5], [0, 0, 1.0]])
        mapping = move @ self.camera.intrinsics() @ self._turn @ plane
        size = (x1 - x0, y1 - y0)
        warped = cv2.warpPerspective(texture, mapping, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask = inside
        if texture.shape[2] == 4:
            mask = cv2.bitwise_and(inside, ((warped[..., 3] > 127) * np.uint8(255)))
            warped = np.ascontiguousarray(warped[..., :3])
        warped = cv2.convertScaleAbs(warped, alpha=shade)
        cv2.copyTo(warped, mask, self.image[y0:y1, x0:x1])
        self._mark(inside if solid_label else mask, window, label, plane)
        if self.light.night:
            lit = np.zeros_like(mask) if glow is None else cv2.warpPerspective(glow, mapping, size)
            cv2.copyTo(lit, mask, self.glow[y0:y1, x0:x1])

    def _mark(self, mask: np.ndarray, window: tuple[int, int, int, int], label: int | None, plane: np.ndarray) -> None:
        """Label and inverse depth of a plane; the latter is linear in the pixel."""
        if label is None:
            return
        x0, y0, x1, y1 = window
        across, down, origin = (self._turn @ plane).T
        normal = np.cross(across, down)
        distance = float(normal @ origin)
        if abs(distance) < 1e-9:
            return
        camera = self.camera
        x = (np.arange(x0, x1, dtype=np.float32) - camera.centre[0]) / camera.focal
        y = (np.arange(y0, y1, dtype=np.float32) - camera.centre[1]) / camera.focal
        near = (normal[0] * x[None] + normal[1] * y[:, None] + normal[2]) / distance
        cv2.copyTo(near.astype(np.float32), mask, self.nearness[y0:y1, x0:x1])
        self.label[y0:y1, x0:x1][mask > 0] = label

    def _level(
        self, texture: np.ndarray, glow: np.ndarray | None, corners: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Halve the texture until it is no finer than twice its projection, so that distant ones do not flicker."""
        tall = (corners[:, 1].max() - corners[:, 1].min()) >> SHIFT
        while texture.shape[0] > 2 * max(int(tall), 4) and min(texture.shape[:2]) > 8:
            texture = cv2.pyrDown(texture)
            glow = None if glow is None else cv2.pyrDown(glow)
        return texture, glow
