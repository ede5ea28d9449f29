"""From the painted canvas to a photograph: haze, fog, night, rain, snow, exposure, blur, noise."""

from __future__ import annotations

import cv2
import numpy as np

from toyworld import ids
from toyworld.canvas import Canvas
from toyworld.ground import Ground
from toyworld.textures import fractal, noise_tile, to_bytes
from toyworld.world import World

CONDITIONS = ("clear", "fog", "night", "rain", "snow")


def finish(
    rngs: tuple[np.random.Generator, np.random.Generator],
    canvas: Canvas,
    world: World,
    condition: str,
    ground: Ground,
    lamps: list[tuple[float, float]],
) -> tuple[np.ndarray, np.ndarray]:
    """Canvas at twice the size -> image (H, W, 3) uint8 RGB and label (H, W) uint8 ids.

    `rngs`: for what stays the same over a sequence (exposure, sight), and for what changes in every frame (noise).
    `lamps`: plan (u, s) of the own car and of the street lamps.
    """
    rng, grain = rngs
    height, width = canvas.camera.shape
    size = (width // 2, height // 2)
    label = np.ascontiguousarray(canvas.label[1::2, 1::2])
    near = cv2.resize(canvas.nearness, size, interpolation=cv2.INTER_AREA)
    image = canvas.image
    if condition == "rain":
        image = _wet(canvas, ground)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    sights = {"fog": rng.uniform(14, 38), "rain": 160.0, "snow": rng.uniform(70, 130)}
    sight = sights.get(condition, rng.uniform(240, 800))
    image = _haze(rng, image, near, world.sky.horizon, sight, fog=condition == "fog")
    if condition == "night":
        image = _night(rng, image, near, canvas, ground, lamps)
    elif condition == "snow":
        image = _flakes(grain, image)
    elif condition == "rain":
        image = _streaks(grain, image)
    return _camera(rng, grain, image, condition), label


def _haze(
    rng: np.random.Generator, image: np.ndarray, near: np.ndarray, color: np.ndarray, sight: float, fog: bool
) -> np.ndarray:
    """Blend towards the air's color by exp(-distance / sight) (Koschmieder); fog swallows the sky too."""
    depth = 1.0 / np.maximum(near, 1e-3)
    through = np.exp(-depth / sight)
    through = np.where(near < 1e-3, np.float32(0.04 if fog else 1.0), through)[..., None]
    air = color.astype(np.float32) * (0.92 if fog else 0.96)
    if fog:
        through = np.clip(through * (1 + 0.2 * fractal(rng, near.shape[0], near.shape[1], 3)[..., None]), 0, 1)
    return image * through + air * (1 - through)


def _wet(canvas: Canvas, ground: Ground) -> np.ndarray:
    """Draw wet ground: darker, mirroring what stands above the horizon, more so in puddles."""
    top, u, s = ground[:3]
    image = canvas.image.astype(np.float32)
    height = image.shape[0]
    rows = np.clip(2 * top - np.arange(top, height), 0, height - 1)
    mirror = cv2.GaussianBlur(canvas.image[rows], (0, 0), sigmaX=2.0, sigmaY=9.0).astype(np.float32)
    wet = np.isin(canvas.label[top:], (ids.ROAD, ids.SIDEWALK, ids.PARKING, ids.GROUND))
    column = (u * 5).astype(np.int32) % 512
    row = (s * 3).astype(np.int32) % 512
    puddle = np.clip(0.5 + 0.5 * noise_tile(8, 3)[row, column], 0, 1)
    share = (np.where(wet, 0.22 + 0.42 * puddle, 0))[..., None].astype(np.float32)
    image[top:] = image[top:] * (1 - 0.75 * share) * np.where(wet, 0.78, 1)[..., None] + 0.75 * share * mirror
    return to_bytes(image)


def _streaks(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Draw falling rain and drops on the lens."""
    height, width = image.shape[:2]
    drops = (rng.random((height, width)) < 0.006).astype(np.float32)
    kernel = np.zeros((15, 15), np.float32)
    cv2.line(kernel, (7 + int(rng.integers(-3, 4)), 0), (7, 14), 1.0 / 9, 1)
    rain = cv2.filter2D(drops, -1, kernel)[..., None]
    image = 0.9 * image + 14 + 300 * rain * 0.5
    smear = cv2.GaussianBlur(image, (0, 0), 4)
    for _ in range(int(rng.integers(6, 18))):
        x, y, r = int(rng.integers(width)), int(rng.integers(height)), int(rng.integers(3, 9) * height / 256) + 1
        mask = np.zeros((height, width), np.float32)
        cv2.ellipse(mask, (x, y), (r, int(r * 1.3)), 0, 0, 360, 1.0, -1)
        mask = cv2.GaussianBlur(mask, (0, 0), 1.2)[..., None]
        image = image * (1 - 0.85 * mask) + 0.85 * mask * (smear[::-1] * 0.25 + smear * 0.8)
    return image


def _flakes(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    for share, blur, gain in ((0.010, 0.5, 1.3), (0.003, 0.9, 3.0), (0.0006, 1.7, 9.0)):
        dots = (rng.random((height, width)) < share).astype(np.float32)
        flakes = np.clip(gain * cv2.GaussianBlur(dots, (0, 0), blur), 0, 0.9)[..., None]
        image = image * (1 - flakes) + flakes * 244
    return image * 0.96 + 8


def _night(
    rng: np.random.Generator,
    image: np.ndarray,
    near: np.ndarray,
    canvas: Canvas,
    ground: Ground,
    lamps: list[tuple[float, float]],
) -> np.ndarray:
    """Draw darkness, pools of light under lamps and before the own car, glowing windows and lights with a halo."""
    top, u, s = ground[:3]
    height, width = near.shape
    size = (width, height)
    glow = cv2.resize(canvas.glow, size, interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
    pool = np.zeros(canvas.camera.shape, np.float32)
    on_ground = np.isin(canvas.label[top:], (ids.ROAD, ids.SIDEWALK, ids.PARKING, ids.GROUND, ids.TERRAIN, ids.RAIL))
    for lamp_u, lamp_s in lamps:
        pool[top:] += 0.5 * np.exp(-((u - lamp_u) ** 2 + (s - lamp_s) ** 2) / 40)
    reach = np.maximum(s - canvas.camera.position[2], 0)
    beam = np.exp(-(((u - lamps[0][0]) / (1.2 + 0.13 * reach)) ** 2)) * np.exp(-reach / 16)
    pool[top:] = np.where(on_ground, pool[top:] * 0.8 + 0.55 * beam, 0.12)
    pool[:top] = 0.06
    light = cv2.GaussianBlur(cv2.resize(pool, size, interpolation=cv2.INTER_AREA), (0, 0), 3)[..., None]
    near = near[..., None]
    ambient = rng.uniform(0.14, 0.24)
    sky = near < 1e-3
    dark = image * (ambient + 0.25 * np.clip(4 * near, 0, 0.5)) * np.array([0.92, 0.95, 1.12], np.float32)
    dark = np.where(sky, image * 0.09 + np.array([10, 10, 16], np.float32), dark)
    dark = dark + image * light * np.array([1.0, 0.86, 0.62], np.float32)
    warm = image * 0.5 + np.array([118, 92, 52], np.float32)
    lit = dark * (1 - glow) + glow * np.maximum(warm, image)
    near_by, wide = (cv2.GaussianBlur(lit * glow, (0, 0), sigma * height / 256) for sigma in (5, 14))
    return lit + 0.55 * (near_by + 0.5 * wide)


def _camera(rng: np.random.Generator, frame: np.random.Generator, image: np.ndarray, condition: str) -> np.ndarray:
    """Add vignette, exposure, white balance, contrast, blur and sensor noise."""
    height, width = image.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    image = image * (1 - rng.uniform(0.02, 0.16) * (x * x + y * y) / 2)[..., None]
    exposure = rng.uniform(0.88, 1.26) if condition in ("clear", "rain") else rng.uniform(0.92, 1.08)
    image = image * exposure * (1 + rng.uniform(-0.05, 0.05, 3)).astype(np.float32)
    image = 255 * np.clip(image / 255, 0, 1.3) ** rng.uniform(0.88, 1.12)
    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), rng.uniform(0.3, 0.5) * height / 256)
    grain = frame.standard_normal((height, width, 1), dtype=np.float32)
    grain = grain + 0.5 * frame.standard_normal((height, width, 3), dtype=np.float32)
    noise = rng.uniform(1.0, 3.2) * (1.6 if condition == "night" else 1.0)
    return to_bytes(image + noise * grain)
