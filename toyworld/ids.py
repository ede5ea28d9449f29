"""Raw Cityscapes label ids, the ones that are drawn, and colors to look at them."""

from __future__ import annotations

import numpy as np

UNLABELED, EGO, OUT, STATIC, DYNAMIC, GROUND = 0, 1, 3, 4, 5, 6
ROAD, SIDEWALK, PARKING, RAIL = 7, 8, 9, 10
BUILDING, WALL, FENCE, GUARD = 11, 12, 13, 14
POLE, LIGHT, SIGN = 17, 19, 20
TREE, TERRAIN, SKY = 21, 22, 23
PERSON, RIDER, CAR, TRUCK, BUS = 24, 25, 26, 27, 28
TRAILER, TRAIN, MOTORCYCLE, BICYCLE = 30, 31, 32, 33

# In the order of the train ids 0..18.
EVALUATED = (
    ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE, LIGHT, SIGN, TREE, TERRAIN,
    SKY, PERSON, RIDER, CAR, TRUCK, BUS, TRAIN, MOTORCYCLE, BICYCLE,
)  # fmt: skip
NAMES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
COLORS = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
    (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142),
    (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
)  # fmt: skip
THIN = (POLE, LIGHT, SIGN, FENCE, PERSON, RIDER, MOTORCYCLE, BICYCLE)


def train_ids(labels: np.ndarray) -> np.ndarray:
    """Raw ids (any shape, uint8) -> train ids 0..18, 255 for every void id."""
    table = np.full(256, 255, np.uint8)
    table[list(EVALUATED)] = np.arange(len(EVALUATED), dtype=np.uint8)
    return table[labels]


def colorize(labels: np.ndarray) -> np.ndarray:
    """Raw ids (H, W) -> (H, W, 3) uint8 in the Cityscapes palette, void black."""
    table = np.zeros((256, 3), np.uint8)
    table[list(EVALUATED)] = COLORS
    return table[labels]
