"""Raw Cityscapes label ids, and the ones that are drawn."""

from __future__ import annotations

import numpy as np

EGO, STATIC, DYNAMIC, GROUND = 1, 4, 5, 6
ROAD, SIDEWALK, PARKING, RAIL = 7, 8, 9, 10
BUILDING, WALL, FENCE = 11, 12, 13
POLE, LIGHT, SIGN = 17, 19, 20
TREE, TERRAIN, SKY = 21, 22, 23
PERSON, RIDER, CAR, TRUCK, BUS = 24, 25, 26, 27, 28
TRAILER, TRAIN, MOTORCYCLE, BICYCLE = 30, 31, 32, 33

# In the order of the train ids 0..18.
EVALUATED = (
    ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE, LIGHT, SIGN, TREE, TERRAIN,
    SKY, PERSON, RIDER, CAR, TRUCK, BUS, TRAIN, MOTORCYCLE, BICYCLE,
)  # fmt: skip
THIN = (POLE, LIGHT, SIGN, FENCE, PERSON, RIDER, MOTORCYCLE, BICYCLE)


def train_ids(labels: np.ndarray) -> np.ndarray:
    """Raw ids (any shape, uint8) -> train ids 0..18, 255 for every void id."""
    table = np.full(256, 255, np.uint8)
    table[list(EVALUATED)] = np.arange(len(EVALUATED), dtype=np.uint8)
    return table[labels]
