"""What the embedded data set consists of: cities, names of files, and one job for every picture or sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from toyworld import ids
from toyworld.coarse import coarsen
from toyworld.motion import motion, trace
from toyworld.scene import Scene, compose, outline, photograph
from toyworld.weather import CONDITIONS
from utils import flowfile

VERSION = 3  # raise it when the pictures change, so that old folders are written anew


class Part(NamedTuple):
    """Folders that belong to a part of the data set alone, and the counts on which it depends."""

    folders: tuple[str, ...]
    counts: tuple[str, ...]


CLIPS = ("sequences", "frames", "train", "val")
PARTS = {
    "fine": Part(("leftImg8bit/train", "leftImg8bit/val", "gtFine/train", "gtFine/val"), ("train", "val")),
    "coarse": Part(
        ("gtCoarse/train", "gtCoarse/train_extra", "gtCoarse/val", "leftImg8bit/train_extra"),
        ("train", "train_extra", "val"),
    ),
    "sequence": Part(("leftImg8bit_sequence/train", "leftImg8bit_sequence/val"), CLIPS),
    "motion": Part(
        tuple(f"{tree}_sequence/{split}" for tree in ("gtFine", "flow") for split in ("train", "val")), CLIPS
    ),
    **{name: Part((f"rgb_anon/{name}", f"gt/{name}"), ("adverse_train", "adverse_val")) for name in CONDITIONS[1:]},
    "test": Part(("leftImg8bit/test", "gtFine/test"), ("test",)),
}
CITIES = {
    "train": ("altheim", "brunnwald", "clarasee"),
    "val": ("dornfurt", "eichhafen"),
    "test": ("fallbruck", "grauental"),
    "train_extra": ("hohenlinde", "ilmtor"),
}
# "sequences": video clips a split; "frames": pictures in each; "adverse_*": pictures a condition.
COUNTS = {
    "train": 120, "val": 30, "test": 30, "train_extra": 60, "sequences": 3, "frames": 11, "adverse_train": 24,
    "adverse_val": 12,
}  # fmt: skip
SPLITS = {"train": 0, "val": 1, "test": 2, "train_extra": 3}
# A class is asked for in one of so many pictures; the others get it by chance.
EVERY = {
    ids.TRAIN: 5, ids.BUS: 4, ids.TRUCK: 4, ids.MOTORCYCLE: 3, ids.RIDER: 2, ids.BICYCLE: 2, ids.WALL: 3,
    ids.FENCE: 3, ids.PERSON: 2,
}  # fmt: skip
ENOUGH = 1 / 1200  # share of the picture from which a wanted class counts as visible
ATTEMPTS = 4
CHECKED = (256, 512)  # the size at which that is measured
ANNOTATED = 19  # the frame of a sequence that is the fine picture, as in Cityscapes


@dataclass(frozen=True)
class Job:
    """One picture (or, with several `frames`, a sequence) of a part; `stem` is its path without suffix."""

    part: str
    split: str
    index: int
    city: str
    number: int
    condition: str = "clear"
    frames: tuple[int, ...] = (ANNOTATED,)

    def files(self) -> list[str]:
        """List relative paths of all that it writes."""
        place, stem = f"{self.split}/{self.city}", f"{self.city}_{self.number:06d}"
        name = f"{stem}_{ANNOTATED:06d}"
        if self.part == "sequence":
            return [f"leftImg8bit_sequence/{place}/{stem}_{frame:06d}_leftImg8bit.png" for frame in self.frames]
        if self.part == "motion":
            labels = [f"gtFine_sequence/{place}/{stem}_{frame:06d}_gtFine_labelIds.png" for frame in self.frames]
            return labels + [f"flow_sequence/{place}/{flowfile.name(stem, a, b)}" for a, b in self.steps()]
        if self.condition != "clear":
            place = f"{self.condition}/{self.split}/{self.city}"
            name = f"{self.city}_frame_{self.number:06d}"
            labels = [f"gt/{place}/{name}_gt_{kind}.png" for kind in ("labelIds", "labelTrainIds")]
            return [f"rgb_anon/{place}/{name}_rgb_anon.png", *labels]
        image = f"leftImg8bit/{place}/{name}_leftImg8bit.png"
        if self.part == "coarse":
            coarse = f"gtCoarse/{place}/{name}_gtCoarse_labelIds.png"
            return [coarse] if self.split != "train_extra" else [image, coarse]
        return [image, f"gtFine/{place}/{name}_gtFine_labelIds.png"]

    def steps(self) -> list[tuple[int, int]]:
        """List the pairs of frames that follow each other, both ways."""
        forth = list(zip(self.frames[:-1], self.frames[1:], strict=True))
        return forth + [(b, a) for a, b in forth]


def jobs(part: str, counts: Mapping[str, int]) -> list[Job]:
    """List all jobs of a part, in a fixed order."""
    if part in ("sequence", "motion"):
        first = ANNOTATED - counts["frames"] // 2
        frames = tuple(range(first, first + counts["frames"]))
        wanted = [(split, min(counts["sequences"], counts[split])) for split in ("train", "val")]
        return [j for split, count in wanted for j in _split(part, split, count, frames=frames)]
    condition = part if part in CONDITIONS else "clear"
    pictures = [(name.removeprefix("adverse_"), counts[name]) for name in PARTS[part].counts]
    return [job for split, count in pictures for job in _split(part, split, count, condition)]


def _split(
    part: str, split: str, count: int, condition: str = "clear", frames: tuple[int, ...] = (ANNOTATED,)
) -> list[Job]:
    cities = CITIES[split]
    return [Job(part, split, i, cities[i % len(cities)], i // len(cities), condition, frames) for i in range(count)]


def wanted(seed: int, split: int, index: int) -> list[int]:
    """List the label ids that this picture has to show; each class once in every block of EVERY[class] pictures."""
    chosen = []
    for label, period in EVERY.items():
        place = np.random.default_rng([seed, split, label, index // period]).integers(period)
        if index % period == place:
            chosen.append(label)
    return chosen


def scene(seed: int, split: int, index: int, condition: str) -> Scene:
    """Compose the scene of a picture: drawn anew, a few times at most, until every wanted class is visible."""
    asked = wanted(seed, split, index)
    best, fewest = None, len(asked) + 1
    for attempt in range(ATTEMPTS):
        candidate = compose([seed, split, index, attempt], asked, condition)
        label = outline(candidate, CHECKED)
        missing = sum(int((label == value).mean() < ENOUGH) for value in asked)
        if missing < fewest:
            best, fewest = candidate, missing
        if not missing:
            break
    assert best is not None
    return best


def run(job: Job, staged: Path, root: Path, seed: int, size: tuple[int, int]) -> None:
    """Write the files of a job below `staged`. Coarse labels of fine pictures are made from those in `root`."""
    names = job.files()
    if job.part == "coarse" and job.split != "train_extra":
        fine = root / names[0].replace("gtCoarse", "gtFine")
        label = cv2.imread(str(fine), cv2.IMREAD_UNCHANGED)
        if label is None:
            raise OSError(f"cannot read {fine}")
        save(staged / names[0], coarsen(label))
        return
    made = scene(seed, SPLITS[job.split], job.index, job.condition)
    if job.part == "sequence":
        for frame, name in zip(job.frames, names, strict=True):
            save(staged / name, photograph(made, size, float(frame - ANNOTATED))[0])
        return
    if job.part == "motion":
        _run_motion(job, made, staged, size)
        return
    image, label = photograph(made, size)
    save(staged / names[0], image)
    save(staged / names[1], coarsen(label) if job.part == "coarse" else label)
    if len(names) > 2:
        save(staged / names[2], ids.train_ids(label))


def _run_motion(job: Job, made: Scene, staged: Path, size: tuple[int, int]) -> None:
    """Write labels of all frames, and where their points lie in the frames next to them."""
    at = {frame: float(frame - ANNOTATED) for frame in job.frames}
    seen = {frame: trace(made, size, time) for frame, time in at.items()}
    pixels = [surfaces.label for surfaces in seen.values()]
    pixels += [flowfile.to_pixels(motion(made, seen[a], at[a], at[b])) for a, b in job.steps()]
    for name, array in zip(job.files(), pixels, strict=True):
        save(staged / name, array)


def save(path: Path, array: np.ndarray) -> None:
    """Write a PNG of (H, W, 3) RGB or (H, W), 8 or 16 bits; OSError when it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", array[..., ::-1] if array.ndim == 3 else array)
    if not done:
        raise OSError(f"cannot encode {path}")
    path.write_bytes(data.tobytes())
