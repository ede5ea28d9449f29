"""The sky and the light that comes from it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from toyworld import ids
from toyworld.canvas import Canvas, Light
from toyworld.textures import fractal, to_bytes


@dataclass(frozen=True)
class Sky:
    """Colors at the zenith and at the horizon, cloudiness 0..1, a seed of the clouds."""

    zenith: np.ndarray
    horizon: np.ndarray
    clouds: float
    cloud: np.ndarray
    seed: int


def weather_light(rng: np.random.Generator, condition: str) -> tuple[Sky, Light, float]:
    """Draw sky, light and the strength of cast shadows, by the same numbers for every condition."""
    kind = rng.choice(["overcast", "fair", "clear", "evening"], p=[0.42, 0.28, 0.2, 0.1])
    azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.0)
    gray, blue, seed = rng.uniform(172, 240), rng.uniform(0.75, 1.1), int(rng.integers(2**31))
    if condition != "clear":
        kind = "overcast"
    sun = np.array([np.cos(height) * np.sin(azimuth), np.sin(height), np.cos(height) * np.cos(azimuth)])
    flat = gray * np.array([0.98, 1.0, 1.02])
    azure = np.array([92, 142, 206]) * blue
    warm = np.array([240, 200, 160.0])
    looks = {
        "overcast": (0.88 * flat, flat, 0.6, 0.95 * flat, 0.80, 0.30, 0.0),
        "fair": (azure, np.array([196, 214, 230.0]), 0.75, np.array([238, 240, 242.0]), 0.60, 0.55, 0.42),
        "clear": (azure * 0.95, np.array([178, 206, 232.0]), 0.15, np.array([240, 240, 242.0]), 0.52, 0.68, 0.52),
        "evening": (np.array([120, 140, 180.0]), warm, 0.5, 0.98 * warm, 0.60, 0.50, 0.40),
    }
    zenith, horizon, clouds, cloud, ambient, diffuse, shadow = looks[str(kind)]
    light = Light(sun, ambient, diffuse, night=condition == "night", snow=condition == "snow")
    return Sky(zenith, horizon, clouds, cloud, seed), light, shadow


def draw_sky(canvas: Canvas, sky: Sky) -> None:
    """Fill everything with sky: a gradient and clouds that flatten towards the horizon."""
    canvas.label[:] = ids.SKY
    if canvas.draft:
        return
    height, width = canvas.camera.shape
    rays = canvas.camera.rays(step=4)
    climb = np.clip(rays[..., 1], 0.0, 1.0)
    blend = np.sqrt(np.clip(climb / 0.5, 0, 1))[..., None]
    image = (1 - blend) * sky.horizon + blend * sky.zenith
    rng = np.random.default_rng(sky.seed)
    cover = fractal(rng, 256, 512, 3)
    turn = np.arctan2(rays[..., 0], rays[..., 2]) * 330
    lift = 120 * np.log1p(6 * climb)
    x, y = (turn.astype(np.float32) + 256), (250 - lift).astype(np.float32)
    cloud = cv2.remap(cover, x % 511, np.clip(y, 0, 255), cv2.INTER_LINEAR)
    amount = np.clip((cloud + 1.3 * sky.clouds - 0.55) * 1.6, 0, 1)[..., None] * min(1.0, 0.5 + sky.clouds)
    tone = 1 + 0.10 * np.clip(cloud, -1, 1)[..., None]
    image = (1 - amount) * image + amount * sky.cloud * tone
    image = cv2.resize(image.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    canvas.image[:] = to_bytes(image)
