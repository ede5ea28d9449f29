"""Boxes with facades, roofs; walls, fences and hedges along a line."""

from __future__ import annotations

from functools import cache

import numpy as np

from toyworld import ids
from toyworld.colors import choose, tint
from toyworld.facades import Style, facade, roof, style
from toyworld.model import Face, Solid, Texture, Thing, fixed
from toyworld.textures import bricks, fractal, hedge, rough, to_bytes


def _upright(a: np.ndarray, b: np.ndarray, top: float, bottom: float = 0.0) -> np.ndarray:
    """(3, 3) texture quad (top-left, top-right, bottom-left) of a vertical wall from a to b, both (X, Z)."""
    return np.array([[a[0], top, a[1]], [b[0], top, b[1]], [a[0], bottom, a[1]]])


def block(
    rng: np.random.Generator,
    start: tuple[float, float],
    end: tuple[float, float],
    depth: float,
    height: float,
    way: int,
    *,
    works: bool = False,
    snow: bool = False,
    blind: bool = True,
) -> Thing:
    """Build a house whose street side runs from `start` to `end` (world X, Z), on the side `way` (-1 left, +1 right).

    `blind`: its near end has few windows (it stood wall to wall); otherwise the end is a facade too.
    """
    near = min(start[1], end[1]) < 45
    look = style(rng, works, 14 if near else 7)
    a, b = np.array(start), np.array(end)
    along = (b - a) / np.linalg.norm(b - a)
    out = way * np.array([along[1], -along[0]]) * depth
    corners = np.array([a, b, b + out, a + out])
    center = corners.mean(0)
    walls = [(b, a), (a, a + out)] if way < 0 else [(a, b), (a + out, a)]
    faces = []
    for i, (p, q) in enumerate(walls):
        texture = _front(int(rng.integers(2**31)), look, float(np.linalg.norm(q - p)), height, blind and i == 1)
        faces.append(Face(_upright(p, q, height), look.wall * 0.8, ids.BUILDING, texture=texture, opaque=True))
    solids = [Solid(faces, np.array([center[0], height / 2, center[1]]))]
    if rng.random() < 0.55 and look.kind in ("brick", "plaster"):
        solids.insert(0, _roof(rng, look, corners, height, snow))
    return Thing(solids, yaw=0.0, anchor=(float(b[0]), float(b[1])))


def _front(seed: int, look: Style, length: float, height: float, blind: bool) -> Texture:
    """Make a facade that is painted when it is first seen."""

    @cache
    def paint() -> tuple[np.ndarray, np.ndarray | None]:
        return facade(np.random.default_rng(seed), look, length, height, blind)

    return paint


def footprint(thing: Thing) -> tuple[np.ndarray, float]:
    """Corners (N, 2) of (X, Z) of a block's visible walls and its height."""
    points = np.concatenate([face.points for face in thing.solids[-1].faces])
    return points[:, [0, 2]], float(points[:, 1].max())


def _roof(rng: np.random.Generator, look: Style, corners: np.ndarray, height: float, snow: bool) -> Solid:
    """Build a saddle roof with its ridge along the street, and the gable over the near end."""
    a, b, c, d = (np.array([x, height, z]) for x, z in corners)
    lift = np.array([0.0, rng.uniform(0.25, 0.5) * float(np.linalg.norm(d - a)), 0.0])
    ridge_a, ridge_b = (a + d) / 2 + lift, (b + c) / 2 + lift
    tiles = roof(rng, snow)
    center = (a + b + c + d) / 4
    slope = Face(np.array([ridge_a, ridge_b, a]), None, ids.BUILDING, texture=fixed(tiles), opaque=True)
    gable = Face(np.array([a, d, ridge_a]), look.wall * 0.95, ids.BUILDING)
    faces = [slope, gable]
    if rng.random() < 0.6:
        faces.append(_chimney(ridge_a, ridge_b, look.wall))
    return Solid(faces, center - np.array([0, 2.0, 0]))


def _chimney(a: np.ndarray, b: np.ndarray, color: np.ndarray) -> Face:
    middle = 0.7 * a + 0.3 * b
    w, h = np.array([0.45, 0, 0]), np.array([0, 1.3, 0])
    low = middle - np.array([0, 0.3, 0])
    return Face(np.array([low - w, low + w, low + w + h, low - w + h]), color * 0.8, ids.BUILDING)


def _strip(
    a: tuple[float, float], b: tuple[float, float], height: float, texture: np.ndarray, label: int, see_through: bool
) -> Thing:
    """Put a vertical texture along a line, painted by the distance of its middle."""
    p, q = np.array(a), np.array(b)
    quad = _upright(p, q, height)
    face = Face(quad, None, label, texture=fixed(texture), opaque=see_through, solid_label=see_through)
    x, z = ((p + q) / 2).tolist()
    return Thing([Solid([face], np.array([x, 0, z]), closed=False)], yaw=0.0, anchor=(x, z))


def barrier(
    rng: np.random.Generator, points: list[tuple[float, float]], kind: str, *, snow: bool = False
) -> list[Thing]:
    """Build a "wall", "fence" or "hedge" along world points (X, Z), one thing a segment."""
    if kind == "wall":
        height, texture, label = rng.uniform(1.3, 3.4), _masonry(rng), ids.WALL
    elif kind == "fence":
        height, texture, label = rng.uniform(1.0, 2.1), _railing(rng), ids.FENCE
    else:
        color = np.array([62, 92, 42]) * rng.uniform(0.7, 1.35) + rng.uniform(-8, 8, 3)
        height, texture, label = rng.uniform(0.8, 2.2), hedge(rng, color, 40, 110, snow), ids.TREE
    pairs = zip(points[:-1], points[1:], strict=True)
    return [_strip(a, b, float(height), texture, label, kind == "fence") for a, b in pairs]


def _masonry(rng: np.random.Generator) -> np.ndarray:
    """Paint (56, 128, 3) of a garden or retaining wall: masonry or concrete, with a coping, perhaps graffiti."""
    h, w = 56, 128
    tone = tint(rng, ((150, 90, 72), (150, 146, 138), (120, 118, 116), (176, 164, 142)), 0.75, 1.15)
    kind = rng.random()
    if kind < 0.6:
        image = bricks(rng, h, w, tone, int(rng.choice([8, 11, 14])))
    else:
        image = rough(rng, np.broadcast_to(tone, (h, w, 3)).astype(np.float32), 0.05, 0.2)
        image[:, :: w // 4] *= 0.6
        image[h // 2] *= 0.8
    if rng.random() < 0.4:
        blot = fractal(rng, h, w, 9) > 0.25
        blot[: h // 3] = False
        image[blot] = 0.3 * image[blot] + 0.7 * rng.uniform(40, 230, 3)
    moss = np.clip(fractal(rng, h, w, 6) * np.linspace(0, 1.4, h)[:, None], 0, 0.5)[..., None]
    image = image * (1 - moss) + moss * np.array([70, 78, 50])
    image[:6] = np.minimum(tone * 1.2, 225)
    image[6:10] *= 0.45
    return to_bytes(image)


def _railing(rng: np.random.Generator) -> np.ndarray:
    """Paint (64, 160, 4) of a fence: bars, pickets, boards or mesh, with posts."""
    h, w = 64, 160
    paints = ((46, 50, 52), (120, 124, 122), (60, 84, 62), (122, 92, 62), (206, 204, 196))
    color = np.array(choose(rng, paints), np.float32)
    image = np.broadcast_to(color, (h, w, 3)).astype(np.float32) * rng.uniform(0.8, 1.15)
    y, x = np.mgrid[:h, :w]
    kind = int(rng.integers(4))
    if kind == 0:  # bars
        solid = (x % 8 < 3) | (np.abs(y - 8) < 2) | (np.abs(y - 56) < 2)
    elif kind == 1:  # pickets
        solid = ((x % 10 < 6) & (y > 4 + np.abs(x % 10 - 3))) | (np.abs(y - 18) < 3) | (np.abs(y - 50) < 3)
    elif kind == 2:  # boards
        solid = (y % 14 < 10) & (y > 2)
        image *= (1 + 0.12 * np.sin(y * 0.9 + 0.05 * x))[..., None]
    else:  # mesh
        solid = ((x + y) % 8 < 2) | ((x - y) % 8 < 2) | (y < 3)
    post = (x % 80) < 6
    image[post] *= 0.8
    image = rough(rng, image, 0.06, 0.1)
    return np.dstack([to_bytes(image), ((solid | post) * 255).astype(np.uint8)])
