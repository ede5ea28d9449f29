"""Buses, trucks and trams."""

from __future__ import annotations

import numpy as np

from toyworld import ids
from toyworld.colors import tint
from toyworld.model import SNOW, Bounds, Face, Solid, Thing, box
from toyworld.shapes import bar, oval, rectangle, side
from toyworld.vehicles import DARK, PAINTS, chassis, wheel

LIVERY = (
    (188, 34, 32), (216, 176, 40), (44, 92, 150), (226, 224, 218), (70, 122, 72), (196, 110, 40), (150, 152, 156),
    (228, 226, 220), (60, 70, 110),
)  # fmt: skip
HEADLAMP, TAIL = (228, 230, 222), (180, 24, 20)
BELLOWS, WIRE, SKIRT = (40, 41, 44), (46, 46, 48), (52, 53, 56)
NUMBER_PLATE = (212, 210, 200)


def _livery(rng: np.random.Generator) -> np.ndarray:
    return tint(rng, LIVERY, 0.85, 1.1)


def _hull(rng: np.random.Generator, usual: tuple[int, ...], share: float) -> np.ndarray:
    """Draw a livery, with chance `share` one of those that are usual for the kind of vehicle."""
    return _livery(rng) if rng.random() >= share else tint(rng, [LIVERY[i] for i in usual], 0.85, 1.1)


def _glaze_row(face: Face, count: int, gap: float) -> None:
    """Put a row of `count` windows."""
    step = 1.0 / count
    for i in range(count):
        face.glaze((i + gap) * step, 0.45, (i + 1 - gap) * step, 0.81)


def _lamps(face: Face, low: float, high: float, color: tuple[int, int, int], *across: tuple[float, float]) -> None:
    """Put lamps between two heights of a front or a rear, `across` it from a to a."""
    for a0, a1 in across:
        face.add(a0, low, a1, high, color, glow=True)


def bus(rng: np.random.Generator, snow: bool = False) -> Thing:
    """Build a city bus or coach."""
    paint, second = _hull(rng, (1, 2), 0.6), _livery(rng)
    length, width, tall = rng.uniform(9.5, 12.5), 2.5, rng.uniform(2.9, 3.3)
    back, front = -length / 2, length / 2
    faces = box((width, 0.32, tall, back, front), paint, ids.BUS, fade=(1.1, 0.9))
    if snow:
        faces["top"].color = SNOW
    axles = [back + 2.6, front - 2.4]
    count = int(rng.integers(5, 8))
    for name, sign in (("left", -1), ("right", 1)):
        face = faces[name]
        face.add(0, 0.0, 1, 0.16, second * 0.9)
        face.add(0.01, 0.42, 0.99, 0.84, DARK)
        _glaze_row(face, count, 0.05)
        for a in (0.42, 0.9) if name == "right" else ():
            face.add(a, 0.04, a + 0.085, 0.84, (34, 36, 40))
            for i in (0, 1):
                face.glaze(a + 0.006 + i * 0.04, 0.1, a + 0.04 + i * 0.04, 0.8, 1.3)
        for z in axles:
            face.details += wheel(z, sign * (width / 2 + 0.01), 0.48, ids.BUS, 130)
    _bus_front(faces["front"])
    _bus_rear(faces["rear"])
    middle = np.array([0, 1.5, 0.0])
    solids = [chassis(axles, width / 2, 0.48, ids.BUS, middle), Solid(list(faces.values()), middle)]
    return Thing(solids, yaw=0.0, shadow=(width / 2, length / 2, 0, tall))


def _bus_front(face: Face) -> None:
    face.glaze(0.04, 0.34, 0.96, 0.82, 1.1)
    face.add(0.12, 0.85, 0.88, 0.97, (20, 20, 22))
    face.add(0.2, 0.88, 0.75, 0.94, (240, 168, 40), glow=True)
    _lamps(face, 0.08, 0.2, HEADLAMP, (0.06, 0.22), (0.78, 0.94))
    face.add(0.0, 0.0, 1.0, 0.06, DARK)
    face.add(0.4, 0.1, 0.6, 0.16, NUMBER_PLATE)


def _bus_rear(face: Face) -> None:
    face.glaze(0.12, 0.55, 0.88, 0.84)
    face.add(0.3, 0.88, 0.55, 0.96, (230, 160, 40), glow=True)
    _lamps(face, 0.12, 0.42, TAIL, (0.03, 0.13), (0.87, 0.97))
    face.add(0.2, 0.16, 0.8, 0.44, (46, 46, 48))
    face.add(0.4, 0.05, 0.6, 0.12, NUMBER_PLATE)
    for b in (0.22, 0.29, 0.36):
        face.add(0.22, b, 0.78, b + 0.025, (90, 90, 92))


def truck(rng: np.random.Generator, snow: bool = False) -> Thing:
    """Build a truck: cab and cargo (box, tarpaulin or open tipper)."""
    paint = tint(rng, PAINTS, 0.85, 1.1)
    cargo, length = _hull(rng, (3, 6, 7, 8), 0.6), rng.uniform(6.5, 11.0)
    width, tall = 2.45, rng.uniform(3.1, 3.9)
    back, front = -length / 2, length / 2
    cab_back = front - rng.uniform(1.7, 2.2)
    tipper = rng.random() < 0.25
    load = _cargo(rng, cargo, (width, 1.05, 2.3 if tipper else tall, back, cab_back - 0.3), snow, tipper)
    cab = _cab(paint, (2.35, 0.45, min(tall - 0.3, 2.9), cab_back, front))
    axles = [back + 1.0, back + 2.1, front - 1.1] if length > 8.5 else [back + 1.4, front - 1.1]
    flanks = []
    for sign in (-1, 1):
        beam = Face(side(bar((back, 0.88), (front - 2, 0.88), 0.34), sign * 1.1), (40, 41, 43), ids.TRUCK)
        beam.details += [w for z in axles for w in wheel(z, sign * 1.2, 0.5, ids.TRUCK, 120)]
        flanks.append(beam)
    below = chassis(axles, width / 2, 0.5, ids.TRUCK, np.array([0, -50.0, 0.0]))
    solids = [below, Solid(flanks, np.array([0, -19.0, 0.0])), load, cab]
    return Thing(solids, yaw=0.0, shadow=(width / 2, length / 2, 0, tall))


def _cargo(rng: np.random.Generator, color: np.ndarray, bounds: Bounds, snow: bool, tipper: bool) -> Solid:
    faces = box(bounds, color, ids.TRUCK, fade=(1.1, 0.88))
    faces["top"].color = SNOW if snow else ((104, 84, 62) if tipper else color)
    second = _livery(rng)
    for face in (faces["left"], faces["right"]):
        ribs = int(rng.integers(5, 10))
        for i in range(1, ribs):
            face.add(i / ribs - 0.006, 0, i / ribs + 0.006, 1, color * 0.7)
        if not tipper and rng.random() < 0.7:
            face.add(0.2, 0.35, 0.8, 0.65, second)
    rear = faces["rear"]
    rear.add(0.02, 0.03, 0.98, 0.97, color * 0.93)
    rear.add(0.49, 0.0, 0.51, 1.0, color * 0.45)
    rear.add(0.4, 0.03, 0.42, 0.97, color * 0.6)
    rear.add(0.58, 0.03, 0.6, 0.97, color * 0.6)
    for i in range(8):  # the red and white warning band under the load
        rear.add(i / 8, -0.05, (i + 1) / 8, 0.06, (226, 224, 216) if i % 2 else (186, 34, 30))
    _lamps(rear, -0.16, -0.06, TAIL, (0.05, 0.17), (0.83, 0.95))
    return _solid_of(faces, (bounds[1] + bounds[2]) / 2, bounds)


def _solid_of(faces: dict[str, Face], y: float, bounds: Bounds) -> Solid:
    """Make the solid of a box's faces; `y`: height of its center."""
    return Solid(list(faces.values()), np.array([0, y, (bounds[3] + bounds[4]) / 2]))


def _cab(paint: np.ndarray, bounds: Bounds) -> Solid:
    faces = box(bounds, paint, ids.TRUCK, fade=(1.12, 0.88))
    nose = faces["front"]
    nose.glaze(0.06, 0.55, 0.94, 0.9, 1.1)
    nose.add(0.15, 0.2, 0.85, 0.48, (36, 37, 40))
    _lamps(nose, 0.05, 0.16, HEADLAMP, (0.03, 0.2), (0.8, 0.97))
    nose.add(0.38, 0.06, 0.62, 0.14, NUMBER_PLATE)
    for b in (0.26, 0.33, 0.40):
        nose.add(0.18, b, 0.82, b + 0.03, (120, 122, 124))
    faces["left"].glaze(0.1, 0.55, 0.62, 0.88)
    faces["right"].glaze(0.38, 0.55, 0.9, 0.88)
    return _solid_of(faces, 1.5, bounds)


def tram(rng: np.random.Generator, snow: bool = False) -> Thing:
    """Build a tram of two or three cars with bellows, sloped ends and a pantograph; no visible wheels."""
    paint, roof = _hull(rng, (0, 4), 0.6), np.array([226, 218, 196]) * rng.uniform(0.85, 1.05)
    cars, length = int(rng.choice([2, 3])), rng.uniform(7.5, 9.0)
    solids, total = [], cars * length
    for i in range(cars):
        back = -total / 2 + i * length + 0.3 * (i > 0)
        front = -total / 2 + (i + 1) * length - 0.3 * (i < cars - 1)
        solids.append(_tram_car(paint, roof, (2.4, 0.22, 3.4, back, front), i == 0, i == cars - 1, snow))
        if i:
            bellows = box((2.1, 0.4, 3.1, back - 0.62, back + 0.02), BELLOWS, ids.TRAIN)
            solids.append(Solid(list(bellows.values()), np.array([0, 1.6, back - 0.3])))
    arm = -total / 2 + length * rng.uniform(0.4, 0.7)
    lines = [((arm, 3.45), (arm + 0.9, 4.2)), ((arm + 0.9, 4.2), (arm + 0.1, 5.0))]
    wires = [side(bar(a, b, 0.09)) for a, b in lines]
    wires.append(np.array([(x, y, arm + 0.1) for x, y in rectangle(-0.8, 5.0, 0.8, 5.1)]))
    for x in (-0.5, 0.5):
        wires.append(np.array([(x, 3.4, arm), (x + 0.1, 3.4, arm), (x * 0.6 + 0.1, 5.0, arm), (x * 0.6, 5.0, arm)]))
    pantograph = [Face(points, WIRE, ids.TRAIN) for points in wires]
    solids.append(Solid(pantograph, np.array([0, -40.0, arm]), closed=False))
    return Thing(solids, yaw=0.0, shadow=(1.2, total / 2, 0, 3.4))


def _tram_car(paint: np.ndarray, roof: np.ndarray, bounds: Bounds, tail: bool, head: bool, snow: bool) -> Solid:
    faces = box(bounds, paint, ids.TRAIN, fade=(1.1, 0.9))
    if head:  # the windshield leans back
        for name, corners in (("front", (2, 3)), ("left", (3,)), ("right", (2,)), ("top", (2, 3))):
            faces[name].points[list(corners), 2] -= 0.7
    if tail:
        for name, corners in (("rear", (2, 3)), ("left", (2,)), ("right", (3,)), ("top", (0, 1))):
            faces[name].points[list(corners), 2] += 0.7
    faces["top"].color = SNOW if snow else roof * 0.8
    for face in (faces["left"], faces["right"]):
        face.add(0, 0.34, 1, 1, roof)
        face.add(0, 0.0, 1, 0.1, SKIRT)
        face.add(0, 0.24, 1, 0.28, roof)
        face.add(0.03, 0.42, 0.97, 0.84, (26, 28, 31))
        _glaze_row(face, 5, 0.06)
        for a in (0.3, 0.66):
            face.add(a, 0.08, a + 0.1, 0.84, roof * 0.95)
            face.glaze(a + 0.012, 0.2, a + 0.088, 0.8, 1.2)
    for face, lamp, open_end in ((faces["front"], HEADLAMP, head), (faces["rear"], TAIL, tail)):
        if not open_end:
            face.color = BELLOWS
            continue
        face.add(0, 0.34, 1, 1, roof)
        face.add(0, 0.24, 1, 0.28, roof)
        face.glaze(0.06, 0.42, 0.94, 0.84, 1.1)
        face.add(0.2, 0.87, 0.8, 0.97, (18, 18, 20))
        face.add(0.3, 0.89, 0.62, 0.95, (240, 170, 44), glow=True)
        _lamps(face, 0.2, 0.29, lamp, (0.08, 0.24), (0.76, 0.92))
        face.add(0.0, 0.0, 1.0, 0.1, SKIRT)
    return _solid_of(faces, 1.7, bounds)


def trailer(rng: np.random.Generator) -> Thing:
    """Build a parked trailer or caravan: void in the evaluation."""
    paint = np.array([220, 218, 210]) * rng.uniform(0.8, 1.05)
    faces = box((2.1, 0.5, 2.4, -2.2, 2.0), paint, ids.TRAILER, fade=(1.1, 0.9))
    for name, sign in (("rear", 0), ("left", -1), ("right", 1)):
        faces[name].glaze(0.3, 0.5, 0.7, 0.8)
        if sign:
            tire = side(oval(0.0, 0.3, 0.3, 0.3), sign * 1.06)
            faces[name].details.append(Face(tire, (26, 26, 27), ids.TRAILER))
    return Thing([Solid(list(faces.values()), np.array([0, 1.3, 0]))], yaw=0.0, shadow=(1.05, 2.1, 0, 2.4))
