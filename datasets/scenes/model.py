"""Objects as coloured polygons in their own metres, and their way onto the canvas.

Local axes of an object: x right, y up, z forward (where it looks). A cut-out (person, sign, tree) has z = 0 and is
turned towards the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from datasets.scenes.canvas import Canvas, Colour


@dataclass(slots=True)
class Face:
    """A polygon (N, 3). `texture` (h, w, 3 or 4) makes it the parallelogram of its first three points:
    top-left, top-right, bottom-left. `details` lie on it and are drawn with it."""

    points: np.ndarray
    colour: Colour | None
    label: int | None
    fade: tuple[float, float] = (1.0, 1.0)
    glow: bool = False
    texture: np.ndarray | None = None
    lit: np.ndarray | None = None
    solid_label: bool = False
    details: list[Face] = field(default_factory=list)


@dataclass(slots=True)
class Solid:
    """Faces round `centre`; those that look away are skipped when `closed`. Flat ones are drawn in their order."""

    faces: list[Face]
    centre: np.ndarray
    closed: bool = True


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
    cx, _, cz = canvas.camera.position
    yaw = np.arctan2(x - cx, z - cz) if thing.yaw is None else thing.yaw
    turn, origin = turned(float(yaw)), np.array([x, 0.0, z])
    eye = (np.asarray(canvas.camera.position) - origin) @ turn.T
    solids = thing.solids
    if len(solids) > 1:
        solids = sorted(solids, key=lambda s: -float(np.square(s.centre - eye).sum()))
    for solid in solids:
        _draw_solid(canvas, solid, eye, turn, origin)


def _draw_solid(canvas: Canvas, solid: Solid, eye: np.ndarray, turn: np.ndarray, origin: np.ndarray) -> None:
    if not solid.closed:
        for face in solid.faces:
            _draw_face(canvas, face, canvas.light.upright, turn, origin)
        return
    visible = []
    for face in solid.faces:
        p = face.points
        middle = p.mean(0)
        normal = np.cross(p[1] - p[0], p[2] - p[0])
        normal /= np.linalg.norm(normal) + 1e-12
        if normal @ (middle - solid.centre) < 0:
            normal = -normal
        if normal @ (eye - middle) > 0:
            visible.append((float(np.square(eye - middle).sum()), canvas.light.shade(normal @ turn), face))
    visible.sort(key=lambda item: -item[0])
    for _, shade, face in visible:
        _draw_face(canvas, face, shade, turn, origin)


def _draw_face(canvas: Canvas, face: Face, shade: float, turn: np.ndarray, origin: np.ndarray) -> None:
    points = face.points @ turn + origin
    if face.texture is not None:
        canvas.textured(
            points[:3], face.texture, face.label, shade=shade, solid_label=face.solid_label, glow=face.lit
        )
    else:
        tone = 1.0 if face.glow else shade
        colour = None if face.colour is None else [tone * c for c in face.colour]
        canvas.polygon(points, colour, face.label, fade=face.fade, glow=face.glow)
    for detail in face.details:
        _draw_face(canvas, detail, shade, turn, origin)


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
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return [(cx + rx * float(np.cos(a)), cy + ry * float(np.sin(a))) for a in angles]


def ring(cx: float, cy: float, outer: float, inner: float, corners: int = 18) -> list[tuple[float, float]]:
    """A keyhole polygon: the area between two circles."""
    angles = np.linspace(0, 2 * np.pi, corners + 1)
    out = [(cx + outer * float(np.cos(a)), cy + outer * float(np.sin(a))) for a in angles]
    back = [(cx + inner * float(np.cos(a)), cy + inner * float(np.sin(a))) for a in angles[::-1]]
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

    def at(a: float, b: float) -> np.ndarray:
        return (1 - b) * ((1 - a) * quad[0] + a * quad[1]) + b * ((1 - a) * quad[3] + a * quad[2])

    return np.array([at(a0, b0), at(a1, b0), at(a1, b1), at(a0, b1)])


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
