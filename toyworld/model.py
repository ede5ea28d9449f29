"""Objects as colored polygons in their own metres, and their way onto the canvas.

Local axes of an object: x right, y up, z forward (where it looks). A cut-out (person, sign, tree) has z = 0 and is
turned towards the camera.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from toyworld import ids
from toyworld.camera import NEAR
from toyworld.canvas import Canvas, Color

TINY = 120  # pixels of the canvas under which a plain color stands for a texture
Texture = Callable[[], tuple[np.ndarray, np.ndarray | None]]


@dataclass(slots=True)
class Face:
    """A polygon (N, 3). `texture` makes it the parallelogram of its first three points: top-left, top-right,
    bottom-left; called when it is seen, it returns (h, w, 3 or 4) uint8 and the lit part (h, w) or None. With a
    `color` too, that is what a tiny one shows. `opaque`: it has no alpha. `details` lie on it and come with it."""

    points: np.ndarray
    color: Color | None
    label: int | None
    fade: tuple[float, float] = (1.0, 1.0)
    glow: bool = False
    texture: Texture | None = None
    opaque: bool = False
    solid_label: bool = False
    details: list[Face] = field(default_factory=list)


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

    `yaw` None: turned to the camera. `speed`: metres a frame along world X and Z. `anchor`: the point (X, Z) whose
    distance orders the painting, its place by default; for a house the far corner of its front, so that whatever
    stands before it comes later. `shadow`: (half width, half length, bottom, top) of a box that throws the shadow.
    `lamp`: lights the ground at night.
    """

    solids: list[Solid]
    x: float
    z: float
    yaw: float | None = None
    speed: tuple[float, float] = (0.0, 0.0)
    anchor: tuple[float, float] | None = None
    shadow: tuple[float, float, float, float] | None = None
    lamp: bool = False

    def place(self, time: float) -> tuple[float, float]:
        """World (X, Z) after `time` frames."""
        return self.x + self.speed[0] * time, self.z + self.speed[1] * time

    def pose(self, eye: tuple[float, float, float], time: float) -> tuple[np.ndarray, np.ndarray]:
        """Local points as rows, times the first (3, 3), plus the second (3,), are world points; seen from `eye`."""
        x, z = self.place(time)
        yaw = np.arctan2(x - eye[0], z - eye[2]) if self.yaw is None else self.yaw
        return turned(float(yaw)), np.array([x, 0.0, z])

    def distance(self, eye: tuple[float, float, float], time: float) -> float:
        """What orders the painting."""
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
        label = ids.UNLABELED if face.label is None else face.label
        canvas.textured(seen[:3], texture, label, shade=shade, solid_label=face.solid_label, glow=lit)
        return
    if corners is None:
        corners = canvas.project(seen)
        if corners is None:
            return
    tone = 1.0 if face.glow else shade
    color = None if face.color is None else [tone * float(c) for c in face.color]
    canvas.polygon(corners, seen, color, face.label, fade=face.fade, glow=face.glow)


def fixed(texture: np.ndarray) -> Texture:
    """A texture that is there already and has no lights."""
    return lambda: (texture, None)


def flat(points: Sequence[tuple[float, float]], z: float = 0.0) -> np.ndarray:
    """(N, 2) of (x, y) -> (N, 3) on the plane z."""
    array = np.empty((len(points), 3))
    array[:, :2] = points
    array[:, 2] = z
    return array


def side(points: Sequence[tuple[float, float]], x: float = 0.0) -> np.ndarray:
    """(N, 2) of (z, y) -> (N, 3) on the plane x: what one sees from the side."""
    array = np.empty((len(points), 3))
    array[:, 2], array[:, 1] = np.asarray(points, float).T
    array[:, 0] = x
    return array


def oval(cx: float, cy: float, rx: float, ry: float, corners: int = 14) -> list[tuple[float, float]]:
    """Corners of an ellipse."""
    angles = [2 * math.pi * i / corners for i in range(corners)]
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


def ring(cx: float, cy: float, outer: float, inner: float, corners: int = 18) -> list[tuple[float, float]]:
    """A keyhole polygon: the area between two circles."""
    angles = [2 * math.pi * i / corners for i in range(corners + 1)]
    out = [(cx + outer * math.cos(a), cy + outer * math.sin(a)) for a in angles]
    back = [(cx + inner * math.cos(a), cy + inner * math.sin(a)) for a in reversed(angles)]
    return out + back


def bar(a: tuple[float, float], b: tuple[float, float], wide_a: float, wide_b: float | None = None) -> list:
    """A strip from `a` to `b` of the given widths."""
    wide_b = wide_a if wide_b is None else wide_b
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = max(float(np.hypot(dx, dy)), 1e-6)
    nx, ny = -dy / length / 2, dx / length / 2
    return [
        (a[0] + nx * wide_a, a[1] + ny * wide_a),
        (b[0] + nx * wide_b, b[1] + ny * wide_b),
        (b[0] - nx * wide_b, b[1] - ny * wide_b),
        (a[0] - nx * wide_a, a[1] - ny * wide_a),
    ]


def patch(quad: np.ndarray, a0: float, b0: float, a1: float, b1: float) -> np.ndarray:
    """Part of a quad (bottom-left, bottom-right, top-right, top-left) between fractions of width a and height b."""
    a = np.array([a0, a1, a1, a0])[:, None]
    b = np.array([b0, b0, b1, b1])[:, None]
    return (1 - b) * ((1 - a) * quad[0] + a * quad[1]) + b * ((1 - a) * quad[3] + a * quad[2])


def box(width: float, bottom: float, top: float, back: float, front: float) -> dict[str, np.ndarray]:
    """Quads of a box seen from outside, each bottom-left, bottom-right, top-right, top-left."""
    h = width / 2
    low, high = bottom, top
    corners = {
        "rear": [(-h, low, back), (h, low, back), (h, high, back), (-h, high, back)],
        "front": [(h, low, front), (-h, low, front), (-h, high, front), (h, high, front)],
        "left": [(-h, low, front), (-h, low, back), (-h, high, back), (-h, high, front)],
        "right": [(h, low, back), (h, low, front), (h, high, front), (h, high, back)],
        "top": [(-h, high, back), (h, high, back), (h, high, front), (-h, high, front)],
    }
    return {name: np.array(points, float) for name, points in corners.items()}
