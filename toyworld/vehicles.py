"""Cars, vans, buses, trucks and trams as low polyhedra; they look along +z and stand on y = 0."""

from __future__ import annotations

import numpy as np

from toyworld import ids
from toyworld.model import Face, Solid, Thing, bar, box, oval, patch, side

PAINTS = (
    (196, 198, 200), (30, 32, 36), (92, 96, 102), (222, 222, 220), (150, 26, 28), (34, 54, 104), (140, 142, 138),
    (58, 60, 62), (62, 84, 66), (176, 160, 122), (120, 60, 40), (88, 120, 150), (206, 168, 40), (168, 86, 30),
)  # fmt: skip
DARK = (24, 25, 27)
# Outline from the rear bumper over the roof to the nose: (z, y, half width); `belt`: (first, last) corner of the cabin.
SHAPES: dict[str, list[tuple[float, float, float]]] = {
    "sedan": [
        (-2.22, 0.28, 0.84), (-2.30, 0.58, 0.88), (-2.24, 0.96, 0.84), (-1.60, 1.00, 0.84), (-0.95, 1.43, 0.63),
        (0.20, 1.45, 0.63), (1.00, 0.99, 0.84), (2.02, 0.80, 0.80), (2.25, 0.56, 0.84), (2.18, 0.28, 0.82),
    ],
    "hatch": [
        (-1.86, 0.28, 0.82), (-1.95, 0.60, 0.86), (-1.92, 0.94, 0.83), (-1.86, 1.00, 0.82), (-1.42, 1.48, 0.64),
        (0.22, 1.50, 0.64), (1.00, 1.02, 0.83), (1.75, 0.84, 0.78), (1.98, 0.56, 0.82), (1.92, 0.28, 0.80),
    ],
    "wagon": [
        (-2.25, 0.30, 0.86), (-2.34, 0.62, 0.90), (-2.32, 0.98, 0.88), (-2.26, 1.04, 0.86), (-1.95, 1.52, 0.68),
        (0.30, 1.54, 0.68), (1.10, 1.05, 0.86), (2.10, 0.90, 0.82), (2.32, 0.60, 0.87), (2.25, 0.30, 0.84),
    ],
    "suv": [
        (-2.20, 0.40, 0.90), (-2.32, 0.75, 0.95), (-2.30, 1.12, 0.92), (-2.24, 1.18, 0.91), (-1.95, 1.74, 0.72),
        (0.15, 1.76, 0.72), (0.95, 1.20, 0.91), (2.05, 1.08, 0.88), (2.30, 0.75, 0.92), (2.22, 0.40, 0.90),
    ],
    "van": [
        (-2.45, 0.36, 0.92), (-2.52, 0.70, 0.97), (-2.52, 1.10, 0.96), (-2.50, 1.16, 0.95), (-2.42, 1.98, 0.84),
        (1.10, 1.98, 0.84), (1.85, 1.22, 0.93), (2.35, 1.02, 0.88), (2.48, 0.65, 0.93), (2.42, 0.36, 0.92),
    ],
}  # fmt: skip


def _quad(a: tuple[float, float, float], b: tuple[float, float, float], forward: bool) -> np.ndarray:
    """The strip between two outline corners, bottom-left first as seen from outside."""
    flip = -1 if forward else 1
    low, high = (b, a) if forward else (a, b)
    return np.array(
        [
            (-flip * low[2], low[1], low[0]), (flip * low[2], low[1], low[0]),
            (flip * high[2], high[1], high[0]), (-flip * high[2], high[1], high[0]),
        ]
    )  # fmt: skip


def _glass(quad: np.ndarray, label: int, tone: float = 1.0) -> Face:
    return Face(quad, [c * tone for c in (62, 72, 82)], label, fade=(1.5, 0.6))


def _wheel(z: float, x: float, radius: float, label: int, rim: float) -> list[Face]:
    return [
        Face(side(oval(z, radius + 0.02, radius * 1.22, radius * 1.2, 16), x), (16, 16, 17), label),
        Face(side(oval(z, radius, radius, radius, 16), x), (34, 34, 35), label, fade=(0.7, 1.3)),
        Face(side(oval(z, radius, radius * 0.62, radius * 0.62, 12), x), (rim, rim, rim), label, fade=(1.1, 0.7)),
        Face(side(oval(z, radius, radius * 0.2, radius * 0.2, 8), x), (40, 40, 42), label),
    ]


def _tyres(axles: list[float], half: float, radius: float, label: int) -> Solid:
    """Tyres and the dark underside, painted before the body."""
    faces = [Face(q, (14, 14, 15), label) for q in box(2 * half - 0.3, 0.16, 0.45, axles[0], axles[-1]).values()]
    for z in axles:
        for sign in (-1, 1):
            x0, x1 = sign * (half - 0.24), sign * (half - 0.02)
            points = np.array([(x0, 0, z), (x1, 0, z), (x1, 2 * radius, z), (x0, 2 * radius, z)])
            faces.append(Face(points, (26, 26, 27), label))
    return Solid(faces, np.array([0, 0.3, 0]), closed=False)


def car(rng: np.random.Generator, shape: str | None = None, snow: bool = False) -> Thing:
    """A car or van of a random shape and paint."""
    shape = shape or str(rng.choice(list(SHAPES), p=(0.27, 0.25, 0.2, 0.17, 0.11)))
    paint = np.array(PAINTS[int(rng.integers(len(PAINTS)))]) * rng.uniform(0.8, 1.15)
    stretch = rng.uniform(0.94, 1.06)
    line = [(z * stretch, y, w) for z, y, w in SHAPES[shape]]
    label = ids.CAR
    strips = {i: _quad(line[i], line[i + 1], forward=i >= 5) for i in range(9)}
    faces = [Face(q, paint, label, fade=(1.12, 0.88)) for q in strips.values()]
    faces[4].fade = (1.2, 1.1)
    if snow:
        faces[4].color = faces[6].color = (228, 232, 238)
    _rear(faces, strips, rng, label)
    _nose(faces, strips, rng, label)
    radius = 0.31 + 0.05 * (shape in ("suv", "van"))
    axles = [line[0][0] + 0.78, line[-1][0] - 0.80]
    wheels = [(z, radius, float(rng.uniform(110, 190))) for z in axles]
    faces += _flanks(rng, line, paint, label, wheels)
    middle = np.array([0, 0.75, 0.0])
    # The same center for both: the sort by distance is stable, so the tyres stay behind the body.
    solids = [Solid(_tyres(axles, line[1][2], radius, label).faces, middle, closed=False), Solid(faces, middle)]
    return Thing(solids, 0, 0, yaw=0.0, shadow=(0.9, -line[1][0], 0.0, line[4][1]))


def _rear(faces: list[Face], strips: dict[int, np.ndarray], rng: np.random.Generator, label: int) -> None:
    low, lamps, window = faces[0], faces[1], faces[3]
    if abs(strips[2][0][2] - strips[2][3][2]) < 0.3:
        faces[2].fade = (1.0, 1.0)
    window.details.append(_glass(patch(strips[3], 0.07, 0.10, 0.93, 0.90), label))
    red = (176, 24, 22)
    wide = rng.uniform(0.13, 0.24)
    for a in (0.02, 0.98 - wide):
        lamps.details.append(Face(patch(strips[1], a, 0.35, a + wide, 0.95), red, label, fade=(1.3, 0.8), glow=True))
    lamps.details.append(Face(patch(strips[1], 0.35, 0.35, 0.65, 0.7), (214, 212, 200), label))
    low.details.append(Face(patch(strips[0], 0.0, 0.0, 1.0, 0.35), DARK, label))


def _nose(faces: list[Face], strips: dict[int, np.ndarray], rng: np.random.Generator, label: int) -> None:
    faces[5].details.append(_glass(patch(strips[5], 0.05, 0.06, 0.95, 0.92), label, 1.1))
    wide = rng.uniform(0.16, 0.24)
    for a in (0.02, 0.98 - wide):
        lamp = Face(patch(strips[7], a, 0.25, a + wide, 0.95), (226, 228, 220), label, fade=(1.05, 0.8), glow=True)
        faces[7].details.append(lamp)
    faces[7].details.append(Face(patch(strips[7], 0.3, 0.2, 0.7, 0.85), (30, 31, 33), label))
    faces[8].details.append(Face(patch(strips[8], 0.12, 0.05, 0.88, 0.5), DARK, label))
    faces[8].details.append(Face(patch(strips[8], 0.36, 0.55, 0.64, 0.9), (214, 212, 200), label))


def _flanks(
    rng: np.random.Generator,
    line: list[tuple[float, float, float]],
    paint: np.ndarray,
    label: int,
    wheels: list[tuple[float, float, float]],
) -> list[Face]:
    """Both sides: body with wheels (z, radius, tone of the rim), cabin with windows and pillars, door joints."""
    half, faces = line[1][2], []
    pillar = rng.uniform(0.42, 0.55)
    for sign in (-1, 1):
        body = np.array([(sign * w, y, z) for i, (z, y, w) in enumerate(line) if i not in (4, 5)])
        lower = Face(body, paint, label, fade=(1.15, 0.72))
        seam = side(bar((0.05, 0.36), (0.05, 0.95), 0.03), sign * half)
        lower.details.append(Face(seam, paint * 0.55, label))
        lower.details.append(Face(side(bar((line[0][0], 0.34), (line[-1][0], 0.34), 0.12), sign * half), DARK, label))
        for z, radius, rim in wheels:
            lower.details += _wheel(z, sign * (half + 0.01), radius, label, rim)
        cabin = np.array([(sign * line[i][2], line[i][1], line[i][0]) for i in (3, 4, 5, 6)])
        upper = Face(cabin, paint, label)
        quad = cabin[[0, 3, 2, 1]]
        for a0, a1 in ((0.05, pillar - 0.02), (pillar + 0.02, 0.95)):
            upper.details.append(_glass(patch(quad, a0, 0.08, a1, 0.88), label))
        faces += [lower, upper]
    return faces
