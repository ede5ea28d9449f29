"""Procedural street scenes: a small world in meters, drawn from back to front.

`write(root, parts)` leaves them as files in the layout of Cityscapes (so does `python scripts/make_scenes.py ROOT`);
`render` makes a single one in memory.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from toyworld import parts as scenes
from toyworld.parts import COUNTS, PARTS, Part
from toyworld.scene import photograph
from toyworld.store import check_ours, is_complete, publish
from toyworld.weather import CONDITIONS
from utils.errors import UserError, nearest
from utils.files import locked
from utils.workers import in_processes

__all__ = ["COUNTS", "PARTS", "SIZE", "render", "write"]

SIZE = (256, 512)


def render(
    index: int,
    seed: int = 0,
    split: str = "train",
    condition: str = "clear",
    size: tuple[int, int] = SIZE,
    time: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """One scene: image (H, W, 3) uint8 RGB and raw Cityscapes label ids (H, W) uint8.

    A pure function of its arguments. `split`: train, val, test or train_extra; `condition`: clear, fog, night, rain
    or snow, the same street in other weather; `time`: frames (1/17 s) that the camera has driven on.
    """
    check_known(split, scenes.SPLITS, "split")
    check_known(condition, CONDITIONS, "condition")
    check_size(size)
    return photograph(scenes.scene(seed, scenes.SPLITS[split], index, condition), size, time)


def write(
    root: str | Path,
    parts: Sequence[str] = ("fine",),
    seed: int = 0,
    counts: Mapping[str, int] | None = None,
    size: tuple[int, int] = SIZE,
    workers: int | None = None,
) -> None:
    """Write parts of the data set below `root`; what is there already, complete and of the same seed, stays.

    `parts`: fine (train and val), test, coarse (brings fine along), sequence, motion (labels of all frames of the
    sequences, and flow between them), fog, night, rain, snow.
    `counts`: pictures a split, see COUNTS. `size`: (H, W). `workers`: processes; None: one a core up to
    four. The files do not depend on it. Raises UserError for unknown names and for a folder with other data.
    """
    root = Path(root)
    for name in parts:
        check_known(name, PARTS, "part")
    for name in counts or {}:
        check_known(name, COUNTS, "count")
    check_size(size)
    counts = {**COUNTS, **(counts or {})}
    root.mkdir(parents=True, exist_ok=True)
    with locked(root, f"another process draws scenes in {root}; waiting for it", ".toy.lock"):
        for name, part in PARTS.items():
            if name in parts or (name == "fine" and "coarse" in parts):
                _write_part(root, name, part, seed, counts, size, workers)


def check_known(name: str, names: Iterable[str], what: str) -> None:
    """Raise UserError, with the nearest name, unless `name` is one of `names`."""
    names = list(names)
    if name not in names:
        raise UserError(
            f"unknown {what} {name!r} of the embedded scenes{nearest(name, names)}; known: {', '.join(names)}"
        )


def check_size(size: tuple[int, int]) -> None:
    """Raise UserError for a size that cannot be drawn."""
    if len(size) != 2 or min(size) < 32 or any(n % 2 for n in size):
        raise UserError(f"size {size} of the embedded scenes: give two even numbers (H, W) of at least 32")


def _write_part(
    root: Path, name: str, part: Part, seed: int, counts: Mapping[str, int], size: tuple[int, int], workers: int | None
) -> None:
    jobs, used = scenes.jobs(name, counts), {count: counts[count] for count in part.counts}
    key = {"version": scenes.VERSION, "seed": seed, "size": list(size), "counts": used}
    if is_complete(root, name, key, [file for job in jobs for file in job.files()]):
        return
    check_ours(root, name, part.folders)
    for left in root.glob(f".toy_{name}_*"):  # of a run that was killed: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    staged = Path(tempfile.mkdtemp(prefix=f".toy_{name}_", dir=root))
    try:
        for folder in part.folders:
            (staged / folder).mkdir(parents=True)
        draw = partial(scenes.run, staged=staged, root=root, seed=seed, size=size)
        in_processes(draw, jobs, f"scenes: {name}", workers)
        publish(staged, root, name, key, part.folders)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
