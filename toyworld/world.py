"""Everything that stands still: houses, gardens, parks, barriers, trees, lamps, signals and signs along a street."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from toyworld import furniture as fit
from toyworld.buildings import barrier, block
from toyworld.canvas import Light
from toyworld.ground import Surface, surface
from toyworld.model import Thing
from toyworld.sky import Sky, weather_light
from toyworld.street import Street, plan

Front = tuple[float, float, float]  # u and both ends s of the street side of a house
Size = tuple[float, float]  # depth and height
SIDES = (-1, 1)
FAR = 150.0
# Chance of a lot being: house, wall, fence, park.
LOTS = {
    "dense": (0.84, 0.06, 0.05, 0.05),
    "boulevard": (0.78, 0.06, 0.06, 0.10),
    "suburb": (0.78, 0.08, 0.08, 0.06),
    "works": (0.42, 0.24, 0.24, 0.10),
    "park": (0.26, 0.17, 0.2, 0.37),
}


@dataclass
class World:
    """A street with all that is in it; `shadow` is the strength of cast shadows."""

    street: Street
    look: Surface
    sky: Sky
    light: Light
    shadow: float
    things: list[Thing] = field(default_factory=list)
    crowns: list[np.ndarray] = field(default_factory=list)

    def put(self, thing: Thing, u: float, s: float, yaw: float | None = None) -> Thing:
        """Place a thing on the plan; `yaw` is relative to the street's heading, None leaves a cut-out."""
        x, z = self.street.world(u, s)
        self.things.append(thing.at(x, z, None if yaw is None else yaw + self.street.heading(s)))
        return thing

    def enclose(self, rng: np.random.Generator, kind: str, u: float, s0: float, s1: float) -> None:
        """Put a "wall", "fence" or "hedge" along the street, in pieces of four meters or so."""
        points = [self.street.world(u, s) for s in np.linspace(s0, s1, max(2, int((s1 - s0) / 4) + 1))]
        self.things += barrier(rng, points, kind, snow=self.light.snow)

    def house(self, rng: np.random.Generator, front: Front, size: Size, way: int, **looks: bool) -> None:
        """Put a house on the side `way` of the street; `looks` as `block` takes them."""
        u, s0, s1 = front
        start, end = self.street.world(u, s0), self.street.world(u, s1)
        self.things.append(block(rng, start, end, *size, way, snow=self.light.snow, **looks))


def build(rng: np.random.Generator, *, tram: bool, barriers: tuple[str, ...], condition: str) -> World:
    """Build a street without traffic. `barriers`: "wall" and "fence" that have to stand near."""
    sky, light, shadow = weather_light(rng, condition)
    street = plan(rng, tram)
    world = World(street, surface(rng, street), sky, light, shadow)
    side = float(light.sun[0])
    world.crowns = fit.crowns(rng, (0.6 * side, 0.8), light.snow)
    first = int(rng.choice(SIDES))
    for way in (first, -first):  # one kind of barrier a side
        _row(rng, world, way, barriers[:1] if way == first else barriers[1:])
        _curb(rng, world, way)
    if street.median is not None and not street.tracks:
        _median(rng, world)
    _signals(rng, world)
    _horizon(rng, world)
    return world


def _row(rng: np.random.Generator, world: World, way: int, barriers: tuple[str, ...]) -> None:
    """Build one side of the street, lot after lot, leaving side streets open."""
    street, s, fresh = world.street, -12.0, False
    tall = rng.uniform(9, 19) if street.style != "suburb" else rng.uniform(6, 9)
    while s < FAR:
        length = rng.uniform(9, 20) if street.style != "suburb" else rng.uniform(8, 14)
        hit = [(a - 2.5, b + 2.5) for a, b in street.crossings if s + length > a - 2.5 and s < b + 2.5]
        if hit and hit[0][0] - s > 5:
            length = hit[0][0] - s
        elif hit:
            s, fresh = hit[0][1], True
            continue
        kind = int(rng.choice(4, p=LOTS[street.style]))
        if barriers and s + length > 12 and s < 32:
            kind = {"wall": 1, "fence": 2}[barriers[0]]
        if kind == 0:
            _house(rng, world, way, s, s + length, tall, fresh)
        else:
            _open_lot(rng, world, way, s, s + length, (None, "wall", "fence", None)[kind])
        s, fresh = s + length, kind != 0


def _house(rng: np.random.Generator, world: World, way: int, s0: float, s1: float, tall: float, fresh: bool) -> None:
    street = world.street
    suburb, works = street.style == "suburb", street.style == "works"
    back = rng.uniform(3, 7) if suburb else (rng.uniform(0, 1.5) if works else 0.0)
    height = tall * rng.uniform(0.75, 1.25) if not works else rng.uniform(5, 12)
    depth = rng.uniform(8, 13)
    u = street.behind(way, back)
    gap = rng.uniform(1.5, 3.0) if suburb else 0.0
    world.house(rng, (u, s0 + gap, s1 - gap), (depth, height), way, works=works, blind=not fresh)
    if fresh and rng.random() < 0.8:
        for i in (1, 2, 3):  # the far side of a side street
            front = (u + way * (depth + 0.3) * i, s0 + gap, s0 + gap + 9)
            world.house(rng, front, (depth, height * rng.uniform(0.7, 1.2)), way, works=works, blind=False)
    if suburb:
        _front_garden(rng, world, way, s0, s1, back)


def _front_garden(rng: np.random.Generator, world: World, way: int, s0: float, s1: float, back: float) -> None:
    street = world.street
    kind = str(rng.choice(["hedge", "fence", "wall", "none"], p=[0.35, 0.3, 0.15, 0.2]))
    if kind != "none":
        world.enclose(rng, kind, street.behind(way, 0.1), s0 + 0.3, s1 - 0.3)
    for _ in range(int(rng.integers(0, 4))):
        u = street.behind(way, rng.uniform(0.8, max(1.0, back - 0.5)))
        world.put(fit.bush(rng, world.crowns), u, rng.uniform(s0, s1))
    if rng.random() < 0.4:
        world.put(fit.tree(rng, world.crowns, 0.7), street.behind(way, back * 0.6), rng.uniform(s0, s1))


def _open_lot(rng: np.random.Generator, world: World, way: int, s0: float, s1: float, kind: str | None) -> None:
    """Put a park, a yard or a building site, perhaps behind a wall or a fence."""
    street = world.street
    if kind is not None or rng.random() < 0.3:
        world.enclose(rng, kind or "hedge", street.behind(way, 0.1), s0, s1)
    deep = kind is not None and rng.random() < 0.5
    if deep:
        size, u = (10, rng.uniform(5, 14)), street.behind(way, rng.uniform(8, 16))
        world.house(rng, (u, s0, s1), size, way, works=True, blind=False)
    for _ in range(int(rng.integers(1, 4 if deep else 7))):
        u = street.behind(way, rng.uniform(1.5, 7 if deep else 16))
        s = rng.uniform(s0, s1)
        world.put(fit.tree(rng, world.crowns) if rng.random() < 0.7 else fit.bush(rng, world.crowns), u, s)


def _curb(rng: np.random.Generator, world: World, way: int) -> None:
    """Put trees, lamps, posts, signs and clutter between the curb and the walk."""
    street = world.street
    walk = street.walk[way]
    edge = walk[0] if way > 0 else -walk[1]  # distance from the middle
    width = walk[1] - walk[0]
    strip = street.strip[way]
    if strip is not None and rng.random() < 0.75 or width > 3.2 and rng.random() < 0.4:
        u = (strip[0] + strip[1]) / 2 if strip is not None else way * (edge + 0.9)
        size, step = rng.uniform(0.65, 1.1), rng.uniform(7, 13)
        for s in np.arange(rng.uniform(2, 12), 90, step):
            if not street.crossed(s, s, 3) and rng.random() < 0.85:
                world.put(fit.tree(rng, world.crowns, size), u, s + rng.uniform(-0.6, 0.6))
    for s in np.arange(rng.uniform(6, 26), 75, rng.uniform(18, 30)):
        if not street.crossed(s, s, 1):
            world.put(fit.lamp_post(rng, -way), way * (edge + 0.35), s)
    counts = (rng.integers(0, 4), rng.integers(1, 4), rng.integers(0, 4))
    for make, count in zip((fit.post, fit.sign, fit.clutter), counts, strict=True):
        for _ in range(int(count)):
            s = (9 if make is fit.sign else 6.5) + rng.gamma(2.0, 7.0)
            if not street.crossed(s, s, 1):
                heading = 0.0 if make is fit.clutter else None
                world.put(make(rng), way * (edge + rng.uniform(0.3, 0.6)), s, heading)
    if rng.random() < 0.15:
        s = rng.uniform(6, 20)
        kind = int(rng.integers(2**31))
        for i in range(int(rng.integers(3, 9))):
            world.put(fit.bollard(np.random.default_rng(kind)), way * (edge + 0.3), s + 1.6 * i)


def _median(rng: np.random.Generator, world: World) -> None:
    """Put trees, lamps or a fence in the middle of a boulevard."""
    street = world.street
    assert street.median is not None
    u = (street.median[0] + street.median[1]) / 2
    kind = rng.random()
    for s in np.arange(rng.uniform(6, 14), 120, rng.uniform(8, 14)):
        if street.crossed(s, s, 3):
            continue
        if kind < 0.6:
            world.put(fit.tree(rng, world.crowns, 0.85), u, s)
        elif kind < 0.8:
            world.put(fit.lamp_post(rng, 1), u, s)
    if kind > 0.7:
        for s in np.arange(5.0, 100, 8):
            if not street.crossed(s, s + 8, 3):
                world.enclose(rng, "fence", u, s, s + 8)


def _signals(rng: np.random.Generator, world: World) -> None:
    """Put traffic lights at side streets and some zebra crossings, with signs."""
    street = world.street
    left, right = street.road
    stops = [(a - 1.2, b + 1.0) for a, b in street.crossings if a < 60 and rng.random() < 0.8]
    stops += [(s - 0.6, s + 4.0) for s in street.zebras if rng.random() < 0.3]
    for near, far in stops:
        for u, s in ((right + 0.5, near), (left - 0.5, near), (right + 0.5, far), (left - 0.5, far)):
            if s > 3 and rng.random() < 0.75:
                towards = -1.0 if u > 0 else 1.0
                world.put(fit.traffic_light(rng, towards, rng.uniform(2.5, 4.5)), u, s)
        if rng.random() < 0.5:
            world.put(fit.sign(rng), right + 0.6, near - rng.uniform(0.8, 3))


def _horizon(rng: np.random.Generator, world: World) -> None:
    """Put what closes the view: houses or trees across the far end, treetops behind gaps."""
    street = world.street
    for u in np.arange(-70, 71, 9.0):
        x, z = street.world(0.0, FAR + 25)
        if rng.random() < 0.5:
            tree = fit.tree(rng, world.crowns, rng.uniform(1.0, 1.7))
            world.things.append(tree.at(x + u, z + rng.uniform(-6, 6)))
        elif rng.random() < 0.7:
            height = rng.uniform(6, 20)
            end = (x + u, z + 8)
            world.things.append(block(rng, (x + u, z), end, 10, height, 1 if u > 0 else -1, blind=False))
    if street.style != "dense":
        for s in np.arange(20, FAR, 14):
            for way in SIDES:
                if not street.crossed(s, s, 4):
                    u = street.behind(way, rng.uniform(16, 26))
                    world.put(fit.tree(rng, world.crowns, 1.3), u, s)
