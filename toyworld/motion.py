"""The true motion of every pixel: what surface it shows, and where that point is at another time."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from toyworld import ids
from toyworld.camera import NEAR, Camera
from toyworld.canvas import Canvas, Light, Window
from toyworld.scene import SUPERSAMPLE, Scene, camera_at, paint

FIRST = SUPERSAMPLE // 2  # the canvas pixel whose label a picture's pixel has, as in weather.finish


@dataclass(frozen=True)
class Surfaces:
    """What the pixels (H, W) of a frame show: raw label ids uint8, number of the thing int32 (0: ground and sky, else
    its place in the world from 1), inverse depth in 1/m float32 (0: the sky)."""

    label: np.ndarray
    owner: np.ndarray
    near: np.ndarray


class Tracer(Canvas):
    """Keeps, for what is seen, whose it is and the exact inverse depth of its plane."""

    def __init__(self, camera: Camera, light: Light) -> None:
        super().__init__(camera, light, draft=True)
        self.owners = np.zeros(camera.shape, np.int32)

    def _cover(self, corners: np.ndarray, window: Window, seen: np.ndarray) -> None:
        self._own(self._mask(corners, window), window, seen)

    def _mark(self, mask: np.ndarray, window: Window, label: int, quad: np.ndarray) -> None:
        super()._mark(mask, window, label, quad)
        self._own(mask, window, np.array([quad[0], quad[1], quad[1] + quad[2] - quad[0], quad[2]]))

    def _own(self, mask: np.ndarray, window: Window, seen: np.ndarray) -> None:
        """The polygon `seen` (N, 3) in camera coordinates shows in the window where `mask` is set."""
        x0, y0, x1, y1 = window
        self.owners[y0:y1, x0:x1][mask > 0] = self.owner
        center, around = seen.mean(0), seen - seen.mean(0)
        normal = np.cross(around, np.roll(around, -1, 0)).sum(0)  # Newell: also for bent polygons
        distance = float(normal @ center)
        depth = np.maximum(seen[:, 2], NEAR)
        if abs(distance) < 1e-9:  # seen from its edge
            near = np.full(mask.shape, 1.0 / max(float(center[2]), NEAR), np.float32)
        else:
            focal, (cx, cy) = self.camera.focal, self.camera.center
            x = (np.arange(x0, x1) + 0.5 - cx) / focal
            y = (np.arange(y0, y1) + 0.5 - cy) / focal
            slope = normal / distance
            near = (x[None] * slope[0] + (y[:, None] * slope[1] + slope[2])).clip(1 / depth.max(), 1 / depth.min())
        cv2.copyTo(near.astype(np.float32), mask, self.nearness[y0:y1, x0:x1])


def trace(scene: Scene, size: tuple[int, int], time: float = 0.0) -> Surfaces:
    """What every pixel of `photograph(scene, size, time)` shows. The labels are those of the photograph."""
    tracer = Tracer(camera_at(scene, size, time), scene.world.light)
    paint(tracer, scene, time)
    seen = slice(FIRST, None, SUPERSAMPLE)
    return Surfaces(*(np.ascontiguousarray(a[seen, seen]) for a in (tracer.label, tracer.owners, tracer.nearness)))


def motion(scene: Scene, surfaces: Surfaces, time: float, other: float) -> np.ndarray:
    """(H, W, 2) float32 pixels (dx, dy): where what the frame of `time` shows lies in the frame of `other`.

    The place of the surface point, whether anything hides it there or not; NaN where it is behind the camera by then.
    The sky is infinitely far, and the own hood moves along. Reflections, shadows and weather are no surfaces.
    """
    size = surfaces.label.shape
    here, there = (camera_at(scene, size, t) for t in (time, other))
    rows, columns = (np.arange(n) * SUPERSAMPLE + FIRST + 0.5 for n in size)
    pixel = np.stack(np.broadcast_arrays(columns[None], rows[:, None]), -1)  # (H, W, 2) on the canvas
    ray = np.concatenate([(pixel - here.center) / here.focal, np.ones((*size, 1))], -1)
    sky = surfaces.near <= 0
    point = ray / np.where(sky, 1.0, surfaces.near)[..., None] @ here.rotation() + here.position  # (H, W, 3) world
    for number in np.unique(surfaces.owner[surfaces.owner > 0]):
        thing, own = scene.world.things[number - 1], surfaces.owner == number
        if thing.yaw is None or any(thing.speed):
            (turn, place), (turn_there, place_there) = (
                thing.pose(c.position, t) for c, t in ((here, time), (there, other))
            )
            point[own] = (point[own] - place) @ turn.T @ turn_there + place_there
    seen = np.where(sky[..., None], ray @ here.rotation(), point - there.position) @ there.rotation().T
    seen[seen[..., 2] < NEAR] = np.nan
    flow = (seen[..., :2] / seen[..., 2:] * there.focal + there.center - pixel) / SUPERSAMPLE
    flow[surfaces.label == ids.EGO] = 0.0
    return flow.astype(np.float32)
