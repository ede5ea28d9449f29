"""What labels hold, looked at before the first step: classes that are nowhere, pixels that do not count."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from datasets.base import SegmentationDataset
from utils.contracts import DatasetSpec
from utils.errors import UserError
from utils.histogram import value_counts

MOST = 200  # labels that are read where nothing else reads them
_NAMED = 8  # classes that a mere sample of the labels lacks, by name


def class_pixels(label: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the pixels of each class of a label (H, W) uint8 train ids: (K + 1,) int64, the ignored ones last."""
    counts = value_counts(label)
    return np.append(counts[:num_classes], counts[num_classes:].sum())


@dataclass
class Labels:
    """Labels of a split: the places of its items that are used, and, of those that have been read, their `pixels`.

    `notes`: what reading them has to say.
    """

    dataset: SegmentationDataset
    places: list[int]
    pixels: dict[int, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, dataset: SegmentationDataset) -> Labels:
        """Take all labels of a dataset, none of them read so far."""
        return cls(dataset, [place for place, item in enumerate(dataset.items) if item.label])

    def counted(self, seed: int, workers: int) -> np.ndarray:
        """Count pixels, (n, K + 1), of those that have been read, and of a sample of the others, spread evenly.

        Of more and more of them, as long as all pixels are ignored.
        """
        known = [place for place in self.places if place in self.pixels]
        others = sorted({place for place in self.places if self.dataset.items[place].label} - {*known})
        chosen = [others[i] for i in _sample(len(others), seed)]
        rest = sorted({*others} - {*chosen})
        rows = np.concatenate([self._read(known, workers), self._read(chosen, workers)])
        while rest and not rows[:, :-1].any():
            rest, chosen = rest[MOST:], rest[:MOST]
            rows = np.concatenate([rows, self._read(chosen, workers)])
        return rows

    def _read(self, places: Sequence[int], workers: int) -> np.ndarray:
        classes = self.dataset.spec.num_classes

        def one(place: int) -> np.ndarray:
            label = self.dataset.label(place) if place not in self.pixels else None
            return self.pixels[place] if label is None else class_pixels(label, classes)

        with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
            return np.array(list(pool.map(one, places)), np.int64).reshape(-1, classes + 1)


def _sample(count: int, seed: int) -> list[int]:
    """Draw at most MOST of range(count), one of each equal part; the generator is its own."""
    if count <= MOST:
        return list(range(count))
    rng = random.Random(seed)
    return [rng.randrange(i * count // MOST, (i + 1) * count // MOST) for i in range(MOST)]


def lines(training: Labels, validation: Labels | None, seed: int, workers: int) -> list[str]:
    """Tell the log of the labels; `validation` None: there is none. UserError for nothing to learn from."""
    pixels = training.counted(seed, workers)
    if len(pixels) and not pixels[:, :-1].any():
        first, all_of = training.dataset.items[training.places[0]].label, _count(len(pixels), "training label")
        raise UserError(
            f"all pixels of the {all_of} are ignored ({first} is the first): there is nothing to learn; "
            "check which values they hold, and --dataset or --classes"
        )
    cure = _cure(training.dataset.spec, pixels.sum(0))
    said = _lines("training", training, pixels, f": it cannot be learned{cure}")
    if validation is not None:
        said += [*_of_validation(validation, seed, workers), *_shared(training, validation)]
    return said


def _shared(training: Labels, validation: Labels) -> list[str]:
    """Say how many images are in both: scores of what was trained on say little of other images."""
    seen, shown = ({labels.dataset.items[place].image for place in labels.places} for labels in (training, validation))
    of = f"{len(seen & shown)} of {_count(len(shown), 'validation image')}"
    return [f"note: {of} are also trained on: their scores choose the best checkpoint"] if seen & shown else []


def _cure(spec: DatasetSpec, counts: np.ndarray) -> str:
    """Say what masks of 0 and 255 need, whose object is ignored where classes were counted and not declared."""
    masks = spec.id_to_train is None and spec.num_classes == 2 and counts[0] and not counts[1] and counts[-1]
    return "; if the masks hold 0 and 255, declare them: --classes FILE with ids: [0, 255]" if masks else ""


def _of_validation(labels: Labels, seed: int, workers: int) -> list[str]:
    if not labels.places:
        return ["warning: no validation image has a label, so there is no score and no best checkpoint"]
    pixels = labels.counted(seed, workers)
    if not pixels[:, :-1].any():
        all_of = f"all pixels of the {_count(len(pixels), 'validation label')} are ignored"
        return [f"warning: {all_of}: no pixel counts, so there is no score and no best checkpoint"]
    return _lines("validation", labels, pixels, "")


def _lines(what: str, labels: Labels, pixels: np.ndarray, effect: str) -> list[str]:
    """Say how much is ignored, and which classes are nowhere; of validation only where all labels were read."""
    total, read = len(labels.places), len(pixels)
    which = _count(read, "label") if read == total else f"a sample of {read} of {total} labels"
    counts = pixels.sum(0)
    share = 100 * counts[-1] / max(1, counts.sum())
    whole = int((~pixels[:, :-1].any(1)).sum())
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
