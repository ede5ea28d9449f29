"""Lamps, traffic lights, signs, bins, benches, trees: what stands along a street, as cut-outs."""

from __future__ import annotations

import numpy as np

from toyworld import ids
from toyworld.model import Face, Solid, Thing, bar, box, fixed, flat, oval, ring
from toyworld.textures import leaves

GREYS = ((118, 120, 122), (86, 90, 92), (146, 148, 148), (62, 78, 66), (54, 56, 60))
RED, BLUE, YELLOW, WHITE, INK = (190, 30, 36), (28, 74, 156), (222, 182, 38), (230, 230, 226), (26, 26, 28)


def _thing(faces: list[Face], half: float, tall: float, bottom: float = 0.0) -> Thing:
    return Thing([Solid(faces, np.zeros(3), closed=False)], 0, 0, shadow=(half, half, bottom, tall))


def _pole(color: np.ndarray, x: float, tall: float, wide: float, bottom: float = 0.0) -> list[Face]:
    """A round post: a light and a dark half."""
    h, top = wide / 2, wide * 0.38
    shape = [(x - h, bottom), (x + h, bottom), (x + top, tall), (x - top, tall)]
    dark = [(x + h * 0.1, bottom), (x + h, bottom), (x + top, tall), (x, tall)]
    return [Face(flat(shape), color, ids.POLE), Face(flat(dark), color * 0.72, ids.POLE)]


def _grey(rng: np.random.Generator) -> np.ndarray:
    return np.array(GREYS[int(rng.integers(len(GREYS)))]) * rng.uniform(0.8, 1.15)


def lamp_post(rng: np.random.Generator, towards: float) -> Thing:
    """A street lamp whose arm reaches `towards` (-1 left, +1 right), or a plain post."""
    color, tall, p = _grey(rng), rng.uniform(5.5, 9.0), ids.POLE
    faces = _pole(color, 0.0, tall, rng.uniform(0.19, 0.28))
    lit = (255, 214, 150)
    if rng.random() < 0.7:
        arm = towards * rng.uniform(1.0, 2.2)
        faces.append(Face(flat(bar((0, tall - 0.1), (arm, tall + 0.25), 0.12, 0.09)), color * 0.9, p))
        head = [
            (arm - 0.1, tall + 0.18),
            (arm + towards * 0.7, tall + 0.24),
            (arm + towards * 0.7, tall + 0.38),
            (arm, tall + 0.38),
        ]
        faces.append(Face(flat(head), color * 0.7, p))
        bulb = [
            (arm, tall + 0.13),
            (arm + towards * 0.6, tall + 0.18),
            (arm + towards * 0.6, tall + 0.26),
            (arm, tall + 0.22),
        ]
        faces.append(Face(flat(bulb), lit, p, glow=True))
    else:
        faces.append(
            Face(flat([(-0.2, tall), (0.2, tall), (0.3, tall + 0.55), (-0.3, tall + 0.55)]), lit, p, glow=True)
        )
        faces.append(Face(flat([(-0.36, tall + 0.55), (0.36, tall + 0.55), (0.0, tall + 0.75)]), color * 0.6, p))
    thing = _thing(faces, 0.1, tall)
    thing.lamp = True
    return thing


def bollard(rng: np.random.Generator) -> Thing:
    """A knee-high post with a reflecting band."""
    color = _grey(rng) if rng.random() < 0.6 else np.array([170.0, 60.0, 50.0])
    faces = _pole(color, 0.0, 0.95, 0.16)
    faces.append(Face(flat(bar((-0.08, 0.8), (0.08, 0.8), 0.1)), (220, 220, 214), ids.POLE))
    return _thing(faces, 0.08, 0.95)


def post(rng: np.random.Generator) -> Thing:
    """A mast of overhead wires or a bollard."""
    if rng.random() < 0.4:
        return bollard(rng)
    color, tall = _grey(rng), rng.uniform(4.5, 8.5)
    return _thing(
        _pole(color if rng.random() < 0.7 else np.array([110.0, 84.0, 62.0]), 0, tall, rng.uniform(0.14, 0.3)),
        0.12,
        tall,
    )


def _head(x: float, y: float, state: int, scale: float, back: bool) -> list[Face]:
    """Signal head with its top at y; `state` 0 red, 1 amber, 2 green."""
    w, h, label = 0.36 * scale, 1.05 * scale, ids.LIGHT
    faces = [Face(flat([(x - w / 2, y - h), (x + w / 2, y - h), (x + w / 2, y), (x - w / 2, y)]), (34, 38, 36), label)]
    if back:
        return faces
    rim = w / 2 + 0.05 * scale
    faces.insert(
        0,
        Face(
            flat([(x - rim, y - h - 0.05), (x + rim, y - h - 0.05), (x + rim, y + 0.05), (x - rim, y + 0.05)]),
            (70, 74, 72),
            label,
        ),
    )
    for i, (off, on) in enumerate(
        (((72, 26, 24), (255, 52, 40)), ((76, 60, 24), (255, 190, 50)), ((22, 58, 44), (60, 240, 150)))
    ):
        cy = y - h * (0.19 + 0.31 * i)
        faces.append(
            Face(flat(oval(x, cy, 0.13 * scale, 0.13 * scale, 12)), on if i == state else off, label, glow=i == state)
        )
    return faces


def traffic_light(rng: np.random.Generator, towards: float, reach: float) -> Thing:
    """A signal at the kerb, sometimes with an arm over the lanes (`reach` metres `towards` them)."""
    color, state = _grey(rng), int(rng.choice([0, 1, 2], p=[0.45, 0.1, 0.45]))
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
    """A traffic sign on its post: round, triangular, square, octagonal or a direction board."""
    if rng.random() < 0.09:
        return _weathered(rng, _board(rng))
    s = ids.SIGN
    tall, r = rng.uniform(2.3, 2.9), rng.uniform(0.34, 0.48)
    faces = _pole(_grey(rng), 0.0, tall + r, 0.14)
    faces += _plate(rng, tall, r, s)
    if rng.random() < 0.3:
        faces += _plate(rng, tall - 2 * r - 0.08, r * 0.9, s)
    return _weathered(rng, _thing(faces, 0.3, tall + r, tall - r))


def _weathered(rng: np.random.Generator, thing: Thing) -> Thing:
    """Fade the plates of a sign: dirt, shade and age make their paints less pure than the catalogue's."""
    tone, cast = rng.uniform(0.62, 1.08), rng.uniform(-12, 12, 3)
    for face in thing.solids[0].faces:
        if face.label == ids.SIGN and face.color is not None:
            face.color = np.clip(np.asarray(face.color) * tone + cast, 5, 250)
    return thing


def _plate(rng: np.random.Generator, y: float, r: float, s: int) -> list[Face]:
    kind = int(rng.integers(8))
    disc, inner = flat(oval(0, y, r, r, 18)), flat(oval(0, y, r * 0.74, r * 0.74, 18))
    up = [(-r * 1.05, y - r * 0.75), (r * 1.05, y - r * 0.75), (0, y + r)]
    small = [(-r * 0.68, y - r * 0.53), (r * 0.68, y - r * 0.53), (0, y + r * 0.6)]
    square = [(-r, y - r), (r, y - r), (r, y + r), (-r, y + r)]
    bar_h = Face(flat(bar((-r * 0.6, y), (r * 0.6, y), r * 0.34)), WHITE, s)
    digit = [Face(flat(ring(x * r, y, r * 0.3, r * 0.16, 10)), INK, s) for x in (-0.3, 0.35)]
    arrow = Face(
        flat(
            [
                (-r * 0.15, y - r * 0.6),
                (r * 0.15, y - r * 0.6),
                (r * 0.15, y),
                (r * 0.45, y),
                (0, y + r * 0.6),
                (-r * 0.45, y),
                (-r * 0.15, y),
            ]
        ),
        WHITE,
        s,
    )
    figure = [Face(flat(bar((0, y - r * 0.4), (0, y + r * 0.25), r * 0.2)), INK, s)]
    choices: list[list[Face]] = [
        [Face(disc, RED, s), Face(inner, WHITE, s), *digit],
        [Face(disc, RED, s), bar_h],
        [Face(disc, BLUE, s), arrow],
        [Face(flat(up), RED, s), Face(flat(small), WHITE, s), *figure],
        [
            Face(flat(square), BLUE, s),
            Face(flat(bar((-r * 0.25, y - r * 0.6), (-r * 0.25, y + r * 0.6), r * 0.25)), WHITE, s),
            Face(flat(ring(0.05, y + r * 0.25, r * 0.42, r * 0.2, 10)), WHITE, s),
        ],
        [Face(flat(oval(0, y, r * 1.08, r * 1.08, 8)), RED, s), bar_h],
        [
            Face(flat(oval(0, y, r * 1.1, r * 1.1, 4)), WHITE, s),
            Face(flat(oval(0, y, r * 0.75, r * 0.75, 4)), YELLOW, s),
        ],
        [
            Face(disc, RED, s),
            Face(flat(oval(0, y, r * 0.78, r * 0.78, 18)), BLUE, s),
            Face(flat(bar((-r * 0.5, y + r * 0.5), (r * 0.5, y - r * 0.5), r * 0.2)), RED, s),
        ],
    ]
    return choices[kind]


def _board(rng: np.random.Generator) -> Thing:
    """A direction board on two posts."""
    w, h, y = rng.uniform(0.8, 1.3), rng.uniform(0.5, 0.9), rng.uniform(2.0, 2.7)
    back, ink = ((BLUE, WHITE), (YELLOW, INK), (WHITE, INK), ((28, 104, 74), WHITE))[int(rng.integers(4))]
    grey = _grey(rng)
    faces = _pole(grey, -w * 0.7, y + h, 0.13) + _pole(grey, w * 0.7, y + h, 0.13)
    outline = [(-w, y - h), (w, y - h), (w, y + h), (-w, y + h)]
    faces += [Face(flat([(a * 1.04, b + 0.04 * np.sign(b - y)) for a, b in outline]), ink, ids.SIGN)]
    faces.append(Face(flat(outline), back, ids.SIGN))
    for i in range(3):
        cy = y + h * (0.6 - 0.6 * i)
        faces.append(Face(flat(bar((-w * 0.8, cy), (w * rng.uniform(-0.1, 0.5), cy), h * 0.22)), ink, ids.SIGN))
        tip = [(w * 0.65, cy - h * 0.18), (w * 0.88, cy), (w * 0.65, cy + h * 0.18)]
        faces.append(Face(flat(tip), ink, ids.SIGN))
    return _thing(faces, w, y + h, y - h)


def clutter(rng: np.random.Generator) -> Thing:
    """Void things: a bin, an advertising column, a bench, a distribution box."""
    kind, color = int(rng.integers(4)), _grey(rng)
    if kind == 0:
        label = ids.DYNAMIC
        quads = box(0.6, 0.08, 1.05, -0.35, 0.35)
        paint = np.array([(50, 70, 52), (66, 66, 70), (150, 130, 40), (60, 82, 120)][int(rng.integers(4))])
    elif kind == 1:
        label, paint = ids.STATIC, color * 1.2
        quads = box(1.1, 0.0, rng.uniform(2.4, 3.2), -0.5, 0.5)
    elif kind == 2:
        label, paint = ids.STATIC, np.array([116.0, 86.0, 58.0])
        quads = box(0.5, 0.35, 0.5, -0.9, 0.9)
    else:
        label, paint = ids.STATIC, color
        quads = box(0.5, 0.0, 1.2, -0.6, 0.6)
    faces = [Face(q, paint, label, fade=(1.1, 0.85)) for q in quads.values()]
    if kind == 1:
        for face in faces[:4]:
            low, right, top, left = face.points
            poster = np.array(
                [
                    0.85 * low + 0.15 * top,
                    0.85 * right + 0.15 * left,
                    0.85 * top + 0.15 * low,
                    0.85 * left + 0.15 * right,
                ]
            )
            face.details.append(Face(poster, rng.uniform(50, 220, 3), label))
    height = float(faces[0].points[:, 1].max())
    return Thing([Solid(faces, np.array([0, height / 2, 0]))], 0, 0, yaw=0.0, shadow=(0.4, 0.5, 0.0, height))


def foliage(rng: np.random.Generator) -> np.ndarray:
    """A color of leaves: green, olive, autumn."""
    base = np.array(
        [(66, 96, 44), (88, 104, 48), (54, 84, 50), (112, 108, 48), (150, 104, 44)][
            int(rng.choice(5, p=(0.34, 0.26, 0.2, 0.13, 0.07)))
        ]
    )
    return base * rng.uniform(0.75, 1.25) + rng.uniform(-8, 8, 3)


def crowns(rng: np.random.Generator, sun: tuple[float, float], snow: bool) -> list[np.ndarray]:
    """A few leaf textures, shared by the trees of one scene."""
    own = foliage(rng)
    return [leaves(rng, own if rng.random() < 0.6 else foliage(rng), sun, snow) for _ in range(4)]


def tree(rng: np.random.Generator, sprites: list[np.ndarray], size: float = 1.0) -> Thing:
    """Trunk, branches and crown."""
    tall = rng.uniform(5.0, 11.0) * size
    wide, stem = tall * rng.uniform(0.28, 0.48), tall * rng.uniform(0.18, 0.32)
    bark, t = np.array([92, 76, 62]) * rng.uniform(0.6, 1.2), ids.TREE
    girth = 0.035 * tall * rng.uniform(0.8, 1.2)
    lean = rng.uniform(-0.15, 0.15)
    faces = [Face(flat(bar((0, 0), (lean, stem + 0.25 * tall), girth * 1.3, girth * 0.7)), bark, t)]
    faces.append(
        Face(
            flat(bar((girth * 0.3, 0), (lean + girth * 0.2, stem + 0.2 * tall), girth * 0.5, girth * 0.3)),
            bark * 0.65,
            t,
        )
    )
    for sign in (-1, 1):
        faces.append(
            Face(flat(bar((lean, stem), (sign * wide * 0.5, stem + 0.35 * tall), girth * 0.5, 0.05)), bark * 0.8, t)
        )
    flip = 1 if rng.random() < 0.5 else -1
    low = stem * 0.8
    quad = np.array([(-wide * flip, tall, 0), (wide * flip, tall, 0), (-wide * flip, low, 0)], float)
    faces.append(Face(quad, None, t, texture=fixed(sprites[int(rng.integers(len(sprites)))])))
    thing = _thing(faces, wide * 0.7, tall, low)
    return thing


def bush(rng: np.random.Generator, sprites: list[np.ndarray]) -> Thing:
    """A crown that starts at the ground."""
    wide, tall = rng.uniform(0.6, 1.6), rng.uniform(0.8, 2.0)
    quad = np.array([(-wide, tall, 0), (wide, tall, 0), (-wide, -0.25 * tall, 0)], float)
    face = Face(quad, None, ids.TREE, texture=fixed(sprites[int(rng.integers(len(sprites)))]))
    return _thing([face], wide, tall)
