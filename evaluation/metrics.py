"""Counts of (true class, predicted class) and the scores that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from utils.distributed import DistributedContext
from utils.files import csv_text, write_file
from utils.histogram import pair_counts
from utils.plural import percent

Floats = NDArray[np.float64]
ALL_CLASSES, OVERALL = "mean IoU, absent = 0", "overall score"  # names of ADE20K's two figures
_COPIES = 32  # of the table of counts on a device


def _sent(values: Tensor, device: torch.device) -> Tensor:
    """Send values to the device; a copy from memory that is not pinned would wait for all that the device has to do."""
    if device.type == "cuda" and values.device.type == "cpu":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


class ConfusionMatrix:
    """Counts pixels: rows truth, columns prediction, int64 on `device`. Ignored pixels are not counted."""

    def __init__(self, num_classes: int, ignore_label: int = 255, device: torch.device | str = "cpu") -> None:
        assert 0 < num_classes <= 256
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        # Row K collects the ignored pixels, row K + 1 labels that are neither a class nor ignored.
        self._rows = torch.zeros(num_classes + 2, num_classes, dtype=torch.int64, device=device)
        self._reduced = False

    def update(self, pred: Tensor | np.ndarray, label: Tensor | np.ndarray) -> Tensor:
        """Count one image: (H, W) classes and (H, W) labels. Returns this image's own counts (K, K)."""
        assert not self._reduced, "the counts are the sum over all ranks already"
        if tuple(pred.shape) != tuple(label.shape):
            raise ValueError(f"prediction {tuple(pred.shape)} and label {tuple(label.shape)} differ in size")
        pred, label = torch.as_tensor(pred), torch.as_tensor(label)
        on_host = self._rows.device.type == "cpu" and pred.dtype == torch.uint8 and label.dtype == torch.uint8
        rows = self._histogram(pred, label) if on_host else self._scattered(pred, label)
        self._rows += rows
        return rows[: self.num_classes]

    def _scattered(self, pred: Tensor, label: Tensor) -> Tensor:
        """One pass on the device, for which the host does not wait: (H, W), (H, W) -> (K + 2, K).

        Not `bincount`, which reads the largest value back. Neighbors are counted in different copies of the table,
        since a device adds to one place one after another.
        """
        k, device = self.num_classes, self._rows.device
        pred, label = _sent(pred, device).long(), _sent(label, device).long()
        row = torch.where((label >= 0) & (label < k), label, k + 1)
        row = torch.where(label == self.ignore_label, k, row)
        copy = torch.arange(row.numel(), device=device) % _COPIES
        index = (row * k + pred).flatten() * _COPIES + copy
        table = torch.zeros((k + 2) * k * _COPIES, dtype=torch.int64, device=device)
        ones = torch.ones(1, dtype=torch.int64, device=device).expand_as(index)
        return table.scatter_add_(0, index, ones).view(k + 2, k, _COPIES).sum(-1)

    def _histogram(self, pred: Tensor, label: Tensor) -> Tensor:
        """The same for uint8 on the host, several times as fast: (H, W), (H, W) -> (K + 2, K)."""
        k, table = self.num_classes, pair_counts(label.numpy(), pred.numpy())
        assert not (table[: self.ignore_label, k:].any() or table[self.ignore_label + 1 :, k:].any()), (
            f"predicted classes beyond {k - 1}"
        )
        known, ignored = table[:k, :k].copy(), np.zeros(k, np.int64)
        stray = table[k:, :k].sum(0)
        if self.ignore_label < 256:
            ignored = table[self.ignore_label, :k].copy()
            if self.ignore_label < k:
                known[self.ignore_label] = 0
            else:
                stray -= ignored
        return torch.from_numpy(np.concatenate([known, ignored[None], stray[None]]))

    def reduce(self, ranks: DistributedContext) -> None:
        """Sum over the ranks, in place; once, at the end."""
        assert not self._reduced, "the counts were summed over the ranks already"
        self._rows = ranks.sum(self._rows)
        self._reduced = True

    @property
    def counts(self) -> Tensor:
        """(K, K) int64. ValueError if a label was neither a class nor the ignore label."""
        stray = int(self._rows[-1].sum())
        if stray:
            raise ValueError(
                f"{stray} pixels with a label that is neither in 0..{self.num_classes - 1} nor the ignore label "
                f"{self.ignore_label}"
            )
        return self._rows[: self.num_classes]

    def scores(self, categories: Sequence[str] = ()) -> Scores:
        """Give the scores of the counts so far."""
        return Scores.of(self.counts, categories)


def _ratio(part: Floats | NDArray[np.int64], whole: Floats | NDArray[np.int64]) -> Floats:
    """Divide `part` by `whole`; NaN where that is 0."""
    whole = np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: Floats) -> float:
    """Give the mean of the defined values, NaN if there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


@dataclass(frozen=True)
class Scores:
    """Scores as pure functions of `counts` (K, K) int64, rows truth, columns prediction.

    Per-class arrays are (K,) float64 with NaN where undefined; means leave the undefined out. Pixels whose truth is
    ignored are in no count, as in the official Cityscapes evaluation, neither for classes nor for categories.
    """

    counts: NDArray[np.int64]
    categories: tuple[str, ...] = ()

    @classmethod
    def of(cls, counts: Tensor | np.ndarray, categories: Sequence[str] = ()) -> Scores:
        """From a tensor on any device."""
        array = counts.cpu().numpy() if isinstance(counts, Tensor) else counts
        return cls(np.asarray(array, np.int64), tuple(categories))

    @cached_property
    def tp(self) -> NDArray[np.int64]:
        """True positives: right pixels of each class."""
        return np.diagonal(self.counts)

    @cached_property
    def fn(self) -> NDArray[np.int64]:
        """False negatives: pixels of the class that were predicted as another one."""
        return self.counts.sum(1) - self.tp

    @cached_property
    def fp(self) -> NDArray[np.int64]:
        """False positives: pixels of other classes that were predicted as this one."""
        return self.counts.sum(0) - self.tp

    @cached_property
    def pixels(self) -> int:
        """Counted pixels."""
        return int(self.counts.sum())

    @cached_property
    def errors(self) -> int:
        """How many counted pixels are wrong."""
        return self.pixels - int(self.tp.sum())

    @cached_property
    def iou(self) -> Floats:
        """tp / (tp + fn + fp); NaN for a class that neither occurs nor is predicted."""
        return _ratio(self.tp, self.tp + self.fn + self.fp)

    @cached_property
    def precision(self) -> Floats:
        """tp / predicted."""
        return _ratio(self.tp, self.tp + self.fp)

    @cached_property
    def recall(self) -> Floats:
        """tp / present."""
        return _ratio(self.tp, self.tp + self.fn)

    @cached_property
    def share(self) -> Floats:
        """Share of the class in the truth."""
        return _ratio(self.counts.sum(1), np.full(len(self.counts), self.pixels))

    @property
    def mean_iu(self) -> float:
        """Mean IoU over the defined classes, in 0..1."""
        return _mean(self.iou)

    @property
    def mean_iu_all(self) -> float:
        """Mean IoU over all classes, where an undefined one counts 0: the definition of ADE20K's published tables."""
        return float(np.nan_to_num(self.iou).mean()) if self.pixels else float("nan")

    @property
    def overall(self) -> float:
        """Mean of `mean_iu_all` and `acc`: the score of ADE20K's published tables."""
        return (self.mean_iu_all + self.acc) / 2

    @property
    def acc(self) -> float:
        """Share of right pixels."""
        return float(self.tp.sum() / self.pixels) if self.pixels else float("nan")

    @property
    def acc_cls(self) -> float:
        """Mean recall."""
        return _mean(self.recall)

    @property
    def fwavacc(self) -> float:
        """IoU weighted by the share of the class in the truth."""
        here = self.share > 0
        return float((self.share[here] * self.iou[here]).sum()) if here.any() else float("nan")

    @cached_property
    def category_iou(self) -> dict[str, float]:
        """IoU of each category: its classes taken as one; confusion among them does not count as wrong."""
        names = list(dict.fromkeys(self.categories))
        if not names:
            return {}
        member = np.array([[c == name for c in self.categories] for name in names], np.int64)
        assert member.shape[1] == len(self.counts), "one category a class"
        merged = Scores(member @ self.counts @ member.T)
        return dict(zip(names, merged.iou.tolist(), strict=True))

    @property
    def mean_category_iou(self) -> float:
        """Mean over the defined categories."""
        return _mean(np.array(list(self.category_iou.values())))

    def normalized(self) -> Floats:
        """Give the rows of `counts` divided by their sums: what became of each class; NaN rows for absent ones."""
        return _ratio(self.counts, np.broadcast_to(self.counts.sum(1, keepdims=True), self.counts.shape))

    def write(self, path: Path, class_names: Sequence[str]) -> None:
        """Write the counts as CSV: a row a true class, a column a predicted one."""
        rows = [[name, *row] for name, row in zip(class_names, self.counts.tolist(), strict=True)]
        write_file(path, csv_text([["true / predicted", *class_names], *rows], end="\r\n").encode())

    def summary(self) -> dict[str, float]:
        """Give the numbers of the whole, for logs and files."""
        names = ("mean_iu", "acc", "acc_cls", "fwavacc", "mean_iu_all", "overall")
        return {name: getattr(self, name) for name in names}


def table_rows(scores: Scores, class_names: Sequence[str]) -> list[tuple[str, str, str, str, str]]:
    """Give (class, IoU, precision, recall, share) a class, in percent as text."""
    columns = (scores.iou, scores.precision, scores.recall, scores.share)
    return [(name, *(percent(c[i]) for c in columns)) for i, name in enumerate(class_names)]  # type: ignore[misc]


def format_table(scores: Scores, class_names: Sequence[str]) -> str:
    """Write the table for a terminal: one class a line, then the means; percent.

    TP, FP, FN: true positives, false positives and false negatives, as a share of all counted pixels.
    """
    parts = np.stack([scores.tp, scores.fp, scores.fn], axis=1)  # (K, 3)
    parts = _ratio(parts, np.full(parts.shape, scores.pixels))
    rows = [("class", "IoU", "precision", "recall", "share", "TP", "FP", "FN")]
    rows += [(*row, *map(percent, part)) for row, part in zip(table_rows(scores, class_names), parts, strict=True)]
    foot = [("mean IoU", scores.mean_iu), ("pixel accuracy", scores.acc), ("class accuracy", scores.acc_cls)]
    if scores.categories:
        foot.append(("mean category IoU", scores.mean_category_iou))
    foot += [(ALL_CLASSES, scores.mean_iu_all), (OVERALL, scores.overall)]
    wide = max(len(name) for name in [*class_names, *(name for name, _ in foot)])
    lines = [f"{r[0]:<{wide}}  " + "  ".join(f"{cell:>9}" for cell in r[1:]) for r in rows]
    rule = "-" * len(lines[0])
    last = [f"{n:<{wide}}  {percent(v):>9}" for n, v in foot]
    last[-1] += f"  (mean of pixel accuracy and {ALL_CLASSES})"
    return "\n".join([lines[0], rule, *lines[1:], rule, *last])
