"""What a training step minimizes: a weighted sum of terms, each a loss on some outputs of the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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
    that later calls do without, as all do where `checked` is set): UserError.
    """

    def __init__(
        self, terms: Sequence[Term], num_classes: int, ignore_label: int = 255, align_corners: bool = False
    ) -> None:
        super().__init__()
        self.terms, self.num_classes, self.ignore_label = tuple(terms), num_classes, ignore_label
        self.align_corners = align_corners
        self.losses = nn.ModuleList(dict.fromkeys(t.loss for t in terms if isinstance(t.loss, nn.Module)))
        self.checked = False

    def forward(self, outputs: Outputs, label: Tensor, epoch: float = 0) -> tuple[Tensor, dict[str, Tensor]]:
        """{name: (N, K, h, w)}, (N, H, W) int64 -> total with gradient, each live term's value without its weight.

        The gradients are computed at once, output by output, so that maps of the label's size never stand side by side;
        `backward` hands them on, and works once.
        """
        live = [term for term in self.terms if term.live(epoch)]
        for name in (name for term in live for name in term.outputs):
            if name not in outputs:
                raise UserError(f"the loss reads the output {name!r}; the network gives {', '.join(sorted(outputs))}")
        if not self.checked:
            self._check(outputs, label)
        parts: dict[str, Tensor] = {}
        gradients: dict[str, Tensor | None] = {}
        with torch.autocast(label.device.type, enabled=False):
            # In half precision a gradient would be too small for the outputs' type before it is scaled.
            read = {name: upcast_to_float32(outputs[name]) for term in live for name in term.outputs}
            for terms in _sharing(live):
                values, of_outputs = self._together(terms, read, label)
                parts |= values
                gradients |= of_outputs
            total = label.new_zeros((), dtype=torch.float32)
            for term in live:
                total = total + term.weight * parts[term.name]
            if gradients:
                total = _Known.apply(total, list(gradients.values()), *(read[name] for name in gradients))
            total = total + sum(_zero(output) for name, output in outputs.items() if name not in read)
        return total, {term.name: parts[term.name] for term in live}

    def _together(
        self, terms: Sequence[Term], read: Outputs, label: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor | None]]:
        """Values of terms without their weights, and the gradients of their weighted sum for each output they read."""
        learned = {n: read[n].requires_grad and torch.is_grad_enabled() for term in terms for n in term.outputs}
        own = {name: read[name].detach().requires_grad_(needed) for name, needed in learned.items()}
        fitted = {name: resize(x, label.shape[-2:], self.align_corners) for name, x in own.items()}
        values = {term.name: term.loss(*(fitted[name] for name in term.outputs), label) for term in terms}
        del fitted
        found = {name: value.detach() for name, value in values.items()}
        wanted = [name for name in own if learned[name]]
        total = sum((term.weight * values.pop(term.name) for term in terms), start=label.new_zeros(()))
        if not (wanted and total.requires_grad):
            return found, {}
        gradients = torch.autograd.grad(total, [own[name] for name in wanted], allow_unused=True)
        return found, dict(zip(wanted, gradients, strict=True))

    @property
    def skipped(self) -> Tensor:
        """Terms that the losses left out so far on this rank (RMI, hard pixels): int64 scalar on their device."""
        counts = [getattr(loss, "skipped", None) for loss in self.losses]
        return sum((count for count in counts if count is not None), torch.zeros((), dtype=torch.int64))

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
        self.checked = True


def _zero(output: Tensor) -> Tensor:
    """0 with a gradient of zeros for `output`, which is not even read: inf * 0 would be NaN."""
    return output[:0].sum(dtype=torch.float32)


def _sharing(terms: Sequence[Term]) -> list[list[Term]]:
    """Terms in groups that have no output in common, each in order; all in one where a loss writes on the label."""
    if any(getattr(term.loss, "rewrites_label", False) for term in terms):
        return [list(terms)]
    groups: list[set[int]] = []  # of places in `terms`
    for place, term in enumerate(terms):
        near = [group for group in groups if any({*term.outputs} & {*terms[i].outputs} for i in group)]
        groups = [group for group in groups if group not in near] + [{place}.union(*near)]
    return [[terms[i] for i in sorted(group)] for group in groups]


class _Known(torch.autograd.Function):
    """A value whose gradients for `outputs` are known already, None for no gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor | None], *outputs: Tensor) -> Tensor:
        """() -> (); the gradients have the outputs' shapes."""
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Hand the gradients on, times what the value's own is; each is let go of at once."""
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("the gradients of this loss have been handed on already: compute it again")
        scaled = []
        while gradients:
            gradient = gradients.pop(0)
            scaled.append(None if gradient is None else gradient * scale)
        return (None, None, *scaled)
