"""Clips: frames of a video that follow each other, for video prediction. Frames are BGR, as the published networks are
trained."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datasets.base import as_request
from datasets.batches import WorkerError, all_or_error
from datasets.bit_depth import bits_beside
from datasets.loaders import Loader
from datasets.samplers import ClassUniformSampler, ExactSampler
from datasets.video_clips import FRAME_TREES, sequences
from media.reading import read_image
from utils.contracts import CropRequest
from utils.errors import UserError

Clip = tuple[Path, ...]


class Split(NamedTuple):
    """Clips, and the line that says of what they are made."""

    clips: list[Clip]
    summary: str


def listing(folder: str, split: str, length: int, rate: int = 1) -> Split:
    """List all clips of `length` frames whose numbers are `rate` apart, in the order of names.

    `folder`: any tree of frames whose names end with their numbers (a sequence is what shares folder and the rest of
    the name), or a Cityscapes root, of which the `split` is taken. No clip reaches over a gap. UserError if there is
    none, and for two files of one frame.
    """
    root = Path(folder)
    root = next((root / tree / split for tree in FRAME_TREES if (root / tree / split).is_dir()), root)
    found = sequences(root, "frames").values()
    clips = [clip for frames in found for clip in _windows(frames, length, rate)]
    gaps = sum(b - a > rate for frames in found for a, b in pairwise(sorted(frames)))
    summary = f"{root}: {sum(map(len, found))} frames in {len(found)} sequences with {gaps} gaps"
    if not clips:
        raise UserError(f"{summary} hold no {length} frames whose numbers are {rate} apart; give longer sequences")
    return Split(clips, f"{summary} make {len(clips)} clips of {length}")


def _windows(frames: dict[int, Path], length: int, rate: int) -> Iterator[Clip]:
    for start in sorted(frames):
        numbers = range(start, start + length * rate, rate)
        if all(number in frames for number in numbers):
            yield tuple(frames[number] for number in numbers)


class Item(NamedTuple):
    """Frames (L, 3, H, W) uint8 BGR; `size`: their height and width before they were padded."""

    frames: np.ndarray
    size: tuple[int, int]


class Clips(NamedTuple):
    """Batch: frames (N, L, 3, H, W) uint8 BGR, their height and width before they were padded."""

    frames: Tensor
    size: tuple[int, int]


@dataclass
class ClipDataset(Dataset):
    """`dataset[draw] -> Item`, by a generator seeded by the draw.

    `crop` (height, width): a random part of that size, mirrored half of the times, the same of all frames of a clip;
    with `augment` False the middle, as it is. Without crop the whole, reflected to multiples of `stride`.
    """

    clips: Sequence[Clip]
    crop: tuple[int, int] | None = None
    augment: bool = True
    stride: int = 64

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, draw: CropRequest | int) -> Item:
        index, _, seed, _ = as_request(draw)
        return self._item(_read(self.clips[index]), random.Random(seed))

    def file_of(self, index: int) -> str:
        """Name the first frame of a clip."""
        return str(self.clips[index][0])

    def _item(self, frames: list[np.ndarray], rng: random.Random) -> Item:
        height, width = frames[0].shape[:2]
        wanted = self.crop or tuple(-(-side // self.stride) * self.stride for side in (height, width))
        frames = [_reflected(frame, *wanted) for frame in frames]
        whole = np.stack([np.stack(cv2.split(frame)) for frame in frames])  # (L, 3, H, W)
        if self.crop:
            whole = self._cut(whole, self.crop, rng)
        return Item(whole, (height, width))

    def _cut(self, frames: np.ndarray, crop: tuple[int, int], rng: random.Random) -> np.ndarray:
        spare = [have - want for have, want in zip(frames.shape[2:], crop, strict=True)]
        y, x = (rng.randint(0, n) if self.augment else n // 2 for n in spare)
        frames = frames[:, :, y : y + crop[0], x : x + crop[1]]
        mirrored = self.augment and rng.random() < 0.5
        return np.ascontiguousarray(frames[..., ::-1] if mirrored else frames)


def _read(clip: Clip) -> list[np.ndarray]:
    """Read frames, (H, W, 3) uint8 BGR each; UserError where a frame cannot be read or has another size."""
    frames = [read_image(str(path), bits=bits_beside(path.parent)[0])[..., ::-1] for path in clip]
    for path, frame in zip(clip, frames, strict=True):
        if frame.shape != frames[0].shape:
            sizes = " and ".join(f"{x.shape[1]}x{x.shape[0]}" for x in (frame, frames[0]))
            raise UserError(f"{path} and {clip[0]} differ in size ({sizes}): keep frames of one size in a sequence")
    return frames


def _reflected(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """Enlarge a frame to at least that size by reflection to the right and below, as published."""
    below, right = max(0, height - frame.shape[0]), max(0, width - frame.shape[1])
    return cv2.copyMakeBorder(np.ascontiguousarray(frame), 0, below, 0, right, cv2.BORDER_REFLECT_101)


def collate(items: Sequence[Item | WorkerError]) -> Clips | WorkerError:
    """Stack items of one size -> Clips."""
    whole = all_or_error(items)
    if isinstance(whole, WorkerError):
        return whole
    return Clips(torch.from_numpy(np.stack([item.frames for item in whole])), whole[0].size)


class ClipLoader(Loader):
    """Batches of clips: epochs of a sampler that can be entered in the middle, or without one each clip once, alone."""

    def __init__(self, dataset: ClipDataset, sampler: ClassUniformSampler | None = None, workers: int = 0) -> None:
        order: dict[str, Any] = (
            {"sampler": ExactSampler(len(dataset), 0, 1)} if sampler is None else {"batch_sampler": sampler}
        )
        super().__init__(cast(Any, dataset), workers, collate_fn=collate, **order)
        self.batches = len(dataset) if sampler is None else len(sampler)
        self.names = [clip[-1].stem for clip in dataset.clips]  # of the frames that are predicted

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return self.batches

    def __iter__(self) -> Iterator[Clips]:
        yield from self._batches()
