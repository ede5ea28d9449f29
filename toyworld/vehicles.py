"""Cars, vans, buses, trucks and trams as low polyhedra; they look along +z and stand on y = 0."""

from __future__ import annotations

import numpy as np

from toyworld import ids
from toyworld.colors import tint
from toyworld.model import GLASS, GLASS_FADE, SNOW, Face, Solid, Thing, box
from toyworld.shapes import bar, oval, patch, side

PAINTS = (
    (196, 198, 200), (30, 32, 36), (92, 96, 102), (222, 222, 220), (150, 26, 28), (34, 54, 104), (140, 142, 138),
    (58, 60, 62), (62, 84, 66), (176, 160, 122), (120, 60, 40), (88, 120, 150), (206, 168, 40), (168, 86, 30),
)  # fmt: skip
DARK, NUMBER_PLATE = (24, 25, 27), (214, 212, 200)
Corner = tuple[float, float, float]
# Outline from the rear bumper over the roof to the nose: (z, y, half width); `belt`: (first, last) corner of the cabin.
SHAPES: dict[str, list[Corner]] = {
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


def _strip(a: Corner, b: Corner, forward: bool) -> np.ndarray:
    """Give the strip between two outline corners, bottom-left first as seen from outside."""
    flip = -1 if forward else 1
    low, high = (b, a) if forward else (a, b)
    return np.array(
        [
            (-flip * low[2], low[1], low[0]), (flip * low[2], low[1], low[0]),
            (flip * high[2], high[1], high[0]), (-flip * high[2], high[1], high[0]),
        ]
    )  # fmt: skip


def wheel(z: float, x: float, radius: float, label: int, rim: float) -> list[Face]:
    """Draw a wheel seen from the side: its arch, tire, rim and hub."""
    return [
        Face(side(oval(z, radius + 0.02, radius * 1.22, radius * 1.2, 16), x), (16, 16, 17), label),
        Face(side(oval(z, radius, radius, radius, 16), x), (34, 34, 35), label, fade=(0.7, 1.3)),
        Face(side(oval(z, radius, radius * 0.62, radius * 0.62, 12), x), (rim, rim, rim), label, fade=(1.1, 0.7)),
        Face(side(oval(z, radius, radius * 0.2, radius * 0.2, 8), x), (40, 40, 42), label),
    ]


def chassis(axles: list[float], half: float, radius: float, label: int, center: np.ndarray) -> Solid:
    """Build tires and underside, painted before a body of the same `center`, since the sort by distance is stable."""
    faces = list(box((2 * half - 0.3, 0.16, 0.45, axles[0], axles[-1]), (14, 14, 15), label).values())
    for z in axles:
        for sign in (-1, 1):
            x0, x1 = sign * (half - 0.24), sign * (half - 0.02)
            points = np.array([(x0, 0, z), (x1, 0, z), (x1, 2 * radius, z), (x0, 2 * radius, z)])
            faces.append(Face(points, (26, 26, 27), label))
    return Solid(faces, center, closed=False)


def car(rng: np.random.Generator, shape: str | None = None, snow: bool = False) -> Thing:
    """Build a car or van of a random shape and paint."""
    shape = shape or str(rng.choice(list(SHAPES), p=(0.27, 0.25, 0.2, 0.17, 0.11)))
    paint = tint(rng, PAINTS, 0.8, 1.15)
    stretch = rng.uniform(0.94, 1.06)
    line = [(z * stretch, y, w) for z, y, w in SHAPES[shape]]
    faces = [Face(_strip(line[i], line[i + 1], i >= 5), paint, ids.CAR, fade=(1.12, 0.88)) for i in range(9)]
    faces[4].fade = (1.2, 1.1)
    if snow:
        faces[4].color = faces[6].color = SNOW
    _rear(faces, rng)
    _nose(faces, rng)
    radius = 0.31 + 0.05 * (shape in ("suv", "van"))
    axles = [line[0][0] + 0.78, line[-1][0] - 0.80]
    wheels = [(z, radius, float(rng.uniform(110, 190))) for z in axles]
    faces += _flanks(rng, line, paint, wheels)
    middle = np.array([0, 0.75, 0.0])
    solids = [chassis(axles, line[1][2], radius, ids.CAR, middle), Solid(faces, middle)]
    return Thing(solids, yaw=0.0, shadow=(0.9, -line[1][0], 0.0, line[4][1]))


def _rear(faces: list[Face], rng: np.random.Generator) -> None:
    low, lamps, lid, window = faces[:4]
    if abs(lid.points[0][2] - lid.points[3][2]) < 0.3:
        lid.fade = (1.0, 1.0)
    window.glaze(0.07, 0.10, 0.93, 0.90)
    wide = rng.uniform(0.13, 0.24)
    for a in (0.02, 0.98 - wide):
        lamps.add(a, 0.35, a + wide, 0.95, (176, 24, 22), fade=(1.3, 0.8), glow=True)
    lamps.add(0.35, 0.35, 0.65, 0.7, NUMBER_PLATE)
    low.add(0.0, 0.0, 1.0, 0.35, DARK)


def _nose(faces: list[Face], rng: np.random.Generator) -> None:
    window, _, lamps, low = faces[5:9]
    window.glaze(0.05, 0.06, 0.95, 0.92, 1.1)
    wide = rng.uniform(0.16, 0.24)
    for a in (0.02, 0.98 - wide):
        lamps.add(a, 0.25, a + wide, 0.95, (226, 228, 220), fade=(1.05, 0.8), glow=True)
    lamps.add(0.3, 0.2, 0.7, 0.85, (30, 31, 33))
    low.add(0.12, 0.05, 0.88, 0.5, DARK)
    low.add(0.36, 0.55, 0.64, 0.9, NUMBER_PLATE)


def _flanks(rng: np.random.Generator, line: list[Corner], paint: np.ndarray, wheels: list[Corner]) -> list[Face]:
    """Build both sides: body with wheels (z, radius, tone of the rim), cabin with windows and pillars, door joints."""
    half, faces = line[1][2], []
    pillar = rng.uniform(0.42, 0.55)
    for sign in (-1, 1):
        body = np.array([(sign * w, y, z) for i, (z, y, w) in enumerate(line) if i not in (4, 5)])
        lower = Face(body, paint, ids.CAR, fade=(1.15, 0.72))
        seam, sill = bar((0.05, 0.36), (0.05, 0.95), 0.03), bar((line[0][0], 0.34), (line[-1][0], 0.34), 0.12)
        for strip, color in ((seam, paint * 0.55), (sill, DARK)):
            lower.details.append(Face(side(strip, sign * half), color, ids.CAR))
        for z, radius, rim in wheels:
            lower.details += wheel(z, sign * (half + 0.01), radius, ids.CAR, rim)
        cabin = np.array([(sign * line[i][2], line[i][1], line[i][0]) for i in (3, 4, 5, 6)])
        upper = Face(cabin, paint, ids.CAR)
        quad = cabin[[0, 3, 2, 1]]
        for a0, a1 in ((0.05, pillar - 0.02), (pillar + 0.02, 0.95)):
            upper.details.append(Face(patch(quad, a0, 0.08, a1, 0.88), GLASS, ids.CAR, fade=GLASS_FADE))
        faces += [lower, upper]
    return faces
