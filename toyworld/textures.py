"""Noise, leaves, masonry and other surfaces as small arrays."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

TILE = 512


@lru_cache(maxsize=32)
def noise_tile(blur: int, seed: int = 0) -> np.ndarray:
    """Make (512, 512) float32 tileable noise of unit variance; structures of about `blur` pixels."""
    rng = np.random.default_rng([seed, blur])
    noise = rng.standard_normal((TILE, TILE), dtype=np.float32)
    if blur > 1:
        pad = 3 * blur
        noise = np.pad(noise, pad, mode="wrap")
        noise = cv2.GaussianBlur(noise, (0, 0), blur)[pad:-pad, pad:-pad]
    noise = np.ascontiguousarray((noise - noise.mean()) / noise.std())
    noise.setflags(write=False)
    return noise


def fractal(rng: np.random.Generator, height: int, width: int, coarse: int = 4, finest: int = 4) -> np.ndarray:
    """Make (height, width) float32 cloud-like noise in about -1..1, from `coarse` cells down to `finest` pixels."""
    h, w = -(-height // finest) + 1, -(-width // finest) + 1
    total = np.zeros((h, w), np.float32)
    gain, cells = 0.6, coarse
    while cells <= max(h, w) and gain > 0.04:
        rows = max(2, cells * h // max(h, w) + 1)
        grid = rng.random((rows, max(2, cells)), dtype=np.float32) * 2 - 1
        total += gain * cv2.resize(grid, (w, h), interpolation=cv2.INTER_CUBIC)
        gain, cells = gain * 0.6, cells * 2
    return cv2.resize(total, (width, height), interpolation=cv2.INTER_LINEAR)


def rough(rng: np.random.Generator, image: np.ndarray, fine: float, coarse: float) -> np.ndarray:
    """Multiply `image` (h, w, 3) float32 with fine and coarse noise; returns float32."""
    height, width = image.shape[:2]
    tone = 1 + coarse * fractal(rng, height, width) + fine * rng.standard_normal((height, width), dtype=np.float32)
    return image * tone[..., None]


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Clip to 0..255 uint8."""
    return np.clip(image, 0, 255).astype(np.uint8)


def bricks(rng: np.random.Generator, height: int, width: int, color: np.ndarray, course: int = 4) -> np.ndarray:
    """Paint (height, width, 3) float32 masonry: courses of `course` pixels with joints, each stone of its own tone."""
    rows, columns = height // course + 1, width // (2 * course) + 2
    tones = 1 + 0.10 * rng.standard_normal((rows, columns), dtype=np.float32)
    x = np.arange(width)
    lines = np.empty((rows, width), np.float32)
    for odd in (0, 1):
        shifted = x + odd * course
        lines[odd::2] = tones[odd::2, shifted // (2 * course)] * np.where(shifted % (2 * course), 1.0, 0.8)
    tone = np.repeat(lines, course, 0)[:height]
    tone[::course] *= 0.82
    image = tone[..., None] * color.astype(np.float32)
    return rough(rng, image, 0.04, 0.10)


def leaves(rng: np.random.Generator, color: np.ndarray, sun: tuple[float, float], snow: bool = False) -> np.ndarray:
    """Paint a (176, 176, 4) uint8 tree crown: round clumps lit from `sun` (right, up) with a ragged edge."""
    size, grid = 176, 88
    y, x = np.mgrid[:grid, :grid].astype(np.float32) / grid * 2 - 1
    height = np.full((grid, grid), -1.0, np.float32)
    count, tall, top = int(rng.integers(14, 34)), rng.uniform(0.62, 0.8), rng.uniform(0.7, 1.25)
    for _ in range(count):
        angle, far = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 1))
        cy = tall * far * np.sin(angle)
        cx = 0.68 * far * np.cos(angle) * (1 + (1 - top) * 0.6 * cy)
        radius = rng.uniform(0.16, 0.34)
        lift = 0.5 * np.sqrt(max(0.0, 1 - far * far))
        inside = radius**2 - (x - cx) ** 2 - (y - cy) ** 2
        height = np.maximum(height, np.where(inside > 0, np.sqrt(np.maximum(inside, 0)) + lift, -1.0))
    gy, gx = np.gradient(cv2.GaussianBlur(np.maximum(height, 0), (0, 0), 1.2))
    tone = 0.72 + 3.2 * (-gx * sun[0] + gy * sun[1]) - 0.16 * y + 0.25 * np.maximum(height, 0)
    tone = cv2.resize(np.clip(tone, 0.3, 1.5), (size, size), interpolation=cv2.INTER_LINEAR)
    return _leaf_detail(rng, color, tone, cv2.resize(height, (size, size)), snow)


def _leaf_detail(
    rng: np.random.Generator, color: np.ndarray, tone: np.ndarray, height: np.ndarray, snow: bool
) -> np.ndarray:
    size = tone.shape[0]
    leaf = cv2.GaussianBlur(rng.standard_normal((size, size), dtype=np.float32), (0, 0), 1.1)
    leaf /= leaf.std()
    tuft = fractal(rng, size, size, 20, 2)
    tone = tone * np.clip(1 + 0.24 * leaf + 0.25 * tuft, 0.25, 1.9)
    hue = 1 + 0.10 * fractal(rng, size, size, 8)[..., None] * np.array([1.0, 0.2, -0.6], np.float32)
    image = tone[..., None] * hue * color.astype(np.float32)
    if snow:
        white = np.clip(1.2 * (tone - 0.75) + 0.5 * tuft, 0, 0.85)[..., None]
        image = image * (1 - white) + 235 * white
    solid = (height + 0.10 * leaf + 0.35 * tuft > 0.02) & (height > -0.5)
    solid &= ~((leaf > 1.9) & (height < 0.45))  # a few holes through which the sky shows
    return np.dstack([to_bytes(image), solid.astype(np.uint8) * 255])


def hedge(rng: np.random.Generator, color: np.ndarray, height: int, width: int, snow: bool = False) -> np.ndarray:
    """Paint (height, width, 4) uint8 leaves filling a rectangle but for a ragged top."""
    leaf = cv2.GaussianBlur(rng.standard_normal((height, width), dtype=np.float32), (0, 0), 1.2)
    leaf /= leaf.std()
    down = np.linspace(1.15, 0.6, height, dtype=np.float32)[:, None]
    tone = down * np.clip(1 + 0.25 * leaf + 0.3 * fractal(rng, height, width, 12), 0.3, 1.8)
    image = tone[..., None] * color.astype(np.float32)
    top = (0.10 + 0.07 * fractal(rng, 2, width, 9)[0]) * height
    y = np.arange(height)[:, None]
    if snow:
        white = np.clip(0.9 - (y - top) / (0.35 * height), 0, 0.9)[..., None].astype(np.float32)
        image = image * (1 - white) + 235 * white
    return np.dstack([to_bytes(image), ((y > top + 1.5 * leaf) * 255).astype(np.uint8)])
