"""The embedded street scenes: Cityscapes' classes and layout, drawn where they are asked for and not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from datasets import cityscapes
from datasets.entry import DatasetEntry
from datasets.reading import label_lut, remap_labels
from utils import textfile

SCENE = "a scene"
_FOLDERS = {"fine": "gtFine/train", "coarse": "gtCoarse/train_extra", "test": "leftImg8bit/test"}


def prepare(root: str, mode: str, cfg: Any) -> None:
    """Draw the parts that a mode needs and that are not there; what somebody put or drew there himself stays.

    Coarse images bring fine ones along: beside somebody's own they are drawn as those were.
    """
    import toyworld  # it brings the renderer, which nothing else needs

    coarse = mode == "train" and cityscapes.Coarse.of(cfg.DATASET) is not None
    default = {"seed": 0, "size": list(toyworld.SIZE), "counts": toyworld.COUNTS}
    as_fine: dict[str, Any] = {}
    for part in ["fine"] + ["coarse"] * coarse + ["test"] * (mode == "test"):
        marker = Path(root) / f"toy_{part}.json"
        try:
            found = textfile.read_json(marker)
            own = bool(found["complete"]) and any(found[key] != value for key, value in default.items())
            if part == "fine" and own:
                as_fine = {"seed": found["seed"], "counts": found["counts"], "size": tuple(found["size"])}
        except (OSError, ValueError, KeyError, TypeError):
            own = not marker.exists() and (Path(root) / _FOLDERS[part]).exists()
        if not own:
            toyworld.write(root, (part,), **(as_fine if part == "coarse" else {}))


def drawn(count: int, split: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw the first scenes of a split in memory: images (H, W, 3) uint8 RGB, train ids (H, W) uint8."""
    import toyworld

    scenes = (toyworld.render(index, split=split) for index in range(count))
    table = label_lut(cityscapes.SPEC)
    return [(image, remap_labels(ids, table, SCENE, cityscapes.SPEC)) for image, ids in scenes]


DATASET = DatasetEntry(
    replace(cityscapes.SPEC, name="toy"),
    cityscapes.items,
    root="TOY_DIR",
    prepare=prepare,
    adjacent_frames=cityscapes.adjacent_frames,
    reads_in_training=cityscapes.IN_TRAINING,
)
