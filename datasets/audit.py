"""What labels hold, looked at before the first step: classes that are nowhere, pixels that do not count."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from datasets.base import SegmentationDataset
from datasets.itemtable import labeled
from datasets.pixelcounts import PixelCounts, Tally, class_pixels
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.errors import UserError

MOST = 200  # labels that are read where nothing else reads them
_NAMED = 8  # classes that a mere sample of the labels lacks, by name


@dataclass
class Labels:
    """Labels of a split: the places of its items that are used, and, of those that have been read, their `pixels`.

    `notes`: what reading them has to say.
    """

    dataset: SegmentationDataset
    places: Sequence[int] | np.ndarray
    pixels: list[PixelCounts] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, dataset: SegmentationDataset) -> Labels:
        """Take all labels of a dataset, none of them read so far."""
        return cls(dataset, np.flatnonzero(labeled(dataset.items)))

    def counted(self, seed: int, workers: int) -> Tally:
        """Count pixels of those that have been read, and of a sample of the others, spread evenly.

        Of more and more of them, as long as all pixels are ignored.
        """
        used, read = np.zeros(len(self.dataset), bool), np.zeros(len(self.dataset), bool)
        used[np.asarray(self.places, np.int64)] = True
        for known in self.pixels:
            read[known.read] = True
        others = np.flatnonzero(used & ~read & labeled(self.dataset.items))
        chosen = others[_sample(len(others), seed)]
        found = self._read(chosen, workers)
        for known in self.pixels:
            found = found.plus(known.tally(used, self.dataset.spec.num_classes))
        rest = np.setdiff1d(others, chosen)
        while len(rest) and not found.pixels[:-1].any():
            found, rest = found.plus(self._read(rest[:MOST], workers)), rest[MOST:]
        return found

    def _read(self, places: np.ndarray, workers: int) -> Tally:
        classes = self.dataset.spec.num_classes

        def one(place: int) -> np.ndarray | None:
            label = self.dataset.label_if_good(place)
            return None if label is None else class_pixels(label, classes)

        with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
            rows = np.array([row for row in pool.map(one, places.tolist()) if row is not None], np.int64)
        return Tally.of(rows.reshape(-1, classes + 1))


def _sample(count: int, seed: int) -> list[int]:
    """Draw at most MOST of range(count), one of each equal part; the generator is its own."""
    if count <= MOST:
        return list(range(count))
    rng = random.Random(seed)
    return [rng.randrange(i * count // MOST, (i + 1) * count // MOST) for i in range(MOST)]


def lines(training: Labels, validation: Labels | None, seed: int, workers: int) -> list[str]:
    """Tell the log of the labels; `validation` None: there is none. UserError for nothing to learn from."""
    found = training.counted(seed, workers)
    if found.labels and not found.pixels[:-1].any():
        first, all_of = training.dataset.items[training.places[0]].label, _count(found.labels, "training label")
        raise UserError(
            f"all pixels of the {all_of} are ignored ({first} is the first): there is nothing to learn; "
            "check which values they hold, and --dataset or --classes"
        )
    cure = _cure(training.dataset.spec, found.pixels)
    said = _lines("training", training, found, f": it cannot be learned{cure}")
    if validation is not None:
        said += [*_of_validation(validation, seed, workers), *_shared(training, validation)]
    return said


def bad_labels(training: Labels, validation: Labels | None, ranks: DistributedContext) -> list[str]:
    """Say how many labels of those read so far are left out since they cannot be read; all ranks call it."""
    own = {**training.dataset.bad_labels, **(validation.dataset.bad_labels if validation else {})}
    found = {path: why for part in ranks.gather(own) for path, why in part.items()}
    if not found:
        return []
    first = found[min(found)]
    return [f"warning: {_count(len(found), 'label')} of those looked at cannot be read and will be left out: {first}"]


def _shared(training: Labels, validation: Labels) -> list[str]:
    """Say how many images are in both: scores of what was trained on say little of other images."""
    shown = {validation.dataset.items[place].image for place in validation.places}
    both = {image for place in training.places if (image := training.dataset.items[place].image) in shown}
    of = f"{len(both)} of {_count(len(shown), 'validation image')}"
    return [f"note: {of} are also trained on: their scores choose the best checkpoint"] if both else []


def _cure(spec: DatasetSpec, counts: np.ndarray) -> str:
    """Say what masks of 0 and 255 need, whose object is ignored where classes were counted and not declared."""
    masks = spec.id_to_train is None and spec.num_classes == 2 and counts[0] and not counts[1] and counts[-1]
    return "; if the masks hold 0 and 255, declare them: --classes FILE with ids: [0, 255]" if masks else ""


def _of_validation(labels: Labels, seed: int, workers: int) -> list[str]:
    if not len(labels.places):
        return ["warning: no validation image has a label, so there is no score and no best checkpoint"]
    found = labels.counted(seed, workers)
    if not found.pixels[:-1].any():
        all_of = f"all pixels of the {_count(found.labels, 'validation label')} are ignored"
        return [f"warning: {all_of}: no pixel counts, so there is no score and no best checkpoint"]
    return _lines("validation", labels, found, "")


def _lines(what: str, labels: Labels, found: Tally, effect: str) -> list[str]:
    """Say how much is ignored, and which classes are nowhere; of validation only where all labels were read."""
    total, read = len(labels.places), found.labels
    which = _count(read, "label") if read == total else f"a sample of {read} of {total} labels"
    counts, whole = found.pixels, found.whole
    share = 100 * counts[-1] / max(1, counts.sum())
    said = [
        f"{what}: {share:.1f} % of the pixels of {which} are ignored"
        + (f", {_count(whole, 'label')} whole" if whole else "")
    ]
    absent = [c for c in range(len(counts) - 1) if not counts[c]]
    if absent and (read == total or what == "training"):
        where = f"no {what} label" + ("" if read == total else f" of {which}")
        said.append(f"warning: {where} has {_names(absent, labels.dataset.spec, read == total)}{effect}")
    return said


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _names(classes: list[int], spec: DatasetSpec, all_read: bool) -> str:
    """List classes by name and label value; of a sample, which lacks rare ones anyway, not all."""
    shown = classes if all_read else classes[:_NAMED]
    named = [f"{spec.classes[c]} (id {spec.train_to_id[c] if spec.train_to_id else c})" for c in shown]
    more = f" and {len(classes) - len(shown)} more" if len(shown) < len(classes) else ""
    return ", ".join(named) + more
