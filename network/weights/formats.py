"""What a weight file holds, in any layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

# Buffers of a synchronized batch norm that some files have beside the running statistics; no network of ours uses them.
EXTRA = ("_tmp_running_mean", "_tmp_running_var", "_running_iter")


class Momentum(NamedTuple):
    """What a resume reads of the file `path` beside the weights: velocities by our names, which SGD has to be fed;
    iterations done and their last rate, both None if the file has no schedule.
    """

    path: Path
    velocities: dict[str, Tensor]
    iterations: int | None
    rate: float | None


@dataclass(frozen=True)
class Weights:
    """Content of a file. `state` has the names that networks use; what a layout does not tell keeps its default.

    `optimizer`: state dict of a torch optimizer, indexed by the parameters' positions; `optimizer_names`: theirs, in
    that order. `momentum(path)`: of weights whose training counts in iterations and has its optimizer in a file beside
    `path`, what that holds; UserError where there is none. `mean_iu`: a share in [0, 1] or percent, as the file has it.
    `class_ids`: label value of each class, `class_colors` its color; empty where nobody has recorded it.
    `options`: {config key: value} that go with the network, "" for one that has to be asked for, by `question`.
    `notes`: what of the file was left, and why.
    """

    state: dict[str, Tensor]
    layout: str
    arch: str = ""
    num_classes: int | None = None
    epoch: int = 0
    mean_iu: float = 0.0
    command: str = ""
    optimizer: dict[str, Any] = field(default_factory=dict)
    optimizer_names: tuple[str, ...] = ()
    momentum: Callable[[Path], Momentum] | None = None
    class_names: tuple[str, ...] = ()
    class_ids: tuple[int, ...] = ()
    class_colors: tuple[tuple[int, int, int], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    question: str = "give --arch"
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Layout, arch and number of classes, as far as the file tells them."""
        classes = f"{self.num_classes} classes" if self.num_classes else ""
        return ", ".join(part for part in (self.layout, self.arch, classes) if part)


def tensors(entries: Any) -> dict[str, Tensor]:
    """The tensors of a state dict under clean names, EXTRA left out; empty if it is none."""
    if not isinstance(entries, Mapping):
        return {}
    found = {clean(name): x for name, x in entries.items() if isinstance(name, str) and isinstance(x, Tensor)}
    return {name: x for name, x in found.items() if not name.endswith(EXTRA)}


def number(value: Any) -> float:
    """A finite number that a file has beside its weights; 0 for anything else."""
    try:
        found = float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return 0.0
    return found if math.isfinite(found) else 0.0


def clean(name: str) -> str:
    """A name without what wrappers add: `module.` in front (data parallel), `_orig_mod.` anywhere (compilation)."""
    name = name.replace("_orig_mod.", "")
    while name.startswith("module."):
        name = name.removeprefix("module.")
    return name


def below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries whose names start with `prefix`, without it."""
    return {name.removeprefix(prefix): x for name, x in state.items() if name.startswith(prefix)}


def renamed(name: str, starts: Mapping[str, str]) -> str:
    """`name` with its start replaced, by the first of `starts` ({theirs: ours}) that it has; else as it is."""
    for theirs, ours in starts.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name
