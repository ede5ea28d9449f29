"""Layouts of other systems' checkpoints: what this package asks of one, and which one a file has."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

import compat
from network.weights.formats import Weights


class Layout(NamedTuple):
    """`name`: as commands call it; `about`: what a help says of it.

    `parse(content, place)`: the weights of a file that is read, None if it is of another layout. `place`: the keys
    under which its state was found, moved to `state_dict` since; empty where it lay where such files have it.
    `write(weights)`: {name of a file below a folder: content}, the name empty where there is a file alone; None: this
    layout is read only. `fitting(state, known)`: the entries under the names of a network that has those `known`.

    Of layouts that torch's reader does not read: `is_own(path)` tells them by the path, `read(path)` gives the content
    without calling anything that a file names, `files(path)` the files that the path names. `always`: what such a file
    tells of its network counts beside an --arch as well.
    """

    name: str
    parse: Callable[[Any, str], Weights | None]
    write: Callable[[Weights], Mapping[str, Any]] | None = None
    about: str = ""
    fitting: Callable[[Mapping[str, Tensor], Collection[str]], Mapping[str, Tensor]] = lambda state, _: state
    is_own: Callable[[str | os.PathLike[str]], bool] = lambda _: False
    read: Callable[[str | os.PathLike[str]], Any] = lambda _: None
    files: Callable[[Path], tuple[Path, ...]] = lambda path: (path,)
    always: bool = False


def known() -> list[Layout]:
    """All of them; the first whose `parse` knows a file has it."""
    return [part.LAYOUT for part in compat.parts("weights")]


def of_path(path: str | os.PathLike[str]) -> Layout | None:
    """The layout that reads what a path names by itself, None: torch does."""
    return next((layout for layout in known() if layout.is_own(path)), None)


def files(path: Path) -> tuple[Path, ...]:
    """The files that the path of a checkpoint names."""
    layout = of_path(path)
    return layout.files(path) if layout else (path,)
