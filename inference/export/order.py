"""What a target is asked to write, and the tools that all targets share."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from runtime.files import Runner as Runner


@dataclass(frozen=True)
class Calibration:
    """What int8 is measured with.

    `inputs`: arrays as the file takes them. `labeled`: pairs of which `score(run, pairs)` gives the mean IoU in points;
    empty: nothing watches over the accuracy, and all layers are quantized. `reference`: the network's own score.
    `max_drop`: points that may be lost.
    """

    inputs: Sequence[np.ndarray]
    labeled: Sequence[Any] = ()
    score: Callable[[Runner, Iterable[Any]], float] = lambda run, pairs: 0.0
    reference: float = 0.0
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
