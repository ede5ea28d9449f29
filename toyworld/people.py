"""People as cut-outs, bicycles and motorcycles with and without riders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toyworld import ids
from toyworld.colors import Color, tint
from toyworld.model import Face, Outlines, Thing, cut_out, plates
from toyworld.shapes import Points, bar, oval, ring, side

SKIN = ((224, 178, 148), (198, 148, 116), (150, 104, 76), (104, 70, 52), (234, 196, 168))
CLOTHES = (
    (34, 36, 42), (58, 62, 84), (120, 122, 126), (162, 40, 40), (190, 182, 168), (64, 86, 60), (200, 150, 60),
    (228, 226, 222), (96, 72, 56), (52, 84, 130), (150, 90, 120), (40, 60, 50), (206, 110, 46),
)  # fmt: skip
TROUSERS = ((38, 44, 66), (30, 30, 34), (92, 84, 72), (70, 76, 92), (120, 112, 98), (56, 52, 50))
HAIR = ((36, 28, 24), (74, 50, 34), (150, 112, 64), (110, 106, 104), (196, 166, 110))
MOTORCYCLES = ((160, 30, 30), (34, 36, 40), (40, 70, 130), (200, 200, 202), (206, 120, 40), (60, 90, 60))
# Ends of a bicycle's tubes.
TUBES = (
    ((-0.52, 0.35), (0.0, 0.32)), ((-0.52, 0.35), (-0.18, 0.85)), ((0, 0.32), (-0.2, 0.95)), ((0, 0.32), (0.40, 0.82)),
    ((-0.17, 0.82), (0.38, 0.86)), ((0.52, 0.35), (0.36, 1.0)),
)  # fmt: skip
FADE = (1.1, 0.9)
Parts = list[tuple[Points, Color | None]]


def _pick(rng: np.random.Generator, colors: Sequence[Color]) -> np.ndarray:
    return tint(rng, colors, 0.85, 1.15)


def person(rng: np.random.Generator) -> Thing:
    """Draw a pedestrian, adult or child, standing or walking, with or without coat, skirt, bag."""
    size = rng.uniform(0.92, 1.1) if rng.random() < 0.88 else rng.uniform(0.58, 0.78)
    pose = rng.random()
    stride, half = (rng.uniform(0.16, 0.34), 0.15) if pose < 0.55 else (rng.uniform(0.05, 0.1), 0.22)
    way = float(rng.choice([-1.0, 1.0]))
    parts = [([(x * size, y * size) for x, y in points], color) for points, color in _body(rng, stride, half, way)]
    return cut_out(plates(parts, ids.PERSON, fade=FADE), (0.2, 0.15, 0.0, 1.7 * size))


def _body(rng: np.random.Generator, stride: float, half: float, way: float) -> Parts:
    """Draw the polygons of a figure 1.75 m tall from back to front."""
    skin, coat, legs, hair = _pick(rng, SKIN), _pick(rng, CLOTHES), _pick(rng, TROUSERS), _pick(rng, HAIR)
    hem = float(rng.choice([0.88, 0.62, 0.5], p=[0.65, 0.22, 0.13]))
    swing = stride * rng.uniform(0.6, 1.1)
    hand = (way * swing + half * 0.9, 0.85)
    parts: Parts = [(bar((half * 0.75, 1.38), hand, 0.13, 0.09), coat * 0.75)]
    for sign, tone in ((1, 0.78), (-1, 1.0)):
        foot = (sign * way * stride, 0.05 + 0.06 * (sign > 0) * (stride > 0.15))
        knee = (sign * way * stride * 0.42 + 0.03 * way, 0.48)
        parts.append((bar((sign * 0.06, 0.92), knee, 0.19, 0.14), legs * tone))
        parts.append((bar(knee, foot, 0.14, 0.10), legs * tone))
        shoe = (foot[0] + 0.05 * way, foot[1] - 0.01)
        parts.append((oval(*shoe, 0.13, 0.05, 8), (30, 28, 27) if tone < 1 else (52, 48, 46)))
    torso: Points = [
        (-half, 1.40), (-half * 0.5, 1.48), (half * 0.5, 1.48), (half, 1.40), (half * 0.85, 1.05), (half + 0.02, hem),
        (-half - 0.02, hem), (-half * 0.85, 1.05),
    ]  # fmt: skip
    dark: Points = [(half * 0.2, 1.46), *torso[3:6], (half * 0.35, hem)]
    parts += [(torso, coat), (dark, coat * 0.78)]
    if rng.random() < 0.3:
        parts.append((_bag(half, way), _pick(rng, CLOTHES)))
    parts.append((bar((-half * 0.85, 1.38), (-way * swing - half, 0.86), 0.13, 0.09), coat * 1.12))
    parts.append((oval(-way * swing - half, 0.82, 0.05, 0.06, 8), skin))
    parts.append((bar((0, 1.45), (0, 1.55), 0.1), skin * 0.85))
    parts.append((oval(0.0, 1.63, 0.098, 0.125, 12), skin))
    if rng.random() < 0.2:
        parts.append((oval(0, 1.70, 0.12, 0.075, 10), coat * 0.7))  # a cap
    else:
        back = -0.045 * way if stride > 0.15 else 0.0
        parts.append((oval(back, 1.69, 0.105, 0.085, 10), hair))
        if rng.random() < 0.4:
            parts.append((oval(back * 1.7, 1.58, 0.075, 0.13, 10), hair))
    return parts


def _bag(half: float, way: float) -> Points:
    x = -way * (half + 0.04)
    return [(x - 0.11, 1.40), (x + 0.11, 1.40), (x + 0.12, 1.0), (x - 0.12, 1.0)]


def _from_aside(parts: Outlines, label: int, rider: Outlines) -> list[Face]:
    """Show a two-wheeler and who sits on it, seen from the side."""
    return plates(parts, label, side, FADE) + plates(rider, ids.RIDER, side, FADE)


def _spoke(z: float, angle: float) -> Points:
    dz, dy = 0.26 * np.cos(angle), 0.26 * np.sin(angle)
    return bar((z - dz, 0.35 - dy), (z + dz, 0.35 + dy), 0.018)


def bicycle(rng: np.random.Generator, *, ridden: bool = False, edge_on: bool = False) -> Thing:
    """Build a bicycle; `ridden` puts a cyclist on it, `edge_on` shows it from behind or in front (a cut-out)."""
    if edge_on:
        return _edge_on(rng, ids.BICYCLE, ridden, wheel=0.06, bars=0.3)
    frame, rubber = _pick(rng, CLOTHES), (30, 30, 31)
    parts: Parts = []
    for z in (-0.52, 0.52):
        parts.append((oval(z, 0.35, 0.35, 0.35, 18), None))
        parts.append((ring(z, 0.35, 0.355, 0.285), rubber))
        parts.append((ring(z, 0.35, 0.285, 0.262), (150, 150, 152)))
        parts += [(_spoke(z, angle), (140, 140, 142)) for angle in (0.4, 1.45, 2.5)]
    parts.append(([(-0.52, 0.35), (0.0, 0.33), (0.42, 0.85), (-0.18, 0.85)], None))
    parts += [(bar(p, q, 0.055), frame) for p, q in TUBES]
    parts.append((bar((-0.32, 0.98), (-0.08, 0.98), 0.07), rubber))
    parts.append((bar((0.34, 1.02), (0.5, 1.06), 0.05), rubber))
    parts.append((ring(0.0, 0.32, 0.11, 0.06, 10), (70, 70, 72)))
    rider = _rider(rng, lean=0.16, seat=(-0.2, 1.0), pedal=(0.06, 0.2), grip=(0.42, 1.06)) if ridden else []
    return cut_out(_from_aside(parts, ids.BICYCLE, rider), (0.12, 0.8, 0.0, 1.75 if ridden else 1.0), yaw=0.0)


def motorcycle(rng: np.random.Generator, *, ridden: bool = False, edge_on: bool = False) -> Thing:
    """Build a motorcycle or scooter, see `bicycle`."""
    if edge_on:
        return _edge_on(rng, ids.MOTORCYCLE, ridden, wheel=0.16, bars=0.36)
    paint, metal, rubber = _pick(rng, MOTORCYCLES), np.array([120, 122, 126]), np.array([26, 26, 27])
    parts: Parts = []
    for z in (-0.68, 0.72):
        parts.append((oval(z, 0.32, 0.33, 0.33, 18), rubber))
        parts.append((oval(z, 0.32, 0.2, 0.2, 14), metal))
        parts.append((oval(z, 0.32, 0.13, 0.13, 10), rubber * 1.6))
    parts += [
        ([(-0.45, 0.3), (0.35, 0.28), (0.42, 0.62), (-0.35, 0.66)], (64, 65, 68)),
        (oval(0.0, 0.46, 0.2, 0.17, 10), metal * 1.2),
        (bar((-0.95, 0.36), (0.1, 0.3), 0.09), metal * 1.35),
        (bar((0.72, 0.32), (0.42, 0.98), 0.09), metal),
        ([(-0.98, 0.88), (-0.2, 0.74), (-0.1, 0.66), (-0.62, 0.58), (-0.95, 0.74)], paint * 0.9),
        ([(-0.25, 0.72), (0.0, 0.98), (0.34, 0.98), (0.46, 0.78), (0.2, 0.64)], paint),
        ([(-0.86, 0.90), (-0.2, 0.80), (-0.12, 0.74), (-0.8, 0.82)], rubber),
        ([(0.38, 0.66), (0.42, 1.16), (0.58, 1.05), (0.66, 0.72)], paint * 1.1),
        (oval(0.6, 0.92, 0.09, 0.1, 8), (226, 228, 214)),
        (bar((0.28, 1.06), (0.46, 1.12), 0.06), rubber),
        (oval(-0.97, 0.82, 0.05, 0.05, 6), (180, 28, 24)),
    ]
    rider: Parts = []
    if ridden:
        rider = _rider(rng, lean=0.12, seat=(-0.32, 0.84), pedal=(-0.05, 0.34), grip=(0.32, 1.08), helmet=1.0)
    return cut_out(_from_aside(parts, ids.MOTORCYCLE, rider), (0.2, 1.0, 0.0, 1.6 if ridden else 1.1), yaw=0.0)


def _rider(
    rng: np.random.Generator,
    lean: float,
    seat: tuple[float, float],
    pedal: tuple[float, float],
    grip: tuple[float, float],
    helmet: float = 0.6,
) -> Parts:
    """Draw a seated figure in the (z, y) plane."""
    coat, legs, skin = _pick(rng, CLOTHES), _pick(rng, TROUSERS), _pick(rng, SKIN)
    hip = (seat[0] + 0.02, seat[1] + 0.06)
    shoulder = (hip[0] + lean + 0.05, hip[1] + 0.5)
    parts: Parts = []
    for drop, tone in ((0.22, 0.7), (0.0, 1.0)):
        foot = (pedal[0] + (0.1 if drop else -0.02), pedal[1] + drop)
        knee = ((hip[0] + foot[0]) / 2 + 0.26, (hip[1] + foot[1]) / 2 + 0.08 + drop / 3)
        parts += [(bar(hip, knee, 0.2, 0.15), legs * tone), (bar(knee, foot, 0.15, 0.1), legs * tone)]
        parts.append((oval(foot[0] + 0.06, foot[1] - 0.02, 0.13, 0.05, 8), (34, 32, 32)))
    parts.append((bar((hip[0] - 0.03, hip[1] - 0.06), shoulder, 0.3, 0.30), coat))
    parts.append((oval(*shoulder, 0.15, 0.12, 10), coat))
    parts.append((bar((hip[0] - 0.11, hip[1]), (shoulder[0] - 0.1, shoulder[1]), 0.1), coat * 0.75))
    elbow = ((shoulder[0] + grip[0]) / 2 - 0.02, (shoulder[1] + grip[1]) / 2 - 0.09)
    parts += [(bar(shoulder, elbow, 0.12), coat * 1.1), (bar(elbow, grip, 0.1, 0.08), coat * 1.1)]
    head = (shoulder[0] + 0.08, shoulder[1] + 0.25)
    parts += [(bar(shoulder, head, 0.11), skin * 0.85), (oval(*head, 0.10, 0.125, 12), skin)]
    cover = _pick(rng, CLOTHES) if rng.random() < helmet else _pick(rng, HAIR)
    parts.append((oval(head[0] - 0.015, head[1] + 0.05, 0.125, 0.105, 12), cover))
    return parts


def _edge_on(rng: np.random.Generator, label: int, ridden: bool, wheel: float, bars: float) -> Thing:
    """Draw a two-wheeler seen along its axis: upright wheel, bars, lamp, the rider above."""
    paint, dark = _pick(rng, CLOTHES), np.array([30, 30, 31])
    fat = label == ids.MOTORCYCLE
    parts: Parts = [(oval(0, 0.35, wheel, 0.35, 12), dark)]
    if fat:
        parts += [(oval(0, 0.72, 0.24, 0.26, 10), paint), (oval(0, 0.62, 0.12, 0.10, 8), dark * 1.6)]
    else:
        parts.append((bar((0, 0.4), (0, 1.0), 0.06), paint))
    parts.append((bar((-bars, 1.03), (bars, 1.03), 0.06), dark))
    lamp = (226, 226, 210) if rng.random() < 0.5 else (190, 26, 24)
    rider = _rider_edge_on(rng, 0.84 if fat else 1.0, 0.34 if fat else 0.28) if ridden else []
    before: Parts = [(oval(0, 0.84, 0.085, 0.08, 8) if fat else oval(0, 0.78, 0.05, 0.05, 8), lamp)]
    if fat:
        before += [(oval(x, 1.18, 0.07, 0.05, 8), dark) for x in (-0.38, 0.38)]
    layers = ((parts, label), (rider, ids.RIDER), (before, label))
    faces = [face for some, of in layers for face in plates(some, of, fade=FADE)]
    return cut_out(faces, (0.3, 0.7, 0.0, 1.7 if ridden else 1.0))


def _rider_edge_on(rng: np.random.Generator, seat: float, foot: float) -> Parts:
    coat, legs, skin = _pick(rng, CLOTHES), _pick(rng, TROUSERS), _pick(rng, SKIN)
    low = float(rng.choice([-1.0, 1.0]))
    parts: Parts = []
    for sign in (-1.0, 1.0):
        y = foot + 0.12 * (sign == low)
        knee = (sign * 0.2, (seat + y) / 2 + 0.1)
        parts.append((bar((sign * 0.1, seat + 0.04), knee, 0.19, 0.15), legs))
        parts.append((bar(knee, (sign * 0.15, y), 0.15, 0.1), legs * 0.9))
        parts.append((oval(sign * 0.15, y - 0.02, 0.06, 0.05, 8), (32, 30, 30)))
        parts.append((bar((sign * 0.2, seat + 0.5), (sign * 0.3, seat + 0.2), 0.12, 0.09), coat * 0.85))
    top = seat + 0.58
    torso = [(-0.22, top - 0.1), (-0.1, top), (0.1, top), (0.22, top - 0.1), (0.18, seat), (-0.18, seat)]
    parts += [(torso, coat), ([(0.05, top), (0.22, top - 0.1), (0.18, seat), (0.06, seat)], coat * 0.8)]
    parts.append((oval(0, top + 0.14, 0.1, 0.125, 12), skin))
    parts.append((oval(0, top + 0.18, 0.12, 0.11, 12), _pick(rng, CLOTHES)))
    return parts
