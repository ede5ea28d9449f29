"""Lamps, traffic lights, signs, bins, benches, trees: what stands along a street, as cut-outs."""

from __future__ import annotations

import numpy as np

from toyworld import ids
from toyworld.colors import choose, tint
from toyworld.model import Face, Solid, Thing, box, cut_out, fixed, plates
from toyworld.shapes import Points, bar, flat, oval, rectangle, ring
from toyworld.textures import leaves

GRAYS = ((118, 120, 122), (86, 90, 92), (146, 148, 148), (62, 78, 66), (54, 56, 60))
RED, BLUE, YELLOW, WHITE, INK = (190, 30, 36), (28, 74, 156), (222, 182, 38), (230, 230, 226), (26, 26, 28)
LIT = (255, 214, 150)
# Lamps of a signal from the top, off and on.
SIGNALS = (((72, 26, 24), (255, 52, 40)), ((76, 60, 24), (255, 190, 50)), ((22, 58, 44), (60, 240, 150)))


def _thing(faces: list[Face], half: float, tall: float, bottom: float = 0.0) -> Thing:
    return cut_out(faces, (half, half, bottom, tall))


def _pole(color: np.ndarray, x: float, tall: float, wide: float) -> list[Face]:
    """Build a round post: a light and a dark half."""
    h, top = wide / 2, wide * 0.38
    shape = [(x - h, 0.0), (x + h, 0.0), (x + top, tall), (x - top, tall)]
    dark = [(x + h * 0.1, 0.0), (x + h, 0.0), (x + top, tall), (x, tall)]
    return plates([(shape, color), (dark, color * 0.72)], ids.POLE)


def _gray(rng: np.random.Generator) -> np.ndarray:
    return tint(rng, GRAYS, 0.8, 1.15)


def _raised(tall: float, *points: tuple[float, float]) -> np.ndarray:
    """Make a polygon whose heights count from `tall`."""
    return flat([(x, tall + y) for x, y in points])


def lamp_post(rng: np.random.Generator, towards: float) -> Thing:
    """Build a street lamp whose arm reaches `towards` (-1 left, +1 right), or a plain post."""
    color, tall, p = _gray(rng), rng.uniform(5.5, 9.0), ids.POLE
    faces = _pole(color, 0.0, tall, rng.uniform(0.19, 0.28))
    if rng.random() < 0.7:
        arm = towards * rng.uniform(1.0, 2.2)
        faces.append(Face(flat(bar((0, tall - 0.1), (arm, tall + 0.25), 0.12, 0.09)), color * 0.9, p))
        tip, bulb = arm + towards * 0.7, arm + towards * 0.6
        faces.append(Face(_raised(tall, (arm - 0.1, 0.18), (tip, 0.24), (tip, 0.38), (arm, 0.38)), color * 0.7, p))
        glass = _raised(tall, (arm, 0.13), (bulb, 0.18), (bulb, 0.26), (arm, 0.22))
        faces.append(Face(glass, LIT, p, glow=True))
    else:
        glass = _raised(tall, (-0.2, 0.0), (0.2, 0.0), (0.3, 0.55), (-0.3, 0.55))
        faces.append(Face(glass, LIT, p, glow=True))
        faces.append(Face(_raised(tall, (-0.36, 0.55), (0.36, 0.55), (0.0, 0.75)), color * 0.6, p))
    thing = _thing(faces, 0.1, tall)
    thing.lamp = True
    return thing


def bollard(rng: np.random.Generator) -> Thing:
    """Build a knee-high post with a reflecting band."""
    color = _gray(rng) if rng.random() < 0.6 else np.array([170.0, 60.0, 50.0])
    faces = _pole(color, 0.0, 0.95, 0.16)
    faces.append(Face(flat(bar((-0.08, 0.8), (0.08, 0.8), 0.1)), (220, 220, 214), ids.POLE))
    return _thing(faces, 0.08, 0.95)


def post(rng: np.random.Generator) -> Thing:
    """Build a mast of overhead wires or a bollard."""
    if rng.random() < 0.4:
        return bollard(rng)
    color, tall = _gray(rng), rng.uniform(4.5, 8.5)
    color = color if rng.random() < 0.7 else np.array([110.0, 84.0, 62.0])
    return _thing(_pole(color, 0, tall, rng.uniform(0.14, 0.3)), 0.12, tall)


def _head(x: float, y: float, state: int, scale: float, back: bool) -> list[Face]:
    """Build a signal head with its top at y; `state` 0 red, 1 amber, 2 green."""
    w, h, label = 0.36 * scale, 1.05 * scale, ids.LIGHT
    housing = [(rectangle(x - w / 2, y - h, x + w / 2, y), (34, 38, 36))]
    if back:
        return plates(housing, label)
    rim = w / 2 + 0.05 * scale
    faces = plates([(rectangle(x - rim, y - h - 0.05, x + rim, y + 0.05), (70, 74, 72)), *housing], label)
    for i, colors in enumerate(SIGNALS):
        lamp = oval(x, y - h * (0.19 + 0.31 * i), 0.13 * scale, 0.13 * scale, 12)
        faces.append(Face(flat(lamp), colors[i == state], label, glow=i == state))
    return faces


def traffic_light(rng: np.random.Generator, towards: float, reach: float) -> Thing:
    """Build a signal at the curb, sometimes with an arm over the lanes (`reach` meters `towards` them)."""
    color, state = _gray(rng), int(rng.choice([0, 1, 2], p=[0.45, 0.1, 0.45]))
    back, scale = rng.random() < 0.1, rng.uniform(1.15, 1.5)
    if rng.random() < 0.35:
        faces = _pole(color, 0.0, 6.0, 0.22)
        end = towards * reach
        faces.append(Face(flat(bar((0, 5.75), (end, 5.85), 0.16, 0.11)), color * 0.9, ids.POLE))
        faces += _head(end, 5.9, state, scale * 1.1, back)
        faces += _head(towards * 0.05, 3.3, state, scale, back)
        return _thing(faces, 0.12, 6.0)
    faces = _pole(color, 0.0, 3.5, 0.2)
    faces += _head(0.0, 3.45, state, scale, back)
    if rng.random() < 0.3:
        faces += _head(-towards * 0.45, 2.6, state, scale * 0.62, back)
    return _thing(faces, 0.1, 3.5)


def sign(rng: np.random.Generator) -> Thing:
    """Build a traffic sign on its post: round, triangular, square, octagonal or a direction board."""
    if rng.random() < 0.09:
        return _weathered(rng, _board(rng))
    tall, r = rng.uniform(2.3, 2.9), rng.uniform(0.34, 0.48)
    faces = _pole(_gray(rng), 0.0, tall + r, 0.14)
    faces += _plate(rng, tall, r)
    if rng.random() < 0.3:
        faces += _plate(rng, tall - 2 * r - 0.08, r * 0.9)
    return _weathered(rng, _thing(faces, 0.3, tall + r, tall - r))


def _weathered(rng: np.random.Generator, thing: Thing) -> Thing:
    """Fade the plates of a sign: dirt, shade and age make their paints less pure than the catalog's."""
    tone, cast = rng.uniform(0.62, 1.08), rng.uniform(-12, 12, 3)
    for face in thing.solids[0].faces:
        if face.label == ids.SIGN and face.color is not None:
            face.color = np.clip(np.asarray(face.color) * tone + cast, 5, 250)
    return thing


def _plate(rng: np.random.Generator, y: float, r: float) -> list[Face]:
    kind = int(rng.integers(8))
    disc, inner = oval(0, y, r, r, 18), oval(0, y, r * 0.74, r * 0.74, 18)
    up = [(-r * 1.05, y - r * 0.75), (r * 1.05, y - r * 0.75), (0, y + r)]
    small = [(-r * 0.68, y - r * 0.53), (r * 0.68, y - r * 0.53), (0, y + r * 0.6)]
    level = (bar((-r * 0.6, y), (r * 0.6, y), r * 0.34), WHITE)
    digit = [(ring(x * r, y, r * 0.3, r * 0.16, 10), INK) for x in (-0.3, 0.35)]
    shaft, head, tip = r * 0.15, r * 0.45, y + r * 0.6
    arrow: Points = [
        (-shaft, y - r * 0.6), (shaft, y - r * 0.6), (shaft, y), (head, y), (0, tip), (-head, y), (-shaft, y),
    ]  # fmt: skip
    stem = bar((-r * 0.25, y - r * 0.6), (-r * 0.25, y + r * 0.6), r * 0.25)
    bow = ring(0.05, y + r * 0.25, r * 0.42, r * 0.2, 10)
    slash = bar((-r * 0.5, y + r * 0.5), (r * 0.5, y - r * 0.5), r * 0.2)
    figure = bar((0, y - r * 0.4), (0, y + r * 0.25), r * 0.2)
    choices = [
        [(disc, RED), (inner, WHITE), *digit],
        [(disc, RED), level],
        [(disc, BLUE), (arrow, WHITE)],
        [(up, RED), (small, WHITE), (figure, INK)],
        [(rectangle(-r, y - r, r, y + r), BLUE), (stem, WHITE), (bow, WHITE)],
        [(oval(0, y, r * 1.08, r * 1.08, 8), RED), level],
        [(oval(0, y, r * 1.1, r * 1.1, 4), WHITE), (oval(0, y, r * 0.75, r * 0.75, 4), YELLOW)],
        [(disc, RED), (oval(0, y, r * 0.78, r * 0.78, 18), BLUE), (slash, RED)],
    ]
    return plates(choices[kind], ids.SIGN)


def _board(rng: np.random.Generator) -> Thing:
    """Build a direction board on two posts."""
    w, h, y = rng.uniform(0.8, 1.3), rng.uniform(0.5, 0.9), rng.uniform(2.0, 2.7)
    back, ink = choose(rng, ((BLUE, WHITE), (YELLOW, INK), (WHITE, INK), ((28, 104, 74), WHITE)))
    gray = _gray(rng)
    outline = rectangle(-w, y - h, w, y + h)
    parts = [([(a * 1.04, b + 0.04 * np.sign(b - y)) for a, b in outline], ink), (outline, back)]
    for i in range(3):
        cy = y + h * (0.6 - 0.6 * i)
        parts.append((bar((-w * 0.8, cy), (w * rng.uniform(-0.1, 0.5), cy), h * 0.22), ink))
        parts.append(([(w * 0.65, cy - h * 0.18), (w * 0.88, cy), (w * 0.65, cy + h * 0.18)], ink))
    posts = _pole(gray, -w * 0.7, y + h, 0.13) + _pole(gray, w * 0.7, y + h, 0.13)
    return _thing(posts + plates(parts, ids.SIGN), w, y + h, y - h)


def clutter(rng: np.random.Generator) -> Thing:
    """Build void things: a bin, an advertising column, a bench, a distribution box."""
    kind, color = int(rng.integers(4)), _gray(rng)
    label = ids.DYNAMIC if kind == 0 else ids.STATIC
    if kind == 0:
        bounds = (0.6, 0.08, 1.05, -0.35, 0.35)
        color = np.array(choose(rng, ((50, 70, 52), (66, 66, 70), (150, 130, 40), (60, 82, 120))))
    elif kind == 1:
        bounds, color = (1.1, 0.0, rng.uniform(2.4, 3.2), -0.5, 0.5), color * 1.2
    elif kind == 2:
        bounds, color = (0.5, 0.35, 0.5, -0.9, 0.9), np.array([116.0, 86.0, 58.0])
    else:
        bounds = (0.5, 0.0, 1.2, -0.6, 0.6)
    faces = list(box(bounds, color, label, fade=(1.1, 0.85)).values())
    if kind == 1:
        for face in faces[:4]:
            poster = 0.85 * face.points + 0.15 * face.points[[2, 3, 0, 1]]
            face.details.append(Face(poster, rng.uniform(50, 220, 3), label))
    height = bounds[2]
    return Thing([Solid(faces, np.array([0, height / 2, 0]))], yaw=0.0, shadow=(0.4, 0.5, 0.0, height))


def foliage(rng: np.random.Generator) -> np.ndarray:
    """Draw a color of leaves: green, olive, autumn."""
    colors = ((66, 96, 44), (88, 104, 48), (54, 84, 50), (112, 108, 48), (150, 104, 44))
    base = np.array(colors[int(rng.choice(5, p=(0.34, 0.26, 0.2, 0.13, 0.07)))])
    return base * rng.uniform(0.75, 1.25) + rng.uniform(-8, 8, 3)


def crowns(rng: np.random.Generator, sun: tuple[float, float], snow: bool) -> list[np.ndarray]:
    """Paint a few leaf textures, shared by the trees of one scene."""
    own = foliage(rng)
    return [leaves(rng, own if rng.random() < 0.6 else foliage(rng), sun, snow) for _ in range(4)]


def _crown(rng: np.random.Generator, sprites: list[np.ndarray], left: float, top: float, low: float) -> Face:
    """Hang leaves from `left` to the same distance on the other side, and from `top` down to `low`."""
    quad = np.array([(left, top, 0), (-left, top, 0), (left, low, 0)], float)
    return Face(quad, None, ids.TREE, texture=fixed(choose(rng, sprites)))


def tree(rng: np.random.Generator, sprites: list[np.ndarray], size: float = 1.0) -> Thing:
    """Build trunk, branches and crown."""
    tall = rng.uniform(5.0, 11.0) * size
    wide, stem = tall * rng.uniform(0.28, 0.48), tall * rng.uniform(0.18, 0.32)
    bark = np.array([92, 76, 62]) * rng.uniform(0.6, 1.2)
    girth = 0.035 * tall * rng.uniform(0.8, 1.2)
    lean = rng.uniform(-0.15, 0.15)
    trunk = bar((0, 0), (lean, stem + 0.25 * tall), girth * 1.3, girth * 0.7)
    dark = bar((girth * 0.3, 0), (lean + girth * 0.2, stem + 0.2 * tall), girth * 0.5, girth * 0.3)
    branches = [
        (bar((lean, stem), (sign * wide * 0.5, stem + 0.35 * tall), girth * 0.5, 0.05), bark * 0.8) for sign in (-1, 1)
    ]
    faces = plates([(trunk, bark), (dark, bark * 0.65), *branches], ids.TREE)
    flip = 1 if rng.random() < 0.5 else -1
    low = stem * 0.8
    faces.append(_crown(rng, sprites, -wide * flip, tall, low))
    return _thing(faces, wide * 0.7, tall, low)


def bush(rng: np.random.Generator, sprites: list[np.ndarray]) -> Thing:
    """Build a crown that starts at the ground."""
    wide, tall = rng.uniform(0.6, 1.6), rng.uniform(0.8, 2.0)
    return _thing([_crown(rng, sprites, -wide, tall, -0.25 * tall)], wide, tall)
