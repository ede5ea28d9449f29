"""The plan of a street: what lies where across it, in lateral meters u (right positive) and meters s along it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

ASPHALT, PAVING, GRASS, BAYS, BED, PLAZA, COBBLE = range(7)  # kinds of ground


@dataclass
class Street:
    """`edges` (ascending u) separate `kinds` (one more than edges) of ground.

    `bend`: curvature in 1/m; `road`: u of both curbs; `lanes`: (u, +1 away from the camera / -1 towards it);
    `front`: u of the building lines; `walk`, `strip`, `bays`: per side -1 / +1 an interval of u or None;
    `crossings`: (s0, s1) of side streets; `zebras`: s where a zebra crossing starts; `tracks`: u of tram tracks.
    """

    bend: float
    edges: list[float]
    kinds: list[int]
    road: tuple[float, float]
    lanes: list[tuple[float, int]]
    front: dict[int, float]
    walk: dict[int, tuple[float, float]]
    strip: dict[int, tuple[float, float] | None]
    bays: dict[int, tuple[float, float] | None]
    lines: list[tuple[float, str]]
    camera_u: float
    median: tuple[float, float] | None = None
    crossings: list[tuple[float, float]] = field(default_factory=list)
    zebras: list[float] = field(default_factory=list)
    tracks: list[float] = field(default_factory=list)
    style: str = "dense"

    def world(self, u: float, s: float) -> tuple[float, float]:
        """Give world (X, Z) of a point of the plan."""
        return u + 0.5 * self.bend * s * s, s

    def behind(self, way: int, distance: float) -> float:
        """Give the u that lies so far behind the building line of a side."""
        return self.front[way] + way * distance

    def heading(self, s: float) -> float:
        """Give the yaw of the street at s."""
        return float(np.arctan(self.bend * s))

    def crossed(self, s0: float, s1: float, margin: float = 0.0) -> bool:
        """Say whether the interval touches a side street."""
        return any(s1 > a - margin and s0 < b + margin for a, b in self.crossings)


STYLES = ("dense", "suburb", "boulevard", "works", "park")


def plan(rng: np.random.Generator, tram: bool) -> Street:
    """Draw a street. `tram`: with tracks for a train."""
    style = str(rng.choice(STYLES, p=(0.42, 0.2, 0.16, 0.12, 0.1)))
    lane = rng.uniform(2.9, 3.5)
    ahead = int(rng.choice([1, 2], p=[0.72, 0.28])) if style != "boulevard" else 2
    oncoming = int(rng.choice([0, 1, 2], p=[0.16, 0.68, 0.16])) if style != "boulevard" else 2
    middle, bed = _middle(rng, style, tram)
    lanes, lines, u = [], [], middle / 2
    for way, count in ((1, ahead), (-1, oncoming)):
        for i in range(count):
            lanes.append((way * (u + lane * (i + 0.5)), way))
            lines.append((way * (u + lane * i), "dash" if i else ("edge" if middle else "center")))
    left, right = -u - lane * oncoming, u + lane * ahead
    street = Street(
        bend=_bend(rng), edges=[], kinds=[], road=(left, right), lanes=lanes, front={}, walk={}, strip={}, bays={},
        lines=lines if rng.random() < 0.85 else [], camera_u=lanes[int(rng.integers(ahead))][0], style=style,
    )  # fmt: skip
    _across(rng, street, left, right, middle if oncoming else 0.0, bed)
    if tram:
        apart = 1.6 if oncoming else 0.0
        street.tracks = [-apart, apart] if oncoming else [lanes[0][0]]
    _along(rng, street)
    return street


def _bend(rng: np.random.Generator) -> float:
    return float(rng.choice([0.0, 1.0], p=[0.5, 0.5]) * rng.normal(0, 0.0016))


def _middle(rng: np.random.Generator, style: str, tram: bool) -> tuple[float, int]:
    """Draw the width and kind of what lies between the carriageways (0: nothing)."""
    if tram:
        bed = int(rng.choice([GRASS, BED, ASPHALT, COBBLE], p=[0.25, 0.2, 0.4, 0.15]))
        return 6.4, bed
    if style == "boulevard" or rng.random() < 0.06:
        return float(rng.uniform(2.0, 7.0)), int(rng.choice([GRASS, PAVING], p=[0.75, 0.25]))
    return 0.0, ASPHALT


def _across(rng: np.random.Generator, street: Street, left: float, right: float, middle: float, bed: int) -> None:
    """Fill edges and kinds from the carriageway outwards on both sides."""
    sides = {way: _one_side(rng, street, way, curb) for way, curb in ((-1, -left), (1, right))}
    street.road = (-sides[-1][0][0], sides[1][0][0])
    edges, kinds = [], [sides[-1][-1][1]]
    for (u, _), (_, before) in zip(reversed(sides[-1]), [*reversed(sides[-1][:-1]), (0.0, ASPHALT)], strict=True):
        edges.append(-u)
        kinds.append(before)
    if middle and bed != ASPHALT:
        street.median = (-middle / 2, middle / 2)
        edges += street.median
        kinds += [bed, ASPHALT]
    for u, kind in sides[1]:
        edges.append(u)
        kinds.append(kind)
    street.edges, street.kinds = edges, kinds


def _one_side(rng: np.random.Generator, street: Street, way: int, u: float) -> list[tuple[float, int]]:
    """Give [(distance from the middle, kind beyond it)] outwards; also notes bays, strip, walk and building line."""
    stops: list[tuple[float, int]] = []
    street.bays[way] = street.strip[way] = None
    if rng.random() < 0.5:
        wide = 2.3
        street.bays[way] = _interval(way, u, u + wide)
        if rng.random() < 0.4:
            stops.append((u, int(rng.choice([BAYS, COBBLE]))))
        u += wide
    if rng.random() < {"suburb": 0.5, "boulevard": 0.5, "park": 0.6}.get(street.style, 0.15):
        wide = rng.uniform(1.0, 2.6)
        street.strip[way] = _interval(way, u, u + wide)
        stops.append((u, GRASS))
        u += wide
    wide = rng.uniform(2.6, 6.0) if street.style in ("dense", "boulevard") else rng.uniform(1.8, 3.6)
    stops.append((u, PAVING if rng.random() < 0.88 else COBBLE))
    street.walk[way] = _interval(way, u, u + wide)
    u += wide
    beyond = {"dense": PAVING, "boulevard": PAVING, "works": PLAZA}.get(street.style, GRASS)
    stops.append((u, beyond if rng.random() < 0.8 else GRASS))
    street.front[way] = way * u
    return stops


def _interval(way: int, a: float, b: float) -> tuple[float, float]:
    return (a, b) if way > 0 else (-b, -a)


def _along(rng: np.random.Generator, street: Street) -> None:
    """Draw side streets and zebra crossings."""
    s = rng.uniform(9, 30) if rng.random() < 0.35 else rng.uniform(30, 70)
    while s < 150:
        wide = rng.uniform(6, 12)
        street.crossings.append((s, s + wide))
        if rng.random() < 0.5:
            street.zebras.append(s - 5.5)
        if rng.random() < 0.35:
            street.zebras.append(s + wide + 1.5)
        s += wide + rng.uniform(40, 80)
    if rng.random() < 0.2:
        street.zebras.append(float(rng.uniform(7, 25)))
