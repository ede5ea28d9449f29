"""What a target is asked to write, and the tools that all targets share."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from runtime.files import Runner as Runner

INT8 = "int8"  # the fact of a file that says how many of its layers are


class Layers(NamedTuple):
    """What was quantized, of int8: the layers that stay in float, and how many there are of both."""

    in_float: tuple[str, ...] = ()
    count: int = 0

    @property
    def told(self) -> str:
        """Say how many are in int8."""
        return f"{self.count - len(self.in_float)} of {self.count} layers in int8"


@dataclass(frozen=True)
class Calibration:
    """What int8 is measured with.

    `inputs`: arrays as the file takes them. `lost(run, pairs)`: points that a file loses on `labeled`, or a part of
    them; more than `max_drop` also where it would not pass for another reason. Without it all layers are quantized.
    """

    inputs: Sequence[np.ndarray]
    lost: Callable[[Runner, Iterable[Any]], float] | None = None
    labeled: Sequence[Any] = ()
    max_drop: float = 0.0


@dataclass(frozen=True)
class Order:
    """A file to write. `module`: what is traced, in float16 already where `precision` is fp16; `example`: its input.

    `dims`: {axis of the input: what may differ there}. `names`: of the outputs. `facts`: what the file says of itself.
    """

    module: nn.Module
    example: Tensor
    path: Path
    precision: str = "fp32"
    dims: Mapping[int, Any] = field(default_factory=dict)
    names: Sequence[str] = ("scores",)
    facts: Mapping[str, str] = field(default_factory=dict)
    calibration: Calibration | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """Exporters and quantizers tell of each of their steps."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
