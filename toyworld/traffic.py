"""Everything that moves or is parked: vehicles, pedestrians, riders."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from toyworld import ids
from toyworld.large_vehicles import bus, trailer, tram, truck
from toyworld.model import Thing
from toyworld.people import bicycle, motorcycle, person
from toyworld.vehicles import car
from toyworld.world import SIDES, World

PACE = 0.45  # meters a frame, 17 frames a second


class Traffic:
    """Fills a world. Keeps track of what part of each lane is taken."""

    def __init__(self, rng: np.random.Generator, world: World) -> None:
        self.rng, self.world, self.street = rng, world, world.street
        self.snow = world.light.snow
        self.taken: list[tuple[float, float, float]] = []  # u, s0, s1

    def fill(self, wanted: Collection[int]) -> None:
        """Put the `wanted` label ids near the camera first, then the usual traffic."""
        makers = {
            ids.TRAIN: self.tram, ids.BUS: lambda: self.large(bus), ids.TRUCK: lambda: self.large(truck),
            ids.MOTORCYCLE: lambda: self.two_wheeler(motorcycle), ids.RIDER: lambda: self.rider(),
            ids.BICYCLE: lambda: self.two_wheeler(bicycle), ids.PERSON: lambda: self.walkers(4, 10.0),
        }  # fmt: skip
        for label, make in makers.items():
            if label in wanted:
                make()
        self.lanes()
        self.parked()
        self.walkers(int(self.rng.integers(1, 14)), 15.0)
        self.usual()

    def free(self, u: float, s0: float, s1: float, side: float = 1.9) -> bool:
        """Say whether nothing stands in that part of a lane."""
        return not any(abs(u - v) < side and s1 > a and s0 < b for v, a, b in self.taken)

    def keep_clear(self, u: float, s: float) -> None:
        """Leave room for the view of a place: no car in the bays or the own lane before it."""
        self.taken.append((self.street.camera_u, 0.0, s + 2))
        for way in SIDES:
            bays = self.street.bays[way]
            if bays is not None and bays[0] * u > 0:
                self.taken.append(((bays[0] + bays[1]) / 2, 0.4 * s, s + 3))

    def drive(self, vehicle: Thing, u: float, s: float, way: int, speed: float) -> None:
        """Put a vehicle into a lane, moving along it."""
        half = vehicle.shadow[1] if vehicle.shadow else 1.0
        self.taken.append((u, s - half - 1.5, s + half + 1.5))
        self.world.put(vehicle, u, s, (0.0 if way > 0 else np.pi) + self.rng.normal(0, 0.02))
        yaw = self.street.heading(s)
        vehicle.speed = (way * speed * float(np.sin(yaw)), way * speed * float(np.cos(yaw)))

    def large(self, make: Callable[..., Thing]) -> None:
        """Put a bus or a truck: ahead, oncoming, at the curb or across the road."""
        rng, street = self.rng, self.street
        vehicle: Thing = make(rng, self.snow)
        half = vehicle.shadow[1] if vehicle.shadow else 5.0
        near = [c for c in street.crossings if 14 < c[0] < 40]
        if near and rng.random() < 0.2:
            self.across(vehicle, near[0])
            return
        others = [lane for lane in street.lanes if abs(lane[0] - street.camera_u) > 1]
        bays = street.bays[1]
        u, way = others[int(rng.integers(len(others)))] if others else (street.camera_u, 1)
        speed = PACE * rng.uniform(0.3, 1.0)
        if bays is not None and rng.random() < 0.3:
            u, way, speed = (bays[0] + bays[1]) / 2 + 0.1, 1, 0.0
        elif rng.random() < 0.25:
            u, way = street.camera_u, 1
        near_end = rng.uniform(10, 28)
        for _ in range(4):
            if self.free(u, near_end, near_end + 2 * half):
                self.drive(vehicle, u, near_end + half, way, speed if way < 0 else PACE if speed else 0.0)
                return
            near_end += 4.0

    def across(self, vehicle: Thing, crossing: tuple[float, float]) -> None:
        """Put a vehicle in a side street, seen from its side."""
        way = int(self.rng.choice(SIDES))
        middle = (crossing[0] + crossing[1]) / 2
        s = middle - way * min(1.6, (crossing[1] - crossing[0]) / 4)
        self.world.put(vehicle, self.rng.uniform(-7, 7), s, way * np.pi / 2)
        vehicle.speed = (way * PACE * 0.7, 0.0)

    def tram(self) -> None:
        """Put a tram on its tracks, or across the road at a side street."""
        rng, street, vehicle = self.rng, self.street, tram(self.rng, self.snow)
        near = [c for c in street.crossings if 20 < c[0] < 50]
        if near and (not street.tracks or rng.random() < 0.15):
            self.across(vehicle, near[0])
            return
        if not street.tracks:
            return
        u = street.tracks[int(rng.integers(len(street.tracks)))]
        half = vehicle.shadow[1] if vehicle.shadow else 10.0
        way = -1 if u <= 0 else 1
        same = abs(u - street.camera_u) < 2
        self.drive(vehicle, u, rng.uniform(15, 36) + half, 1 if same else way, PACE if same else 0.3)

    def lanes(self) -> None:
        """Put cars, and now and then something larger, in every lane and side street."""
        rng = self.rng
        busy = rng.uniform(6, 40)
        for u, way in self.street.lanes:
            own = abs(u - self.street.camera_u) < 1
            s = (rng.uniform(9, 16) if own else rng.uniform(5, 14)) + rng.exponential(busy / 2)
            while s < 85:
                if self.free(u, s - 2.4, s + 2.4) and not self.street.crossed(s, s, 2):
                    self.drive(car(rng, snow=self.snow), u + rng.normal(0, 0.15), s, way, PACE)
                s += 6.5 + rng.exponential(busy)
        for crossing in self.street.crossings:
            if rng.random() < 0.4:
                self.across(car(rng, snow=self.snow), crossing)

    def parked(self) -> None:
        """Put rows of parked cars in the bays."""
        rng = self.rng
        for way in SIDES:
            bays = self.street.bays[way]
            if bays is None:
                continue
            u, full = (bays[0] + bays[1]) / 2, rng.uniform(0.35, 0.95)
            for s in np.arange(rng.uniform(3, 9), 70, rng.uniform(5.4, 6.4)):
                if rng.random() < full and self.free(u, s - 2.3, s + 2.3, 1.5) and not self.street.crossed(s, s, 3):
                    vehicle = trailer(rng) if rng.random() < 0.03 else car(rng, snow=self.snow)
                    self.drive(vehicle, u + rng.normal(0, 0.08), s, way if rng.random() < 0.9 else -way, 0.0)

    def walkers(self, count: int, far: float) -> None:
        """Put pedestrians on the sidewalks, some of them on zebra crossings or between parked cars."""
        rng, street = self.rng, self.street
        for _ in range(count):
            walk = street.walk[int(rng.choice(SIDES))]
            s = 5.5 + rng.gamma(1.6, far / 2.2)
            group = 1 if rng.random() < 0.7 else int(rng.integers(2, 4))
            for i in range(group):
                u = rng.uniform(walk[0] + 0.3, walk[1] - 0.2)
                s = self.in_view(u, s) if far < 12 else s
                thing = self.world.put(person(rng), u + 0.3 * i, s + 0.4 * i)
                thing.speed = (0.0, float(rng.choice([-0.08, 0.0, 0.08])))
        for s in street.zebras:
            for _ in range(int(rng.integers(0, 4))):
                u = rng.uniform(street.road[0], street.road[1])
                if s > 6 and self.free(u, s, s + 3):
                    self.world.put(person(rng), u, s + rng.uniform(0.5, 3)).speed = (0.07, 0.0)

    def _curb_place(self, near: float, far: float) -> tuple[float, float]:
        walk = self.street.walk[int(self.rng.choice(SIDES))]
        edge = walk[0] if walk[0] > 0 else walk[1]
        inner = walk[1] if walk[0] > 0 else walk[0]
        u = edge + 0.55 * np.sign(edge) if self.rng.random() < 0.7 else inner - 0.4 * np.sign(edge)
        return float(u), self.in_view(float(u), float(self.rng.uniform(near, far)))

    def in_view(self, u: float, s: float) -> float:
        """Give the same or a larger s, so that the place lies inside the picture."""
        return max(s, abs(u - self.street.camera_u) / 0.40 + self.rng.uniform(0.5, 3.0))

    def two_wheeler(self, make: Callable[..., Thing]) -> None:
        """Park bicycles or motorcycles at the curb or the wall, near the camera, some in a row."""
        u, s = self._curb_place(6.5, 12)
        turn = self.rng.uniform(0.9, 2.2)
        self.keep_clear(u, s)
        for i in range(int(self.rng.integers(1, 4))):
            self.world.put(make(self.rng), u, s + 0.9 * i, turn + self.rng.normal(0, 0.1))

    def rider(self, near: float = 6.5, far: float = 12.5) -> None:
        """Put somebody on a bicycle or a motorcycle, across the view or along the lane."""
        rng, street = self.rng, self.street
        make = bicycle if rng.random() < 0.65 else motorcycle
        s = rng.uniform(near, far)
        if near < 10:
            self.keep_clear(street.road[1], s + 3)
        if rng.random() < 0.5:
            u = rng.uniform(max(street.road[0] * 0.7, -0.35 * s), street.road[1])
            way = float(rng.choice([-1, 1]))
            turn = way * (np.pi / 2 + rng.normal(0, 0.35))
            if self.free(u, s - 0.5, s + 0.5, 2.5):
                self.world.put(make(rng, ridden=True), u, s, turn).speed = (way * 0.22, 0.0)
                return
        u = (street.road[1] if rng.random() < 0.7 else street.road[0] + 1.4) - 0.7
        way, s = 1 if u > 0 else -1, self.in_view(u, s)
        if self.free(u, s - 0.5, s + 0.5, 1.3):
            self.world.put(make(rng, ridden=True, edge_on=True), u, s).speed = (0.0, way * 0.25)
        else:
            walk = street.walk[1]
            turn = rng.uniform(0.5, 1.2)
            self.world.put(make(rng, ridden=True), walk[0] + 0.6, self.in_view(walk[0], s), turn)

    def usual(self) -> None:
        """Put the odd rider, bicycle or motorcycle further away."""
        rng = self.rng
        for _ in range(int(rng.poisson(0.5))):
            self.rider(10, 26)
        for make, mean in ((bicycle, 0.9), (motorcycle, 0.35)):
            for _ in range(int(rng.poisson(mean))):
                u, s = self._curb_place(7, 24)
                self.world.put(make(rng), u, s, rng.uniform(0.4, 2.6))
