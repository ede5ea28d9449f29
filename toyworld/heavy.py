"""Buses, trucks and trams."""

from __future__ import annotations

import numpy as np

from toyworld import ids
from toyworld.model import Face, Solid, Thing, bar, box, oval, patch, side
from toyworld.vehicles import DARK, PAINTS, _glass, _tyres, _wheel

LIVERY = (
    (188, 34, 32), (216, 176, 40), (44, 92, 150), (226, 224, 218), (70, 122, 72), (196, 110, 40), (150, 152, 156),
    (228, 226, 220), (60, 70, 110),
)  # fmt: skip
ROW_LAMPS = (228, 230, 222)
TAIL = (180, 24, 20)


def _livery(rng: np.random.Generator) -> np.ndarray:
    return np.array(LIVERY[int(rng.integers(len(LIVERY)))]) * rng.uniform(0.85, 1.1)


def _hull(rng: np.random.Generator, usual: tuple[int, ...], share: float) -> np.ndarray:
    """A livery, with chance `share` one of those that are usual for the kind of vehicle."""
    if rng.random() >= share:
        return _livery(rng)
    return np.array(LIVERY[usual[int(rng.integers(len(usual)))]]) * rng.uniform(0.85, 1.1)


def _cells(quad: np.ndarray, count: int, b0: float, b1: float, label: int, gap: float = 0.1) -> list[Face]:
    """A row of `count` windows on a quad between heights b0 and b1."""
    step = 1.0 / count
    return [_glass(patch(quad, (i + gap) * step, b0, (i + 1 - gap) * step, b1), label) for i in range(count)]


def bus(rng: np.random.Generator, snow: bool = False) -> Thing:
    """A city bus or coach."""
    label, paint, second = ids.BUS, _hull(rng, (1, 2), 0.6), _livery(rng)
    length, width, tall = rng.uniform(9.5, 12.5), 2.5, rng.uniform(2.9, 3.3)
    back, front = -length / 2, length / 2
    quads = box(width, 0.32, tall, back, front)
    faces = {name: Face(quad, paint, label, fade=(1.1, 0.9)) for name, quad in quads.items()}
    if snow:
        faces["top"].color = (228, 232, 238)
    axles = [back + 2.6, front - 2.4]
    count = int(rng.integers(5, 8))
    for name, sign in (("left", -1), ("right", 1)):
        face, quad = faces[name], quads[name]
        face.details.append(Face(patch(quad, 0, 0.0, 1, 0.16), second * 0.9, label))
        face.details.append(Face(patch(quad, 0.01, 0.42, 0.99, 0.84), DARK, label))
        face.details += _cells(quad, count, 0.45, 0.81, label, 0.05)
        if name == "right":
            for a in (0.42, 0.9):
                face.details.append(Face(patch(quad, a, 0.04, a + 0.085, 0.84), (34, 36, 40), label))
                face.details += [
                    _glass(patch(quad, a + 0.006 + i * 0.04, 0.1, a + 0.04 + i * 0.04, 0.8), label, 1.3) for i in (0, 1)
                ]
        for z in axles:
            face.details += _wheel(z, sign * (width / 2 + 0.01), 0.48, label, 130)
    _bus_ends(faces, quads, rng, label)
    middle = np.array([0, 1.5, 0.0])
    solids = [Solid(_tyres(axles, width / 2, 0.48, label).faces, middle, closed=False)]
    solids.append(Solid(list(faces.values()), middle))
    return Thing(solids, 0, 0, yaw=0.0, shadow=(width / 2, length / 2, 0, tall))


def _bus_ends(faces: dict[str, Face], quads: dict[str, np.ndarray], rng: np.random.Generator, label: int) -> None:
    front, rear = quads["front"], quads["rear"]
    faces["front"].details += [
        _glass(patch(front, 0.04, 0.34, 0.96, 0.82), label, 1.1),
        Face(patch(front, 0.12, 0.85, 0.88, 0.97), (20, 20, 22), label),
        Face(patch(front, 0.2, 0.88, 0.75, 0.94), (240, 168, 40), label, glow=True),
        Face(patch(front, 0.06, 0.08, 0.22, 0.2), ROW_LAMPS, label, glow=True),
        Face(patch(front, 0.78, 0.08, 0.94, 0.2), ROW_LAMPS, label, glow=True),
        Face(patch(front, 0.0, 0.0, 1.0, 0.06), DARK, label),
        Face(patch(front, 0.4, 0.1, 0.6, 0.16), (212, 210, 200), label),
    ]
    faces["rear"].details += [
        _glass(patch(rear, 0.12, 0.55, 0.88, 0.84), label),
        Face(patch(rear, 0.3, 0.88, 0.55, 0.96), (230, 160, 40), label, glow=True),
        Face(patch(rear, 0.03, 0.12, 0.13, 0.42), TAIL, label, glow=True),
        Face(patch(rear, 0.87, 0.12, 0.97, 0.42), TAIL, label, glow=True),
        Face(patch(rear, 0.2, 0.16, 0.8, 0.44), (46, 46, 48), label),
        Face(patch(rear, 0.4, 0.05, 0.6, 0.12), (212, 210, 200), label),
    ]
    for b in (0.22, 0.29, 0.36):
        faces["rear"].details.append(Face(patch(rear, 0.22, b, 0.78, b + 0.025), (90, 90, 92), label))


def truck(rng: np.random.Generator, snow: bool = False) -> Thing:
    """A lorry: cab and cargo (box, tarpaulin or open tipper)."""
    label, paint = ids.TRUCK, np.array(PAINTS[int(rng.integers(len(PAINTS)))]) * rng.uniform(0.85, 1.1)
    cargo, length = _hull(rng, (3, 6, 7, 8), 0.6), rng.uniform(6.5, 11.0)
    width, tall = 2.45, rng.uniform(3.1, 3.9)
    back, front = -length / 2, length / 2
    cab_back = front - rng.uniform(1.7, 2.2)
    tipper = rng.random() < 0.25
    load = _cargo(rng, cargo, width, 1.05, 2.3 if tipper else tall, back, cab_back - 0.3, snow, tipper)
    cab = _cab(paint, 2.35, min(tall - 0.3, 2.9), cab_back, front)
    axles = [back + 1.0, back + 2.1, front - 1.1] if length > 8.5 else [back + 1.4, front - 1.1]
    middle = np.array([0, 1.0, 0.0])
    chassis = Solid(_tyres(axles, width / 2, 0.5, label).faces, np.array([0, -50.0, 0.0]), closed=False)
    flanks = []
    for sign in (-1, 1):
        beam = Face(side(bar((back, 0.88), (front - 2, 0.88), 0.34), sign * 1.1), (40, 41, 43), label)
        beam.details += [w for z in axles for w in _wheel(z, sign * 1.2, 0.5, label, 120)]
        flanks.append(beam)
    solids = [chassis, Solid(flanks, middle + [0, -20, 0]), load, cab]
    return Thing(solids, 0, 0, yaw=0.0, shadow=(width / 2, length / 2, 0, tall))


def _cargo(
    rng: np.random.Generator,
    color: np.ndarray,
    width: float,
    low: float,
    top: float,
    back: float,
    front: float,
    snow: bool,
    tipper: bool,
) -> Solid:
    label, quads = ids.TRUCK, box(width, low, top, back, front)
    faces = {name: Face(quad, color, label, fade=(1.1, 0.88)) for name, quad in quads.items()}
    faces["top"].color = (228, 232, 238) if snow else ((104, 84, 62) if tipper else color)
    second = _livery(rng)
    for name in ("left", "right"):
        quad = quads[name]
        ribs = int(rng.integers(5, 10))
        faces[name].details += [
            Face(patch(quad, i / ribs - 0.006, 0, i / ribs + 0.006, 1), color * 0.7, label) for i in range(1, ribs)
        ]
        if not tipper and rng.random() < 0.7:
            faces[name].details.append(Face(patch(quad, 0.2, 0.35, 0.8, 0.65), second, label))
    rear = quads["rear"]
    faces["rear"].details += [
        Face(patch(rear, 0.02, 0.03, 0.98, 0.97), color * 0.93, label),
        Face(patch(rear, 0.49, 0.0, 0.51, 1.0), color * 0.45, label),
        Face(patch(rear, 0.4, 0.03, 0.42, 0.97), color * 0.6, label),
        Face(patch(rear, 0.58, 0.03, 0.6, 0.97), color * 0.6, label),
        *_chevrons(rear, label),
        Face(patch(rear, 0.05, -0.16, 0.17, -0.06), TAIL, label, glow=True),
        Face(patch(rear, 0.83, -0.16, 0.95, -0.06), TAIL, label, glow=True),
    ]
    return Solid(list(faces.values()), np.array([0, (low + top) / 2, (back + front) / 2]))


def _chevrons(rear: np.ndarray, label: int) -> list[Face]:
    """The red and white warning band under the load."""
    paints = ((186, 34, 30), (226, 224, 216))
    return [Face(patch(rear, i / 8, -0.05, (i + 1) / 8, 0.06), paints[i % 2], label) for i in range(8)]


def _cab(paint: np.ndarray, width: float, top: float, back: float, front: float) -> Solid:
    label, quads = ids.TRUCK, box(width, 0.45, top, back, front)
    faces = {name: Face(quad, paint, label, fade=(1.12, 0.88)) for name, quad in quads.items()}
    nose = quads["front"]
    faces["front"].details += [
        _glass(patch(nose, 0.06, 0.55, 0.94, 0.9), label, 1.1),
        Face(patch(nose, 0.15, 0.2, 0.85, 0.48), (36, 37, 40), label),
        Face(patch(nose, 0.03, 0.05, 0.2, 0.16), ROW_LAMPS, label, glow=True),
        Face(patch(nose, 0.8, 0.05, 0.97, 0.16), ROW_LAMPS, label, glow=True),
        Face(patch(nose, 0.38, 0.06, 0.62, 0.14), (212, 210, 200), label),
    ]
    for b in (0.26, 0.33, 0.40):
        faces["front"].details.append(Face(patch(nose, 0.18, b, 0.82, b + 0.03), (120, 122, 124), label))
    for name, a0, a1 in (("left", 0.1, 0.62), ("right", 0.38, 0.9)):
        faces[name].details.append(_glass(patch(quads[name], a0, 0.55, a1, 0.88), label))
    return Solid(list(faces.values()), np.array([0, 1.5, (back + front) / 2]))


def tram(rng: np.random.Generator, snow: bool = False) -> Thing:
    """A tram of two or three cars with bellows, sloped ends and a pantograph; no visible wheels."""
    label, paint, roof = ids.TRAIN, _hull(rng, (0, 4), 0.6), np.array([226, 218, 196]) * rng.uniform(0.85, 1.05)
    cars, length = int(rng.choice([2, 3])), rng.uniform(7.5, 9.0)
    solids, total = [], cars * length
    for i in range(cars):
        back = -total / 2 + i * length + 0.3 * (i > 0)
        front = -total / 2 + (i + 1) * length - 0.3 * (i < cars - 1)
        solids.append(_tram_car(paint, roof, back, front, i == 0, i == cars - 1, label, snow))
        if i:
            bellows = [Face(q, (40, 41, 44), label) for q in box(2.1, 0.4, 3.1, back - 0.62, back + 0.02).values()]
            solids.append(Solid(bellows, np.array([0, 1.6, back - 0.3])))
    arm = -total / 2 + length * rng.uniform(0.4, 0.7)
    lines = [((arm, 3.45), (arm + 0.9, 4.2)), ((arm + 0.9, 4.2), (arm + 0.1, 5.0))]
    wires = [Face(side(bar(a, b, 0.09)), (46, 46, 48), label) for a, b in lines]
    shoe = np.array([(-0.8, 5.0, arm + 0.1), (0.8, 5.0, arm + 0.1), (0.8, 5.1, arm + 0.1), (-0.8, 5.1, arm + 0.1)])
    wires.append(Face(shoe, (46, 46, 48), label))
    for x in (-0.5, 0.5):
        leg = np.array([(x, 3.4, arm), (x + 0.1, 3.4, arm), (x * 0.6 + 0.1, 5.0, arm), (x * 0.6, 5.0, arm)])
        wires.append(Face(leg, (46, 46, 48), label))
    solids.append(Solid(wires, np.array([0, -40.0, arm]), closed=False))
    return Thing(solids, 0, 0, yaw=0.0, shadow=(1.2, total / 2, 0, 3.4))


def _tram_car(
    paint: np.ndarray, roof: np.ndarray, back: float, front: float, tail: bool, head: bool, label: int, snow: bool
) -> Solid:
    quads = box(2.4, 0.22, 3.4, back, front)
    if head:  # the windscreen leans back
        for name, corners in (("front", (2, 3)), ("left", (3,)), ("right", (2,)), ("top", (2, 3))):
            quads[name][list(corners), 2] -= 0.7
    if tail:
        for name, corners in (("rear", (2, 3)), ("left", (2,)), ("right", (3,)), ("top", (0, 1))):
            quads[name][list(corners), 2] += 0.7
    faces = {name: Face(quad, paint, label, fade=(1.1, 0.9)) for name, quad in quads.items()}
    faces["top"].color = (228, 232, 238) if snow else roof * 0.8
    for name in ("left", "right"):
        face, quad = faces[name], quads[name]
        face.details += [
            Face(patch(quad, 0, 0.34, 1, 1), roof, label),
            Face(patch(quad, 0, 0.0, 1, 0.1), (52, 53, 56), label),
            Face(patch(quad, 0, 0.24, 1, 0.28), roof, label),
            Face(patch(quad, 0.03, 0.42, 0.97, 0.84), (26, 28, 31), label),
            *_cells(quad, 5, 0.45, 0.81, label, 0.06),
        ]
        for a in (0.3, 0.66):
            face.details.append(Face(patch(quad, a, 0.08, a + 0.1, 0.84), roof * 0.95, label))
            face.details.append(_glass(patch(quad, a + 0.012, 0.2, a + 0.088, 0.8), label, 1.2))
    for name, lamp in (("front", ROW_LAMPS), ("rear", TAIL)):
        quad = quads[name]
        faces[name].details += [
            Face(patch(quad, 0, 0.34, 1, 1), roof, label),
            Face(patch(quad, 0, 0.24, 1, 0.28), roof, label),
            _glass(patch(quad, 0.06, 0.42, 0.94, 0.84), label, 1.1),
            Face(patch(quad, 0.2, 0.87, 0.8, 0.97), (18, 18, 20), label),
            Face(patch(quad, 0.3, 0.89, 0.62, 0.95), (240, 170, 44), label, glow=True),
            Face(patch(quad, 0.08, 0.2, 0.24, 0.29), lamp, label, glow=True),
            Face(patch(quad, 0.76, 0.2, 0.92, 0.29), lamp, label, glow=True),
            Face(patch(quad, 0.0, 0.0, 1.0, 0.1), (52, 53, 56), label),
        ]
        if not (head if name == "front" else tail):
            faces[name].details.clear()
            faces[name].color = (40, 41, 44)
    return Solid(list(faces.values()), np.array([0, 1.7, (back + front) / 2]))


def trailer(rng: np.random.Generator) -> Thing:
    """A parked trailer or caravan: void in the evaluation."""
    paint = np.array([220, 218, 210]) * rng.uniform(0.8, 1.05)
    quads = box(2.1, 0.5, 2.4, -2.2, 2.0)
    faces = [Face(q, paint, ids.TRAILER, fade=(1.1, 0.9)) for q in quads.values()]
    for name, face in zip(quads, faces, strict=True):
        if name in ("left", "right", "rear"):
            face.details.append(_glass(patch(quads[name], 0.3, 0.5, 0.7, 0.8), ids.TRAILER))
        if name in ("left", "right"):
            sign = -1 if name == "left" else 1
            face.details.append(Face(side(oval(0.0, 0.3, 0.3, 0.3), sign * 1.06), (26, 26, 27), ids.TRAILER))
    return Thing([Solid(faces, np.array([0, 1.3, 0]))], 0, 0, yaw=0.0, shadow=(1.05, 2.1, 0, 2.4))
