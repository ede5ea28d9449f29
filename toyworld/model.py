"""Objects as colored polygons in their own meters, and their way onto the canvas.

Local axes of an object: x right, y up, z forward (where it looks). A cut-out (person, sign, tree) has z = 0 and is
turned towards the camera.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from toyworld.camera import NEAR
from toyworld.canvas import Canvas, Fade
from toyworld.colors import Color
from toyworld.shapes import Points, flat, patch

TINY = 120  # pixels of the canvas under which a plain color stands for a texture
GLASS, GLASS_FADE, SNOW = (62, 72, 82), (1.5, 0.6), (228, 232, 238)
Texture = Callable[[], tuple[np.ndarray, np.ndarray | None]]
Outlines = Sequence[tuple[Points, Color | None]]  # with their colors, from back to front
Plane = Callable[[Points], np.ndarray]
Bounds = tuple[float, float, float, float, float]  # of a box: width, bottom, top, back, front


@dataclass(slots=True)
class Face:
    """A polygon (N, 3). `texture` makes it the parallelogram of its first three points: top-left, top-right,
    bottom-left; called when it is seen, it returns (h, w, 3 or 4) uint8 and the lit part (h, w) or None. With a
    `color` too, that is what a tiny one shows. `opaque`: it has no alpha. `details` lie on it and come with it."""

    points: np.ndarray
    color: Color | None
    label: int
    fade: Fade = (1.0, 1.0)
    glow: bool = False
    texture: Texture | None = None
    opaque: bool = False
    solid_label: bool = False
    details: list[Face] = field(default_factory=list)

    def add(self, a0: float, b0: float, a1: float, b1: float, color: Color, **looks: Any) -> None:
        """Put a detail on the part of this quad between fractions of its width a and height b."""
        self.details.append(Face(patch(self.points, a0, b0, a1, b1), color, self.label, **looks))

    def glaze(self, a0: float, b0: float, a1: float, b1: float, tone: float = 1.0) -> None:
        """Put a window between these fractions of its width a and height b."""
        self.add(a0, b0, a1, b1, [c * tone for c in GLASS], fade=GLASS_FADE)


class Compiled(NamedTuple):
    """A solid's faces and details in a row: points (M, 3) and each part's range of them; per face its range of parts,
    outward normal (F, 3) and middle (F, 3)."""

    points: np.ndarray
    faces: list[Face]
    parts: list[tuple[int, int]]
    heads: list[tuple[int, int]]
    normals: np.ndarray
    middles: np.ndarray


@dataclass(slots=True)
class Solid:
    """Faces round `center`; those that look away are skipped when `closed`. Flat ones are drawn in their order."""

    faces: list[Face]
    center: np.ndarray
    closed: bool = True
    _compiled: Compiled | None = None

    def compiled(self) -> Compiled:
        """Computed once; the faces must not change afterwards."""
        if self._compiled is None:
            self._compiled = _compile(self.faces, self.center)
        return self._compiled


def _compile(faces: list[Face], center: np.ndarray) -> Compiled:
    flat_faces: list[Face] = []
    heads = []
    for face in faces:
        heads.append((len(flat_faces), len(flat_faces) + 1 + len(face.details)))
        flat_faces += [face, *face.details]
    points = np.concatenate([face.points for face in flat_faces])
    counts = np.array([len(face.points) for face in flat_faces])
    ends = np.cumsum(counts)
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = ends - counts
    p, q = points[:, [1, 2, 0]], points[following]
    crossed = p * q[:, [2, 0, 1]] - points[:, [2, 0, 1]] * q[:, [1, 2, 0]]  # Newell: also right for bent polygons
    first = [start for start, _ in heads]
    normals = np.add.reduceat(crossed, ends - counts)[first]
    middles = (np.add.reduceat(points, ends - counts) / counts[:, None])[first]
    normals /= np.sqrt((normals * normals).sum(1, keepdims=True)) + 1e-12
    normals *= np.where((normals * (middles - center)).sum(1) < 0, -1.0, 1.0)[:, None]
    parts = list(zip((ends - counts).tolist(), ends.tolist(), strict=True))
    return Compiled(points, flat_faces, parts, heads, normals, middles)


@dataclass(slots=True)
class Thing:
    """Something placed in the world.

    `yaw` None: turned to the camera. `speed`: meters a frame along world X and Z. `anchor`: the point (X, Z) whose
    distance orders the painting, its place by default; for a house the far corner of its front, so that whatever
    stands before it comes later. `shadow`: (half width, half length, bottom, top) of a box that throws the shadow.
    `lamp`: lights the ground at night.
    """

    solids: list[Solid]
    x: float = 0.0
    z: float = 0.0
    yaw: float | None = None
    speed: tuple[float, float] = (0.0, 0.0)
    anchor: tuple[float, float] | None = None
    shadow: tuple[float, float, float, float] | None = None
    lamp: bool = False

    def place(self, time: float) -> tuple[float, float]:
        """Give the world (X, Z) after `time` frames."""
        return self.x + self.speed[0] * time, self.z + self.speed[1] * time

    def pose(self, eye: tuple[float, float, float], time: float) -> tuple[np.ndarray, np.ndarray]:
        """Local points as rows, times the first (3, 3), plus the second (3,), are world points; seen from `eye`."""
        x, z = self.place(time)
        yaw = np.arctan2(x - eye[0], z - eye[2]) if self.yaw is None else self.yaw
        return turned(float(yaw)), np.array([x, 0.0, z])

    def distance(self, eye: tuple[float, float, float], time: float) -> float:
        """Measure what orders the painting."""
        x, z = self.anchor or self.place(time)
        return float(np.hypot(x - eye[0], z - eye[2]))

    def at(self, x: float, z: float, yaw: float | None = None) -> Thing:
        """Put it at world (X, Z); a `yaw` turns it, None keeps what it has. Returns itself."""
        self.x, self.z = x, z
        self.yaw = self.yaw if yaw is None else yaw
        return self


def turned(yaw: float) -> np.ndarray:
    """(3, 3): local points as rows times this are world directions; yaw 0 looks along +Z, positive to the right."""
    s, c = np.sin(yaw), np.cos(yaw)
    return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


def draw(canvas: Canvas, thing: Thing, time: float = 0.0) -> None:
    """Draw a thing at `time` frames."""
    x, z = thing.place(time)
    ahead = (np.array([x, 0.0, z]) - canvas.origin) @ canvas.turn.T
    size = 1e9
    if thing.shadow is not None:  # what has a box may be out of sight
        reach = float(max(thing.shadow)) + 3.0
        if ahead[2] < -reach or abs(ahead[0]) > 0.75 * canvas.camera.shape[1] / canvas.camera.focal * (
            ahead[2] + reach
        ):
            return
        size = canvas.camera.focal * thing.shadow[3] / max(float(ahead[2]), 1.0)
    pose = thing.pose(canvas.camera.position, time)
    eye = (canvas.origin - pose[1]) @ pose[0].T
    solids = thing.solids
    if len(solids) > 1:
        solids = sorted(solids, key=lambda s: -float(np.square(s.center - eye).sum()))
    for solid in solids:
        _draw_solid(canvas, solid, eye, pose, coarse=size < 14)


def _draw_solid(
    canvas: Canvas, solid: Solid, eye: np.ndarray, pose: tuple[np.ndarray, np.ndarray], coarse: bool
) -> None:
    shape = solid.compiled()
    seen = canvas.seen_from(shape.points @ pose[0] + pose[1])
    depth = seen[:, 2]
    if depth.max() < NEAR:
        return
    corners = canvas.corners(seen) if depth.min() >= NEAR else None
    order, shades = range(len(shape.heads)), None
    if solid.closed:
        away = eye - shape.middles
        visible = np.einsum("ij,ij->i", shape.normals, away) > 0
        far = np.einsum("ij,ij->i", away, away)
        order = [i for i in np.argsort(-far, kind="stable").tolist() if visible[i]]
        light = canvas.light
        shades = light.ambient + light.diffuse * np.maximum(0.0, shape.normals @ (pose[0] @ light.sun))
    for i in order:
        shade = canvas.light.upright if shades is None else float(shades[i])
        first, last = shape.heads[i]
        for k in range(first, first + 1 if coarse and solid.closed else last):
            start, end = shape.parts[k]
            whole = None if corners is None else corners[start:end]
            _draw_face(canvas, shape.faces[k], shade, seen[start:end], whole)


def _draw_face(canvas: Canvas, face: Face, shade: float, seen: np.ndarray, corners: np.ndarray | None) -> None:
    if face.texture is not None and (face.color is None or canvas.area(seen) > TINY):
        hidden = canvas.draft and face.opaque
        texture, lit = (None, None) if hidden else face.texture()
        canvas.textured(seen[:3], texture, face.label, shade=shade, solid_label=face.solid_label, glow=lit)
        return
    if corners is None:
        corners = canvas.project(seen)
        if corners is None:
            return
    tone = 1.0 if face.glow else shade
    color = None if face.color is None else [tone * float(c) for c in face.color]
    canvas.polygon(corners, seen, color, face.label, face.fade, face.glow)


def cut_out(faces: list[Face], shadow: tuple[float, float, float, float], yaw: float | None = None) -> Thing:
    """Make a flat thing; `shadow` and `yaw` as Thing has them."""
    return Thing([Solid(faces, np.zeros(3), closed=False)], yaw=yaw, shadow=shadow)


def plates(parts: Outlines, label: int, plane: Plane = flat, fade: Fade = (1.0, 1.0)) -> list[Face]:
    """Make faces on a `plane`, `flat` or `side`, from back to front."""
    return [Face(plane(points), color, label, fade) for points, color in parts]


def fixed(texture: np.ndarray) -> Texture:
    """Give a texture that is there already and has no lights."""
    return lambda: (texture, None)


def box(bounds: Bounds, color: Color, label: int, fade: Fade = (1.0, 1.0)) -> dict[str, Face]:
    """Make the faces of a box, each as seen from outside: bottom-left, bottom-right, top-right, top-left."""
    width, low, high, back, front = bounds
    h = width / 2
    corners = {
        "rear": [(-h, low, back), (h, low, back), (h, high, back), (-h, high, back)],
        "front": [(h, low, front), (-h, low, front), (-h, high, front), (h, high, front)],
        "left": [(-h, low, front), (-h, low, back), (-h, high, back), (-h, high, front)],
        "right": [(h, low, back), (h, low, front), (h, high, front), (h, high, back)],
        "top": [(-h, high, back), (h, high, back), (h, high, front), (-h, high, front)],
    }
    return {name: Face(np.array(points, float), color, label, fade) for name, points in corners.items()}
