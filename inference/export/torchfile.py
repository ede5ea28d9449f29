"""Programs of torch.export: as they are, or compiled by AOTInductor for the machine that they are written on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inference.export.order import Layers, Order, Runner, quiet


def _traced(order: Order) -> Any:
    return torch.export.export(order.module, (order.example,), dynamic_shapes={"image": dict(order.dims)})


def write_program(order: Order) -> Layers:
    """Write a program of torch.export with the facts as further files in it."""
    with torch.no_grad(), quiet():
        torch.export.save(_traced(order), str(order.path), extra_files=dict(order.facts))
    return Layers()


def write_compiled(order: Order) -> Layers:
    """Write a package of AOTInductor, machine code, with the facts as its metadata."""
    from torch._inductor import aoti_compile_and_package

    with torch.no_grad(), quiet():
        configs = {"aot_inductor.metadata": dict(order.facts)}
        aoti_compile_and_package(_traced(order), package_path=str(order.path), inductor_configs=configs)
    return Layers()


def runner_of(call: Callable[[torch.Tensor], Any]) -> Runner:
    """Make a runner of a callable of tensors."""

    def run(image: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            found = call(torch.from_numpy(image))
        return [x.numpy() for x in (found if isinstance(found, (tuple, list)) else [found])]

    return run


def open_eager(path: Path, precision: str) -> Runner:
    """Run a program operator by operator."""
    return runner_of(torch.export.load(str(path)).module())


def open_compiled(path: Path, precision: str) -> Runner:
    """Run a program through torch.compile."""
    return runner_of(torch.compile(torch.export.load(str(path)).module()))


def open_package(path: Path, precision: str) -> Runner:
    """Run a package of AOTInductor."""
    return runner_of(torch._inductor.aoti_load_package(str(path)))
