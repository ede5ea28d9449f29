"""Samples to batches: errors on their way out of a loader process, and what takes the place of a bad sample."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from datasets.base import as_request
from media.reading import PictureError
from utils.contracts import Batch, CropRequest, EvalBatch, Sample
from utils.errors import MachineError, UserError, in_short

T = TypeVar("T")

_TRIED = 16  # samples in place of a bad one: where all of these are bad as well, it is no single file


@dataclass(frozen=True)
class WorkerError:
    """A user's mistake on its way out of a loader process, which would bury a raised one in a traceback.

    `of_picture`: a picture could not be read. `of_sample`: it, its label, or both together are wrong.
    """

    message: str
    of_picture: bool = False
    of_sample: bool = False

    @classmethod
    def of(cls, error: Exception, path: str) -> WorkerError:
        """Describe any other error, no user's: where it happened, and with which file."""
        *_, place = traceback.extract_tb(error.__traceback__)
        return cls(f"{in_short(error)} ({place.filename}, line {place.lineno}, with {path})")


@dataclass
class ErrorCapturingDataset(Dataset):
    """A dataset whose errors come out as `WorkerError` values, the same from a loader process and from this one.

    `file_of(index)` of the dataset names a file for the errors that are no user's. `instead`: items one of which takes
    the place of a bad sample, drawn by the seed of its request, so that it is the same for any number of processes and
    after a resume; none: a bad sample stays an error.
    """

    dataset: Any
    instead: Sequence[int] | np.ndarray = ()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: CropRequest | int) -> Any:
        found = self._read(draw)
        return self._another(as_request(draw), found) if len(self.instead) and _is_bad(found) else found

    def _another(self, request: CropRequest, bad: WorkerError) -> Any:
        """Read the sample that takes the place of a bad one, and write into it whose place that is."""
        rng, lines = random.Random(f"instead-{request.seed}"), [bad.message]
        while len(lines) <= _TRIED:
            index = int(self.instead[rng.randrange(len(self.instead))])
            found = self._read(CropRequest(index, None, rng.getrandbits(63), request.short))
            if not _is_bad(found):
                if isinstance(found, Sample):
                    found.instead_of = tuple(lines)
                return found
            lines.append(found.message)
        return WorkerError(f"{len(lines)} samples in a row cannot be read, the last: {lines[-1]}")

    def _read(self, draw: CropRequest | int) -> Any:
        try:
            return self.dataset[draw]
        except UserError as error:
            return WorkerError(str(error), isinstance(error, PictureError), not isinstance(error, MachineError))
        except Exception as error:
            return WorkerError.of(error, self.dataset.file_of(as_request(draw).index))


def _is_bad(found: Any) -> bool:
    return isinstance(found, WorkerError) and found.of_sample


def all_or_error(samples: Sequence[T | WorkerError]) -> list[T] | WorkerError:
    """Give the samples, or the first error among them."""
    whole = [sample for sample in samples if not isinstance(sample, WorkerError)]
    return whole if len(whole) == len(samples) else next(s for s in samples if isinstance(s, WorkerError))


def collate_train(samples: Sequence[Sample | WorkerError]) -> Batch | WorkerError:
    """Stack samples of one size -> Batch: image (N, 3, H, W) uint8 (or float32), label (N, h, w) int64."""
    whole = all_or_error(samples)
    if isinstance(whole, WorkerError):
        return whole
    labels = [sample.label for sample in whole if sample.label is not None]
    if len(labels) < len(whole):
        nameless = next(sample.name for sample in whole if sample.label is None)
        return WorkerError(f"{nameless} has no label; training needs one for each image")
    if len({sample.image.shape for sample in whole}) > 1:
        shapes = " and ".join(sorted({f"{s.image.shape[1]}x{s.image.shape[0]}" for s in whole}))
        return WorkerError(f"images of one batch differ in size ({shapes}): give --crop_size, or --bs_trn 1")
    label = torch.from_numpy(np.stack(labels, dtype=np.int64))
    images = np.empty((len(whole), 3, *whole[0].image.shape[:2]), whole[0].image.dtype)
    for planes, sample in zip(images, whole, strict=True):  # much faster than a transposed copy
        cv2.split(sample.image, [*planes])
    names, sizes = [sample.name for sample in whole], [sample.size for sample in whole]
    return {"image": torch.from_numpy(images), "label": label, "name": names, "size": sizes}


def collate_eval(samples: Sequence[Sample | WorkerError]) -> EvalBatch | WorkerError:
    """Collect samples of any sizes -> EvalBatch of lists."""
    whole = all_or_error(samples)
    if isinstance(whole, WorkerError):
        return whole
    return {
        "image": [sample.image for sample in whole],
        "label": [sample.label for sample in whole],
        "name": [sample.name for sample in whole],
        "size": [sample.size for sample in whole],
    }


class Read(NamedTuple):
    """A batch, of an evaluation maybe an empty one, why samples were left out of it, and how many ask for a turn."""

    batch: Any
    left_out: list[str]
    turned: int = 0


def collate_read(
    samples: Sequence[Sample | WorkerError], lenient: bool = False, labels: bool = False
) -> Read | WorkerError:
    """Collect as `collate_eval`; `lenient`: pictures that cannot be read are left out; `labels`: all bad ones."""
    out = [s for s in samples if lenient and isinstance(s, WorkerError) and (s.of_sample if labels else s.of_picture)]
    batch = collate_eval([s for s in samples if not any(s is one for one in out)])
    if isinstance(batch, WorkerError):
        return batch
    turned = sum(sample.turned for sample in samples if isinstance(sample, Sample))
    return Read(batch, [failure.message for failure in out], turned)


@dataclass(frozen=True)
class CollateRead:
    """Makes a training batch by `collate`, with what it has in the place of other samples."""

    collate: Callable[[Sequence[Sample | WorkerError]], Batch | WorkerError] = collate_train

    def __call__(self, samples: Sequence[Sample | WorkerError]) -> Read | WorkerError:
        """Collate, and tell why samples were left out."""
        batch = self.collate(samples)
        if isinstance(batch, WorkerError):
            return batch
        return Read(batch, [line for s in samples if isinstance(s, Sample) for line in s.instead_of])
