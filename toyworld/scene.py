"""One scene: its world, its camera, its picture."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np

from toyworld import ids
from toyworld.buildings import footprint
from toyworld.camera import Camera
from toyworld.canvas import Canvas
from toyworld.ground import Ground, cast_shadow, draw_ground
from toyworld.model import draw, turned
from toyworld.shapes import rectangle
from toyworld.sky import draw_sky
from toyworld.traffic import PACE, Traffic
from toyworld.weather import finish
from toyworld.world import World, build

SUPERSAMPLE = 2


@dataclass(frozen=True)
class Mount:
    """How the camera sits in the car: `focal` in image widths, `horizon` the row of the optical axis in heights,
    `hood` how much of the height that of the own car covers (0: none)."""

    focal: float
    horizon: float
    height: float
    yaw: float
    pitch: float
    aside: float
    hood: float


@dataclass(frozen=True)
class Scene:
    """A world, a camera mount, a condition and the seed of everything that is random in a single picture."""

    world: World
    mount: Mount
    condition: str
    seed: list[int]


def compose(seed: list[int], wanted: Collection[int] = (), condition: str = "clear") -> Scene:
    """Draw a scene in which the `wanted` label ids (train, bus, truck, motorcycle, rider, ...) stand near."""
    rng = np.random.default_rng(seed)
    mount = Mount(
        focal=rng.uniform(1.08, 1.35), horizon=rng.uniform(0.45, 0.51), height=rng.uniform(1.3, 1.7),
        yaw=rng.normal(0, 0.025), pitch=rng.uniform(0.0, 0.04), aside=rng.normal(0, 0.35),
        hood=float(rng.uniform(0.05, 0.10)) if rng.random() < 0.4 else 0.0,
    )  # fmt: skip
    tram = ids.TRAIN in wanted or rng.random() < 0.06
    barriers = tuple(name for name, label in (("wall", ids.WALL), ("fence", ids.FENCE)) if label in wanted)
    world = build(rng, tram=tram, barriers=barriers, condition=condition)
    Traffic(rng, world).fill(wanted)
    return Scene(world, mount, condition, seed)


def outline(scene: Scene, size: tuple[int, int]) -> np.ndarray:
    """Draw the labels (H, W) uint8 alone, at once the size and with less care than `photograph`."""
    camera = camera_at(scene, (size[0] // SUPERSAMPLE, size[1] // SUPERSAMPLE), 0.0)
    canvas = Canvas(camera, scene.world.light, draft=True)
    paint(canvas, scene, 0.0)
    return canvas.label


def photograph(scene: Scene, size: tuple[int, int], time: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Take image (H, W, 3) uint8 RGB and raw label ids (H, W) uint8 after `time` frames of driving on."""
    world = scene.world
    canvas = Canvas(camera_at(scene, size, time), world.light)
    ground = paint(canvas, scene, time)
    rng = np.random.default_rng([*scene.seed, 7])
    grain = np.random.default_rng([*scene.seed, 8, round(time * 16) & 0xFFFF])
    lamps = [(world.street.camera_u, canvas.camera.position[2] + 1.0)]
    lamps += [(t.x - 0.5 * world.street.bend * t.z**2, t.z) for t in world.things if t.lamp and t.z < 90]
    return finish((rng, grain), canvas, world, scene.condition, ground, lamps)


def paint(canvas: Canvas, scene: Scene, time: float) -> Ground:
    """Paint everything from back to front, things numbered from 1 as they stand in the world."""
    world, eye = scene.world, canvas.camera.position
    draw_sky(canvas, world.sky)
    ground = draw_ground(canvas, world.street, world.look)
    if not canvas.draft:
        _shadows(canvas, world, ground.top, time)
    for number, thing in sorted(enumerate(world.things, 1), key=lambda pair: -pair[1].distance(eye, time)):
        canvas.owner = number
        draw(canvas, thing, time)
    if scene.mount.hood:
        _hood(canvas, scene.mount.hood)
    return ground


def camera_at(scene: Scene, size: tuple[int, int], time: float) -> Camera:
    """Place the camera after `time` frames, with the canvas of a picture of `size` (H, W)."""
    height, width = (SUPERSAMPLE * n for n in size)
    mount, street = scene.mount, scene.world.street
    s = 0.8 * PACE * time
    x, z = street.world(street.camera_u + mount.aside, s)
    return Camera(
        (height, width), mount.focal * width, (width / 2, mount.horizon * height), (x, mount.height, z),
        mount.yaw + street.heading(s), mount.pitch,
    )  # fmt: skip


def _shadows(canvas: Canvas, world: World, top: int, time: float) -> None:
    """Draw shadows of the sun, and the soft dark under everything that stands on the ground."""
    sun, cast, contact = world.light.sun, [], []
    slope = -sun[[0, 2]] / max(sun[1], 0.2)
    for thing in world.things:
        x, z = thing.place(time)
        if thing.anchor is not None and len(thing.solids[-1].faces) > 1:
            points, tall = footprint(thing)
            cast.append(_hull(points, 0.0, tall, slope))
        elif thing.shadow is not None and z < 90:
            half, length, low, tall = thing.shadow
            box = np.array(rectangle(-half, -length, half, length))
            points = box @ turned(thing.yaw or 0.0)[np.ix_([0, 2], [0, 2])] + (x, z)
            cast.append(_hull(points, low, tall, slope))
            if low == 0.0:
                contact.append(points)
    if world.shadow > 0:
        cast_shadow(canvas, top, cast, world.shadow, 1.5)
    cast_shadow(canvas, top, contact, 0.5, 4.0)


def _hull(points: np.ndarray, low: float, tall: float, slope: np.ndarray) -> np.ndarray:
    both = np.concatenate([points + low * slope, points + tall * slope]).astype(np.float32)
    return cv2.convexHull(both)[:, 0]


def _hood(canvas: Canvas, share: float) -> None:
    """Draw the hood of the own car at the lower edge of the picture."""
    height, width = canvas.camera.shape
    center, axes = (width // 2, round(height * (1 + 0.6 * share))), (round(width * 0.62), round(height * 1.6 * share))
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, center, axes, 0, 0, 360, 255, -1)
    lower = np.clip((np.arange(height) - height * (1 - share)) / (height * share), 0, 1)[:, None, None]
    tone = np.broadcast_to(95 - 60 * lower, (height, width, 3))
    cv2.copyTo(tone.astype(np.uint8), mask, canvas.image)
    canvas.label[mask > 0] = ids.EGO
    canvas.nearness[mask > 0] = 1.0
    canvas.glow[mask > 0] = 0
