"""What a training step minimizes: a weighted sum of terms, each a loss on some outputs of the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from utils.amp import upcast_to_float32
from utils.contracts import Outputs
from utils.errors import UserError
from utils.resize import resize


@dataclass(frozen=True)
class Term:
    """`weight` * `loss(*outputs, label)` in the epochs `start` <= epoch < `stop`.

    `outputs` names what the loss reads of the network's outputs, usually one. Terms that are never live in the same
    epoch may share a `name`; a term of weight 0 is never live.
    """

    name: str
    outputs: tuple[str, ...]
    weight: float
    loss: Callable[..., Tensor]
    start: float = 0
    stop: float = math.inf

    def live(self, epoch: float) -> bool:
        """True if the term counts in `epoch`."""
        return self.weight != 0 and self.start <= epoch < self.stop


class Criterion(nn.Module):
    """`criterion(outputs, label, epoch=0) -> (total, {term: value})` for `terms`.

    It stands outside the network. Outputs of another size than the label are resized to it, half precision is raised
    to float32, float64 stays. Outputs that no live term reads take part with a zero, so
    that every parameter has a gradient on every rank in every epoch.
    The first call checks the label's values and the outputs' channels against `num_classes` (a wait for the device
    that later calls do without): UserError.
    """

    def __init__(
        self, terms: Sequence[Term], num_classes: int, ignore_label: int = 255, align_corners: bool = False
    ) -> None:
        super().__init__()
        self.terms, self.num_classes, self.ignore_label = tuple(terms), num_classes, ignore_label
        self.align_corners = align_corners
        self.losses = nn.ModuleList(dict.fromkeys(t.loss for t in terms if isinstance(t.loss, nn.Module)))
        self._checked = False

    def forward(self, outputs: Outputs, label: Tensor, epoch: float = 0) -> tuple[Tensor, dict[str, Tensor]]:
        """{name: (N, K, h, w)}, (N, H, W) int64 -> total with gradient, each live term's value without its weight."""
        live = [term for term in self.terms if term.live(epoch)]
        for name in (name for term in live for name in term.outputs):
            if name not in outputs:
                raise UserError(f"the loss reads the output {name!r}; the network gives {', '.join(sorted(outputs))}")
        if not self._checked:
            self._check(outputs, label)
        total, parts = label.new_zeros((), dtype=torch.float32), {}
        ready: Outputs = {}  # at the label's size, shared by the terms that read the same output
        with torch.autocast(label.device.type, enabled=False):
            for term in live:
                for name in term.outputs:
                    if name not in ready:
                        ready[name] = self._fit(outputs[name], label)
                value = term.loss(*(ready[name] for name in term.outputs), label)
                total, parts[term.name] = total + term.weight * value, value.detach()
            total = total + sum(_zero(output) for name, output in outputs.items() if name not in ready)
        return total, parts

    @property
    def skipped(self) -> Tensor:
        """Terms that the losses left out so far on this rank (RMI, hard pixels): int64 scalar on their device."""
        counts = [getattr(loss, "skipped", None) for loss in self.losses]
        return sum((count for count in counts if count is not None), torch.zeros((), dtype=torch.int64))

    def _fit(self, output: Tensor, label: Tensor) -> Tensor:
        return resize(upcast_to_float32(output), label.shape[-2:], self.align_corners)

    def _check(self, outputs: Outputs, label: Tensor) -> None:
        scores = [name for term in self.terms if len(term.outputs) == 1 for name in term.outputs if name in outputs]
        channels = outputs[scores[0]].shape[1] if scores else self.num_classes
        if channels != self.num_classes:
            raise UserError(
                f"the network has {channels} classes, the loss expects {self.num_classes}; check DATASET.NUM_CLASSES"
            )
        outside = (label != self.ignore_label) & ((label < 0) | (label >= self.num_classes))
        if bool(outside.any()):
            values = label[outside].unique().tolist()
            raise UserError(
                f"label values {values[:8]} ({int(outside.sum())} pixels) are outside the {self.num_classes} classes "
                f"and not the ignored {self.ignore_label}; check --dataset, DATASET.NUM_CLASSES, DATASET.IGNORE_LABEL"
            )
        self._checked = True


def _zero(output: Tensor) -> Tensor:
    """0 with a gradient of zeros for `output`, which is not even read: inf * 0 would be NaN."""
    return output[:0].sum(dtype=torch.float32)
