"""One batch of a training, looked at: which layer, output, term of the loss or gradient is no finite number first.

Whoever looks changes no bit: layers, criterion and gradients are read as they pass by. Then the batch is done once more
under torch's anomaly detection, which names the operation.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._pytree import tree_leaves

from engine import checkpoint
from engine.crops_seen import told
from engine.session import Run
from engine.survival import Work
from engine.training import Trainer
from network.net import published
from network.weights.finite import is_finite
from utils.collectives import catching_up
from utils.contracts import Batch

_ROOT = Path(__file__).resolve().parents[1]


class Finding(NamedTuple):
    """What was seen of a batch here, as lines; the loss over all ranks; `sound`: it and gradients are finite."""

    lines: list[str]
    loss: float
    sound: bool


class Watched:
    """A training's open step that looks at one batch, of epoch and iteration `target`, while it is done."""

    def __init__(self, trainer: Trainer, run: Run, target: tuple[int, int]) -> None:
        self.trainer, self.run, self.target, self.step = trainer, run, tuple(target), trainer.open_step
        self.found: Finding | None = None
        self.batch: Batch | None = None
        self._again: Callable[[], str] = str

    def add(
        self, run: Run, work: Work, batch: Batch, group: int, last: bool, stop: bool = False
    ) -> tuple[Tensor, bool]:
        """Do a batch as the step does it; look at it if it is the one."""
        state = self.trainer.state
        if (state.epoch + 1, state.iteration) != self.target:
            return self.step.add(run, work, batch, group, last, stop)
        before = checkpoint.random_state(run.ranks.device), self.trainer.guard.copy()
        self.batch, eyes = batch, _Eyes(self.trainer)
        with eyes.open():
            value, stops = self.step.add(run, work, batch, group, last, stop)
        self.found = eyes.finding(float(value))
        self._again = lambda: self._anomaly(work, batch, group, before)
        return value, stops

    def anomaly(self) -> str:
        """Tell what anomaly detection says of the batch; empty where its loss and gradients are finite.

        To be called behind the step: it was left out then, so that the weights are what they were.
        """
        return "" if self.found is None or self.found.sound else self._again()

    def _anomaly(self, work: Work, batch: Batch, group: int, before: tuple[dict[str, Tensor], Sequence[Tensor]]) -> str:
        """Do the batch again from the random state and statistics `before` it, up to a gradient that is NaN.

        Gives what torch says, and the line of ours that called the operation. Each rank does it by itself, and sums
        over them have what is here alone: none waits for one that has stopped.
        """
        random, statistics = before
        checkpoint.set_random_state(random, self.run.ranks.device)
        self.trainer.guard.begin_again(statistics)
        self.trainer.state.optimizer.zero_grad(set_to_none=True)
        detection = torch.autograd.set_detect_anomaly(True)
        with catching_up(itertools.repeat("")), detection, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                self.step.alone(work, batch, group)
            except RuntimeError as error:
                return f"anomaly detection: {' '.join(str(error).split())}{_called(said)}"
        return "anomaly detection: no operation gives a gradient that is NaN"

    def files(self) -> list[str]:
        """Tell of each picture of the batch which file, and which part of it, it is."""
        loader = self.trainer.loader
        loader.set_epoch(self.target[0], self.target[1] - 1)
        return [told(loader.dataset, draw) for draw in next(iter(loader.sampler))]


class _Eyes:
    """Notes of a passing batch: the first layer and gradient that are not finite, outputs and terms."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.net = trainer, trainer.state.net
        self.names = {layer: name for name, layer in self.net.named_modules() if name}
        self.layer = self.gradient = ""
        self.lines: list[str] = []

    @contextmanager
    def open(self) -> Iterator[None]:
        """Look at what happens in the block."""
        hooks = [
            register_module_forward_hook(self._layer),
            self.trainer.criterion.register_forward_hook(self._criterion),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _layer(self, layer: nn.Module, given: Any, out: Any) -> None:
        if layer not in self.names:
            return
        for x in _tensors(out):
            if not self.layer and not is_finite(x):
                self.layer = self._described(layer, given, x)
            if x.requires_grad:
                x.register_hook(lambda g, layer=layer: self._passed(layer, g))

    def _described(self, layer: nn.Module, given: Any, out: Tensor) -> str:
        odd = [name for name, p in layer.named_parameters(recurse=False) if not is_finite(p)]
        why = f"its {odd[0]} is not finite" if odd else "its weights are"
        came = "what it is given is finite" if all(map(is_finite, _tensors(given))) else "as is what it is given"
        return f"{self._name(layer)} ({type(layer).__name__}): {share(out)}; {came}, {why}"

    def _passed(self, layer: nn.Module, gradient: Tensor) -> None:
        if not self.gradient and not is_finite(gradient):
            self.gradient = f"that of the output of {self._name(layer)} ({type(layer).__name__}): {share(gradient)}"

    def _name(self, layer: nn.Module) -> str:
        return published(self.net, self.names[layer])

    def _criterion(self, criterion: nn.Module, given: Any, result: Any) -> None:
        outputs, (total, terms) = given[0], result
        shares = {f"output {name} {tuple(x.shape)}": share(x) for name, x in outputs.items()}
        values = {f"term {name}": f"{float(x)!r}" for name, x in terms.items()}
        self.lines += [f"{what}: {text}" for what, text in (shares | values).items()]
        self.lines.append(f"loss of this process: {float(total.detach())!r}")

    def finding(self, value: float) -> Finding:
        """Sum up, after the batch."""
        weights = dict(self.net.named_parameters())
        bad = {
            kind: [name for name, x in parts if x is not None and not is_finite(x)]
            for kind, parts in (
                ("weights", weights.items()),
                ("gradients", ((name, p.grad) for name, p in weights.items())),
            )
        }
        lines = [f"first layer that is not finite: {self.layer or 'none, all are finite'}", *self.lines]
        if self.gradient:
            lines.append(f"first gradient that is not finite, from the loss on: {self.gradient}")
        for kind, names in bad.items():
            first = f", the first of them {published(self.net, names[0])}" if names else ""
            lines.append(f"{kind}: {len(names)} of {len(weights)} are not finite{first}")
        sound = not (self.gradient or bad["gradients"]) and math.isfinite(value)
        return Finding(lines, value, sound)


def share(x: Tensor) -> str:
    """Say which share of a tensor is finite, and how large that is."""
    finite = x.detach().isfinite()
    largest = float(x.detach()[finite].abs().max()) if bool(finite.any()) else float("nan")
    return f"{100 * float(finite.double().mean()):.4g} % finite, the largest of them {largest:.4g}"


def _tensors(values: Any) -> list[Tensor]:
    return [x for x in tree_leaves(values) if isinstance(x, Tensor) and x.is_floating_point()]


def _called(said: Sequence[warnings.WarningMessage]) -> str:
    """Find the line of ours in the trace of the forward pass that anomaly detection prints."""
    frames = [line for warning in said for line in str(warning.message).splitlines()]
    ours = [i for i, line in enumerate(frames) if line.strip().startswith(f'File "{_ROOT}')]
    if not ours:
        return ""
    place, code = frames[ours[-1]].strip(), frames[ours[-1] + 1].strip() if ours[-1] + 1 < len(frames) else ""
    return f", called by {place.removeprefix('File ').replace(str(_ROOT) + '/', '')}: {code}"
