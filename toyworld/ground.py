"""The ground: every pixel below the horizon is looked up in the street's plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from toyworld import ids
from toyworld.canvas import SHIFT, Canvas
from toyworld.street import ASPHALT, BAYS, BED, COBBLE, GRASS, PAVING, PLAZA, Street
from toyworld.textures import TILE, noise_tile, to_bytes

LABELS = {
    ASPHALT: ids.ROAD, PAVING: ids.SIDEWALK, GRASS: ids.TERRAIN, BAYS: ids.PARKING, BED: ids.RAIL, PLAZA: ids.GROUND,
    COBBLE: ids.SIDEWALK,
}  # fmt: skip


@dataclass(frozen=True)
class Surface:
    """Colors (7, 3) by kind of ground, slab sizes in meters, an offset into the noise, and lane patches."""

    colors: np.ndarray
    slab: tuple[float, float]
    offset: tuple[float, float]
    patches: list[tuple[float, float, float, float, float]]
    zebra: float
    paint: float
    worn: float


class Ground(NamedTuple):
    """The part of a canvas below the horizon: its first row, and (h, W) maps of u and s, of the kind of ground, and of
    its `footprint`, the meters along the street in a pixel."""

    top: int
    u: np.ndarray
    s: np.ndarray
    kind: np.ndarray
    footprint: np.ndarray


def surface(rng: np.random.Generator, street: Street) -> Surface:
    """Draw the materials of a street. Paving is lighter than the asphalt beside it, but shares its range of gray."""
    gray = rng.uniform(72, 128)
    asphalt = gray * np.array([1.0, 1.0, 1.0]) + rng.uniform(-6, 6, 3)
    warm = rng.uniform(0.0, 0.14)
    paving = rng.uniform(gray + 26, min(200, gray + 90)) * np.array([1 + warm, 1 + 0.3 * warm, 1 - warm])
    if rng.random() < 0.2:
        paving = rng.uniform(110, 160) * np.array([1.18, 0.92, 0.84])  # red brick
    dry = rng.random() ** 1.3
    grass = (1 - dry) * np.array([76, 104, 46]) + dry * np.array([128, 116, 76])
    grass = grass * rng.uniform(0.65, 1.3)
    stone = rng.uniform(85, 130) * np.array([1.03, 1.0, 0.95])
    colors = np.stack([asphalt, paving, grass, 0.92 * paving, stone * 0.9, asphalt * 1.15, stone])
    slab = (float(rng.choice([0.6, 0.9, 1.4])), float(rng.choice([0.6, 0.9, 1.4])))
    left, right = street.road
    patches = [
        (rng.uniform(left, right), rng.uniform(0.4, 1.6), s, rng.uniform(1, 9), rng.uniform(0.72, 1.15))
        for s in rng.uniform(4, 60, int(rng.integers(2, 7)))
    ]
    offset = (float(rng.uniform(0, 500)), float(rng.uniform(0, 500)))
    return Surface(
        colors.astype(np.float32), slab, offset, patches, rng.uniform(0.45, 0.6), rng.uniform(165, 235), rng.random()
    )


def draw_ground(canvas: Canvas, street: Street, look: Surface) -> Ground:
    """Paint the ground and say what lies where."""
    camera = canvas.camera
    horizon = camera.center[1] - camera.focal * np.tan(camera.pitch)
    top = int(np.clip(np.ceil(horizon + 0.004 * camera.focal), 0, camera.shape[0] - 1))
    rays = camera.rays(top=top)
    depth = camera.position[1] / np.maximum(-rays[..., 1], 1e-3)
    s = camera.position[2] + depth * rays[..., 2]
    u = camera.position[0] + depth * rays[..., 0] - 0.5 * street.bend * s * s
    kind = np.asarray(street.kinds, np.uint8)[np.digitize(u, street.edges)]
    left, right = street.road
    for a, b in street.crossings:
        between = (s > a) & (s < b)
        kind[between] = ASPHALT
        walk = ((s > a - 2.5) & (s < b + 2.5) & ~between) & ((u < left) | (u > right))
        kind[walk] = PAVING
    table = np.zeros(8, np.uint8)
    table[list(LABELS)] = list(LABELS.values())
    canvas.label[top:] = table[kind]
    canvas.nearness[top:] = 1.0 / depth
    ground = Ground(top, u, s, kind, depth * depth / (camera.focal * camera.position[1]))
    if not canvas.draft:
        color = _material(look, ground, canvas.light.snow)
        _markings(color, street, look, ground)
        _tracks(color, street, ground)
        light = canvas.light.shade(np.array([0.0, 1.0, 0.0]))
        canvas.image[top:] = to_bytes(color * light)
    return ground


def _sample(tile: np.ndarray, u: np.ndarray, s: np.ndarray, scale: float, offset: tuple[float, float]) -> np.ndarray:
    column = ((u + offset[0]) * scale).astype(np.int32) & (TILE - 1)
    row = ((s + offset[1]) * scale).astype(np.int32) & (TILE - 1)
    return tile[row, column]


def _material(look: Surface, ground: Ground, snow: bool) -> np.ndarray:
    """(h, W, 3) float32 colors of unmarked ground."""
    _, u, s, kind, footprint = ground
    sharp = np.clip(0.06 / footprint, 0.12, 1).astype(np.float32)
    fine = _sample(noise_tile(1), u, s, 22, look.offset) * sharp
    middle = _sample(noise_tile(3), u, s, 9, look.offset)
    coarse = _sample(noise_tile(8), u, s, 4, look.offset)
    strength = np.array([0.085, 0.04, 0.20, 0.06, 0.22, 0.11, 0.08], np.float32)[kind]
    tone = 1 + strength * fine + 0.055 * middle + 0.07 * coarse
    for name, (a, b) in ((PAVING, look.slab), (COBBLE, (0.22, 0.2)), (BAYS, (0.3, 0.25))):
        _slabs(tone, kind == name, ground, a, b)
    road = kind == ASPHALT
    tone[road & (np.abs(middle) < 0.03) & (coarse > 0.3) & (footprint < 0.12)] *= 0.72  # cracks
    for pu, pw, ps, pl, dark in look.patches:
        tone[road & (np.abs(u - pu) < pw) & (np.abs(s - ps) < pl)] *= dark
    color = look.colors[kind] * tone[..., None]
    green = kind == GRASS
    color[green] *= 1 + 0.16 * coarse[green][:, None] * np.array([1.0, 0.1, 0.3], np.float32)
    if snow:
        _snow(color, kind, middle, coarse, u)
    return color


def _slabs(tone: np.ndarray, where: np.ndarray, ground: Ground, a: float, b: float) -> None:
    """Joints between slabs of a x b meters, each slab of its own tone, fading where a pixel spans several."""
    if not where.any():
        return
    u, s, size = ground.u[where] / a, ground.s[where] / b, ground.footprint[where]
    iu, js = np.floor(u).astype(np.int32), np.floor(s).astype(np.int32)
    fade = np.clip(1.5 - size / b, 0, 1)
    joint = (u - iu < 0.06 / a) | (s - js < 0.06 / b + 0.5 * np.minimum(size, b) / b)
    own = noise_tile(1, 7)[(js * 31) & (TILE - 1), (iu * 17 + js) & (TILE - 1)]
    tone[where] *= 1 + fade * (0.11 * own - 0.42 * joint)


def _snow(color: np.ndarray, kind: np.ndarray, middle: np.ndarray, coarse: np.ndarray, u: np.ndarray) -> None:
    cover = np.array([0.30, 0.72, 0.92, 0.6, 0.8, 0.72, 0.7], np.float32)[kind]
    rut = np.where(kind == ASPHALT, 0.25 * np.cos(2 * np.pi * u / 1.7), 0).astype(np.float32)
    white = np.clip(cover + 0.22 * middle + 0.16 * coarse + rut, 0.05, 0.97)[..., None]
    color *= 1 - white
    color += white * np.array([226, 231, 240], np.float32)


def _markings(color: np.ndarray, street: Street, look: Surface, ground: Ground) -> None:
    u, s, road = ground.u, ground.s, ground.kind == ASPHALT
    clear = road.copy()
    for a, b in street.crossings:
        clear &= (s < a - 6) | (s > b)
    paint = np.zeros_like(road)
    for line, style in street.lines:
        near = (np.abs(u - line) < (0.07 if style == "edge" else 0.085)) & clear
        if style != "edge":
            near[near] = s[near] % 9 < (3.4 if style == "dash" else 5)
        paint |= near
    for start in street.zebras:
        across = road & (s > start) & (s < start + 3.4)
        across[across] = u[across] % 1.1 < look.zebra
        paint |= across
    for a, _ in street.crossings:
        stop = road & (np.abs(s - a + 1.4) < 0.28)
        lanes = np.array([lane for lane, way in street.lanes if way > 0])
        stop[stop] = (np.abs(u[stop][:, None] - lanes) < 1.4).any(1)
        paint |= stop
    _wear(color, paint, look, u, s)
    _curbs(color, street, look, u, s)


def _wear(color: np.ndarray, paint: np.ndarray, look: Surface, u: np.ndarray, s: np.ndarray) -> None:
    """Put worn paint onto the asphalt."""
    u, s, below = u[paint], s[paint], color[paint]
    fresh = _sample(noise_tile(3), u, s, 14, look.offset) <= 0.4 + 1.8 * look.worn
    color[paint] = np.where(fresh[:, None], 0.3 * below + 0.7 * look.paint, below)


def _curbs(color: np.ndarray, street: Street, look: Surface, u: np.ndarray, s: np.ndarray) -> None:
    for side in (0, 1):
        curb = np.abs(u - street.road[side]) < 0.11
        for a, b in street.crossings:
            curb &= (s < a) | (s > b)
        color[curb] = 0.45 * color[curb] + 0.55 * np.float32(min(200, look.colors[PAVING].mean() * 1.15))


def _tracks(color: np.ndarray, street: Street, ground: Ground) -> None:
    for track in street.tracks:
        away = np.abs(ground.u - track)
        beside = np.abs(away - 0.72)
        color[(ground.kind == BED) & (ground.s % 0.7 < 0.26) & (away < 1.25)] *= 0.66  # sleepers
        color[beside < 0.10] *= 0.6
        color[beside < 0.045] = (150, 148, 146)


def cast_shadow(canvas: Canvas, top: int, hulls: list[np.ndarray], strength: float, soft: float) -> None:
    """Darken the ground under polygons (N, 2) of world (X, Z)."""
    mask = np.zeros(canvas.camera.shape, np.uint8)
    for hull in hulls:
        points = np.column_stack([hull[:, 0], np.zeros(len(hull)), hull[:, 1]])
        corners = canvas.project(canvas.seen_from(points))
        if corners is not None:
            cv2.fillPoly(mask, [corners], 255, shift=SHIFT)
    dark = cv2.GaussianBlur(mask, (0, 0), soft)[top:]
    ground = canvas.image[top:]
    factor = cv2.convertScaleAbs(dark, alpha=-strength, beta=255.0)
    ground[:] = cv2.multiply(ground, cv2.merge([factor] * 3), scale=1 / 255)
