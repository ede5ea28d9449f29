"""Facade textures: masonry or glass, rows of windows, shops on the ground floor. `Style.density` pixels are a meter."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from toyworld.colors import choose, tint
from toyworld.textures import bricks, fractal, rough, to_bytes

WALLS = (
    (152, 84, 66), (122, 74, 62), (186, 170, 142), (204, 196, 182), (160, 160, 158), (118, 118, 122), (196, 172, 120),
    (178, 140, 112), (140, 148, 152), (214, 208, 200), (104, 96, 90), (170, 128, 100), (150, 158, 140), (88, 100, 118),
)  # fmt: skip

BOARDS = (
    (40, 44, 50), (150, 34, 36), (34, 74, 120), (36, 92, 60), (214, 206, 190), (204, 160, 50), (120, 116, 110),
    (90, 54, 40), (180, 96, 44), (70, 60, 96),
)  # fmt: skip


@dataclass(frozen=True)
class Style:
    """One building's looks; sizes in pixels of the texture."""

    density: int
    wall: np.ndarray
    kind: str
    story: int
    bay: int
    window: tuple[int, int]
    frame: np.ndarray
    glass: np.ndarray
    shop: bool
    balconies: bool
    lights_on: float


def style(rng: np.random.Generator, works: bool, density: int) -> Style:
    """Draw a building's style; `works`: sheds and offices more often."""
    weights = [0.32, 0.4, 0.12, 0.16] if not works else [0.3, 0.2, 0.2, 0.3]
    kind = str(rng.choice(["brick", "plaster", "glass", "panel"], p=weights))
    wall = np.array(choose(rng, WALLS), np.float32)
    if kind == "brick" and rng.random() < 0.7:
        wall = np.array(WALLS[int(rng.choice([0, 1, 10, 11]))], np.float32)
    wall = np.clip(wall * rng.uniform(0.75, 1.15) + rng.uniform(-8, 8, 3), 40, 235).astype(np.float32)
    story = int(density * rng.uniform(2.9, 3.7))
    bay = int(density * rng.uniform(1.9, 3.6))
    wide = rng.uniform(0.38, 0.62) if kind != "panel" else rng.uniform(0.7, 0.92)
    frame = np.array([225, 222, 214]) if rng.random() < 0.6 else wall * rng.uniform(0.4, 0.7)
    window = (int(bay * wide), int(story * rng.uniform(0.42, 0.64)))
    return Style(
        density=density, wall=wall, kind=kind, story=story, bay=bay, window=window,
        frame=np.asarray(frame, np.float32), glass=np.array([46, 56, 66]) * rng.uniform(0.7, 1.7),
        shop=rng.random() < 0.45, balconies=rng.random() < 0.22, lights_on=rng.uniform(0.15, 0.5),
    )  # fmt: skip


def facade(
    rng: np.random.Generator, look: Style, length: float, height: float, blind: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Paint the texture (h, w, 3) uint8 of a wall of `length` x `height` meters and its lit windows (h, w) uint8.

    `blind`: a side wall with few windows and no shops.
    """
    h, w = max(24, int(height * look.density)), max(16, int(min(length, 40) * look.density))
    image = _wall(rng, look, h, w)
    lit = np.zeros((h, w), np.uint8)
    base = look.story if look.shop and not blind else 0
    if look.kind == "glass" and not blind:
        _curtain(rng, image, lit, look, base)
    else:
        _windows(rng, image, lit, look, base, blind)
    if base:
        _shops(rng, image, lit, look)
    elif not blind and look.kind != "glass":
        _door(rng, image, look)
    _trim(rng, image, look)
    stain = 1 + 0.06 * fractal(rng, h, w, 3) - 0.10 * np.linspace(0, 1, h, dtype=np.float32)[:, None] ** 3
    return to_bytes(image * stain[..., None]), lit


def _wall(rng: np.random.Generator, look: Style, h: int, w: int) -> np.ndarray:
    if look.kind == "brick":
        return bricks(rng, h, w, look.wall, 4)
    image = np.broadcast_to(look.wall, (h, w, 3)).astype(np.float32)
    image = rough(rng, image, 0.035, 0.08)
    if look.kind == "panel":
        image[:: look.story] *= 0.7
        image[:, :: look.bay] *= 0.75
    return image


def _pane(rng: np.random.Generator, look: Style, h: int, w: int) -> np.ndarray:
    """Paint a window pane: dark room, reflected sky at the top, sometimes curtains."""
    down = np.linspace(1.0, 0.0, h, dtype=np.float32)[:, None, None]
    sky = np.array([150, 170, 190]) * rng.uniform(0.15, 0.7)
    pane = look.glass * rng.uniform(0.7, 1.3) + down * sky * rng.uniform(0.2, 1.0)
    pane = np.repeat(pane.astype(np.float32), w, 1)
    if rng.random() < 0.3:
        drop = int(h * rng.uniform(0.2, 0.9))
        pane[:drop] = 0.5 * pane[:drop] + rng.uniform(60, 100)
    return pane


def _windows(rng: np.random.Generator, image: np.ndarray, lit: np.ndarray, look: Style, base: int, blind: bool) -> None:
    h, w = lit.shape
    ww, wh = look.window
    columns = max(1, (w - 4) // look.bay)
    margin = (w - columns * look.bay) // 2
    panes = [_pane(rng, look, wh, ww) for _ in range(5)]
    for top in range(look.story // 2, h - base - wh - 2, look.story):
        for column in range(columns):
            if blind and rng.random() < 0.75:
                continue
            x = margin + column * look.bay + (look.bay - ww) // 2
            _window(image, look, panes[int(rng.integers(5))], x, top, sill=look.kind != "panel")
            if rng.random() < look.lights_on:
                lit[top : top + wh, x : x + ww] = int(rng.uniform(120, 255))
        if look.balconies and not blind:
            _balcony(image, look, margin, w - margin, top + wh - 6)


def _window(image: np.ndarray, look: Style, pane: np.ndarray, x: int, y: int, sill: bool) -> None:
    wh, ww = pane.shape[:2]
    image[max(0, y - 2) : y + wh + 2, max(0, x - 2) : x + ww + 2] = look.frame
    room = image[y : y + wh, x : x + ww]
    room[:] = pane[: room.shape[0], : room.shape[1]]
    image[y : y + 2, x : x + ww] *= 0.5  # the lintel's shadow
    image[y : y + wh, x + ww // 2 : x + ww // 2 + 1] = 0.8 * look.frame
    if ww > 16:
        image[y + wh // 3 : y + wh // 3 + 1, x : x + ww] = 0.8 * look.frame
    if sill:
        image[y + wh + 1 : y + wh + 4, max(0, x - 3) : x + ww + 3] = np.minimum(look.wall * 1.25, 240)
        image[y + wh + 4 : y + wh + 6, max(0, x - 3) : x + ww + 3] *= 0.7


def _balcony(image: np.ndarray, look: Style, x0: int, x1: int, y: int) -> None:
    image[y : y + 12, x0:x1] *= 0.72
    image[y : y + 12, x0:x1:3] = look.frame * 0.7
    image[y + 12 : y + 15, x0:x1] = np.minimum(look.wall * 1.15, 235)
    image[y + 15 : y + 19, x0:x1] *= 0.55


def _curtain(rng: np.random.Generator, image: np.ndarray, lit: np.ndarray, look: Style, base: int) -> None:
    """Paint a glass front: panes that mirror a cloudy sky, thin mullions, dark floor bands."""
    h, w = lit.shape
    sky = np.array([132, 156, 178]) * rng.uniform(0.5, 1.05)
    mirror = sky * (1 + 0.35 * fractal(rng, h, w, 3))[..., None]
    step_x, step_y = max(8, look.bay // 2), look.story
    tones = 1 + 0.12 * rng.standard_normal((h // step_y + 1, w // step_x + 1))
    y, x = np.mgrid[:h, :w]
    image[:] = mirror * tones[y // step_y, x // step_x][..., None]
    image[y % step_y < 7] = look.wall * 0.75
    image[x % step_x < 2] = look.frame * 0.7
    for top in range(0, h - base, step_y):
        for left in range(0, w, step_x):
            if rng.random() < look.lights_on * 0.7:
                lit[top + 8 : top + step_y, left + 2 : left + step_x] = int(rng.uniform(90, 220))


def _shops(rng: np.random.Generator, image: np.ndarray, lit: np.ndarray, look: Style) -> None:
    h, w = lit.shape
    top, x = h - look.story, 0
    image[top - 3 : top] = np.minimum(look.wall * 1.2, 240)
    while x < w - 30:
        wide = int(rng.integers(44, 100))
        end = min(w, x + wide)
        board = tint(rng, BOARDS, 0.7, 1.15)
        image[top : top + 11, x:end] = board
        _letters(rng, image[top + 3 : top + 9, x + 6 : end - 6], 255 - board * 0.4)
        image[top + 11 : h - 5, x + 2 : end - 2] = _pane(rng, look, max(1, h - 5 - top - 11), max(1, end - x - 4))
        lit[top + 11 : h - 6, x + 3 : end - 3] = int(rng.uniform(150, 255))
        _goods(rng, image[h - 22 : h - 6, x + 4 : end - 4])
        if rng.random() < 0.4:
            image[top + 11 : top + 20, x:end] = board * 0.9
            image[top + 11 : top + 20, x:end].reshape(-1, end - x, 3)[:, ::8] = 225
            image[top + 20 : top + 25, x:end] *= 0.5
        image[top + 11 : h, end - 3 : end] = look.wall * 0.85
        x = end


def _letters(rng: np.random.Generator, board: np.ndarray, ink: np.ndarray) -> None:
    x, width = 0, board.shape[1]
    while x < width - 4:
        step = int(rng.integers(2, 5))
        if rng.random() < 0.8:
            board[int(rng.integers(0, 3)) :, x : x + step] = ink
        x += step + 2


def _goods(rng: np.random.Generator, window: np.ndarray) -> None:
    for _ in range(int(rng.integers(2, 8))):
        if window.shape[0] < 6 or window.shape[1] < 12:
            return
        x, tall = int(rng.integers(0, window.shape[1] - 6)), int(rng.integers(3, window.shape[0]))
        window[-tall:, x : x + int(rng.integers(3, 7))] = rng.uniform(40, 210, 3)


def _door(rng: np.random.Generator, image: np.ndarray, look: Style) -> None:
    h, w = image.shape[:2]
    tall, wide = int(2.3 * look.density), int(1.3 * look.density)
    if w < 4 * wide:
        return
    x = int(rng.integers(wide, w - 2 * wide))
    image[h - tall - 3 :, x - 3 : x + wide + 3] = look.frame
    image[h - tall :, x : x + wide] = rng.uniform(30, 120, 3)
    image[h - tall + 3 : h - tall + 9, x + 3 : x + wide - 3] = look.glass


def _trim(rng: np.random.Generator, image: np.ndarray, look: Style) -> None:
    """Paint cornice, plinth and sometimes a line between stories."""
    h = image.shape[0]
    image[:5] = np.minimum(look.wall * 1.2, 240)
    image[5:8] *= 0.55
    image[h - int(0.6 * look.density) :] *= 0.72
    if look.kind in ("plaster", "brick") and rng.random() < 0.4:
        for y in range(look.story // 4, h, look.story):
            image[y : y + 2] = np.minimum(look.wall * 1.15, 240)


def roof(rng: np.random.Generator, snow: bool) -> np.ndarray:
    """Paint (48, 96, 3) uint8 tiles or slates."""
    color = np.array(choose(rng, ((128, 66, 50), (88, 80, 78), (104, 62, 54), (74, 78, 86))), np.float32)
    image = bricks(rng, 48, 96, color, 4)
    if snow:
        image = 0.2 * image + 185
    return to_bytes(cv2.GaussianBlur(image, (0, 0), 0.6))
