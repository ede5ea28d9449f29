"""Items to batches: worker processes, pinned memory, epochs that can be entered in the middle."""

from __future__ import annotations

import atexit
import contextlib
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from datasets.audit import Labels
from datasets.base import SegmentationDataset
from datasets.batches import CollateRead, ErrorCapturingDataset, Read, WorkerError, collate_read, collate_train
from datasets.leftout import LeftOut
from datasets.samplers import EpochSampler, ExactSampler
from utils.contracts import Batch, DatasetSpec, EvalBatch, Sample
from utils.distributed import DistributedContext
from utils.errors import LoadingError, UserError
from utils.files import write_file
from utils.processes import end_with_parent, fate, shortage
from utils.visualize import colorize, encode_png

_MAX_DUMPED = 64


# Schedulers send them to the whole group, but they are for the main process, which saves and then ends its workers.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def _start_worker(worker: int) -> None:
    """One thread a worker, deaf to signals. Nothing is seeded: every random number comes from a draw's own seed."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Signals reach this process afterwards; processes started meanwhile never, even before they can ignore them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    of_children = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        # torch would raise the death of a process wherever this one is, in the middle of a step or of a checkpoint:
        # it comes out here as well, at the next batch that is not there.
        if of_children is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, of_children)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Loader:
    """A DataLoader whose processes stay for the next pass, and end at once when a file turns out wrong.

    `instead`: items one of which takes the place of a bad sample, see `ErrorCapturingDataset`.
    """

    def __init__(
        self, dataset: SegmentationDataset, workers: int, instead: Sequence[int] | np.ndarray = (), **options: Any
    ) -> None:
        self.dataset = dataset
        self._captured = ErrorCapturingDataset(dataset, instead)
        # A generator of its own: the start of a pass must not move the global one, which dropout draws from.
        own = torch.Generator()
        self._options = {**options, "num_workers": workers, "persistent_workers": workers > 0, "generator": own}
        self._loader: DataLoader | None = None
        _OPEN.add(self)

    def close(self) -> None:
        """End the processes; another pass starts new ones."""
        iterator = getattr(self._loader, "_iterator", None)  # torch has no public word for it
        self._loader = None
        if iterator is not None:
            iterator._shutdown_workers()
            for process in iterator._workers:
                if process.is_alive():  # it waits for a lock that a dead one holds
                    process.kill()

    def _batches(self) -> Iterator[Any]:
        if self._loader is None:
            self._loader = DataLoader(cast(Any, self._captured), worker_init_fn=_start_worker, **self._options)
        with self._deaths_told():
            with _signals_wait():
                batches = iter(self._loader)
        while True:
            with self._deaths_told():
                batch = next(batches, None)
            if batch is None:
                return
            if isinstance(batch, WorkerError):
                self.close()  # the error's traceback would keep the processes
                raise LoadingError(batch.message)
            yield batch

    @contextlib.contextmanager
    def _deaths_told(self) -> Iterator[None]:
        """LoadingError in place of torch's error where one of the processes has died, or cannot hand on its batch."""
        try:
            yield
        except RuntimeError as error:
            codes = [process.exitcode for process in getattr(self._loader and self._loader._iterator, "_workers", ())]
            dead = [code for code in codes if code is not None]
            if not dead and not shortage(error):
                raise
            self.close()
            if not dead:
                raise LoadingError(shortage(error)) from None
            fewer = f"start fewer of them (--num_workers {len(codes) // 2})"
            raise LoadingError(f"a process that reads pictures has died {fate(dead[0], fewer)}") from None


_OPEN: weakref.WeakSet[Loader] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Before the interpreter ends its children by the SIGTERM that they ignore, and then waits for them."""
    for loader in list(_OPEN):
        loader.close()


@dataclass
class AugmentationDump:
    """Writes the first augmented images and their colored labels as `<folder>/<number>_<name>_{image,label}.png`.

    `mean`, `std`: what a float image was normalized by.
    """

    folder: Path
    spec: DatasetSpec
    mean: Sequence[float] = (0.0, 0.0, 0.0)
    std: Sequence[float] = (1.0, 1.0, 1.0)
    limit: int = _MAX_DUMPED
    written: int = field(default=0, init=False)

    def __call__(self, batch: Batch) -> None:
        """Write what is left of the limit."""
        for image, label, name in zip(batch["image"], batch["label"], batch["name"], strict=True):
            if self.written >= self.limit:
                return
            stem = f"{self.written:03d}_{name}"
            pixels = image.permute(1, 2, 0).numpy()
            if image.is_floating_point():
                std, mean = np.asarray(self.std, np.float32), np.asarray(self.mean, np.float32)
                pixels = np.rint((pixels * std + mean) * 255).astype(np.uint8)
            for kind, rgb in (("image", pixels), ("label", colorize(label, self.spec.palette))):
                write_file(self.folder / f"{stem}_{kind}.png", encode_png(rgb))
            self.written += 1


class TrainLoader(Loader):
    """Batches of one process for one epoch at a time; the same for any number of workers.

    `pin`: page-locked memory, for copies to a GPU that do not wait. `labels`, `validation`: what can be looked at
    before the first step; None: all of the dataset's, and no validation.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        sampler: EpochSampler,
        workers: int = 0,
        pin: bool = False,
        dump: AugmentationDump | None = None,
        collate: Callable[[Sequence[Sample | WorkerError]], Batch | WorkerError] = collate_train,
        labels: Labels | None = None,
        validation: Labels | None = None,
    ) -> None:
        self.sampler, self.dump, self.left_out = sampler, dump, LeftOut()
        self.labels, self.validation = labels or Labels.of(dataset), validation
        instead = self.labels.places if dataset.skips_bad else ()
        super().__init__(
            dataset, workers, instead, batch_sampler=sampler, collate_fn=CollateRead(collate), pin_memory=pin
        )

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch that the next iteration gives, without its first `start` batches."""
        self.sampler.set_epoch(epoch, start)

    def __len__(self) -> int:
        """Iterations of a whole epoch."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        for read in self._batches():
            self.left_out.news += read.left_out
            if self.dump is not None:
                self.dump(read.batch)
            yield read.batch


class EvalLoader(Loader):
    """Every image of a split once over all processes, in the order of the list.

    `lenient`: pictures that cannot be read are left out, and `left_out` says why; so are samples whose labels are wrong
    where the dataset leaves bad ones out. `turned`: pictures so far that ask for a turn.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        batch_size: int = 1,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
        lenient: bool = False,
    ) -> None:
        sampler = ExactSampler(len(dataset), rank, world)
        collate = partial(collate_read, lenient=lenient or dataset.skips_bad, labels=dataset.skips_bad)
        super().__init__(dataset, workers, batch_size=batch_size, sampler=sampler, collate_fn=collate)
        self.batches = -(-len(sampler) // batch_size)
        self.left_out: list[str] = []
        self.turned = 0

    def __len__(self) -> int:
        """Batches of this process."""
        return self.batches

    def __iter__(self) -> Iterator[EvalBatch]:
        self.left_out, self.turned = [], 0
        for read in self._batches():
            self._count(read)
            if read.batch["name"]:
                yield read.batch

    def _count(self, read: Read) -> None:
        self.left_out += read.left_out
        self.turned += read.turned

    def seen(self, ranks: DistributedContext) -> Seen:
        """Gather what all processes have met in their pictures; every one has to call it.

        UserError if no picture at all could be read.
        """
        left_out = sorted(line for part in ranks.gather(self.left_out) for line in part)
        seen = Seen(len(self.dataset), left_out, sum(ranks.gather(self.turned)), self._is_upright())
        if len(left_out) == seen.total:
            raise UserError(f"none of the {seen.total} pictures can be read, the first: {left_out[0]}")
        return seen

    def _is_upright(self) -> bool:
        return all(item.exif_turned for item in self.dataset.items)


class Seen(NamedTuple):
    """Of `total` pictures: why some were left out, how many ask for a turn, and whether they got it."""

    total: int = 0
    left_out: Sequence[str] = ()
    turned: int = 0
    upright: bool = True

    @property
    def lines(self) -> list[str]:
        """What the log says of the pictures: each that is left out, and how many are turned."""
        found = [f"left out: {reason}" for reason in self.left_out]
        how = "turned upright, as viewers show them, and so are their masks and labels"
        if not self.upright:
            how = "read as they are stored, since labels lie over the stored pixels"
        found += [f"{self.turned} of {self.total} pictures carry a turn (EXIF): {how}"] if self.turned else []
        return [*found, self.note] if self.note else found

    @property
    def note(self) -> str:
        """How many are missing, empty for none."""
        count = len(self.left_out)
        return f"{count} of {self.total} pictures could not be read and are left out" if count else ""
