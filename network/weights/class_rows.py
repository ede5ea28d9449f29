"""Weights of a network of other classes: what it has for each class goes to the class of that name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from network.weights.formats import Weights
from network.weights.report import shortened
from utils import yamlfile
from utils.errors import UserError, nearest

Sources = Mapping[str, Sequence[str]]  # a class here -> those of the file whose rows it starts with the mean of


@dataclass(frozen=True)
class ClassRows:
    """Moves rows by name into a network with the classes `ours`.

    `axes()`: {entry: axis along which it has something for each class}. `sources`: classes that are called otherwise in
    the file, or merged from several there. UserError from `moved` where such a name is unknown.
    """

    ours: Sequence[str]
    axes: Callable[[], Mapping[str, int]]
    start: Mapping[str, Tensor]  # the network's own state, which new classes keep
    sources: Sources = field(default_factory=dict)

    def moved(self, weights: Weights, path: object) -> Weights:
        """The same weights with rows in the order of `ours`; as they are where the file names no other classes."""
        theirs = list(weights.class_names)
        if self.sources and not theirs:
            raise UserError(f"--map_classes: {path} does not name its classes")
        if not theirs or (theirs == list(self.ours) and not self.sources):
            return weights
        self._check(theirs)
        rows = {name: [theirs.index(one) for one in self._sources(name, theirs)] for name in self.ours}
        state = dict(weights.state)
        for name, axis in self.axes().items():
            if name in state and state[name].ndim > axis and state[name].shape[axis] == len(theirs):
                state[name] = self._entry(state[name], self.start[name], axis, list(rows.values()))
        new = [name for name, found in rows.items() if not found]
        used = {theirs[place] for found in rows.values() for place in found}
        left = [name for name in theirs if name not in used]
        line = f"{len(rows) - len(new)} of {len(rows)} classes start with what the file has for their names"
        line += f"; new, at random: {', '.join(new)}" if new else ""
        line += f"; left in the file: {shortened(left)}" if left else ""
        alike = [f"{name}: {other}" for name in new for other in left if _bare(name) == _bare(other)]
        line += f"; written otherwise there, for --map_classes: {shortened(alike)}" if alike else ""
        return replace(weights, state=state, notes=(*weights.notes, line))

    def _sources(self, name: str, theirs: Sequence[str]) -> Sequence[str]:
        return self.sources.get(name, [name] if name in theirs else [])

    def _check(self, theirs: Sequence[str]) -> None:
        for ours, named in self.sources.items():
            for name, known, whose in (
                (ours, self.ours, "this dataset"),
                *((one, theirs, "the file") for one in named),
            ):
                if name not in known:
                    raise UserError(f"--map_classes: {whose} has no class {name!r}{nearest(name, known)}")

    @staticmethod
    def _entry(theirs: Tensor, start: Tensor, axis: int, rows: Sequence[Sequence[int]]) -> Tensor:
        """An entry of the file -> one with a row for each of `rows`, the mean of those of the file or its start."""
        parts = [
            theirs.index_select(axis, torch.tensor(found)).mean(axis, keepdim=True).to(start.dtype)
            if found
            else start.narrow(axis, place, 1)
            for place, found in enumerate(rows)
        ]
        return torch.cat(parts, axis)


def _bare(name: str) -> str:
    """A class's name without what people write differently: case, spaces, marks."""
    return "".join(c for c in name.casefold() if c.isalnum())


def sources(path: str) -> dict[str, list[str]]:
    """A YAML file of {class here: class of the file, or a list of such}; UserError for another content."""
    content = yamlfile.load(Path(path), f"--map_classes {path}", text=yamlfile.ALL)
    if not isinstance(content, dict) or not content:
        raise UserError(f"--map_classes {path}: give a line for each class, for instance vehicle: [car, truck]")
    found = {
        str(name): [str(one) for one in (named if isinstance(named, list) else [named])]
        for name, named in content.items()
    }
    if empty := [name for name, named in found.items() if not named or "None" in named]:
        raise UserError(f"--map_classes {path}: {empty[0]} has no class of the file behind it")
    return found
