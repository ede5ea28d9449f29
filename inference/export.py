"""A trained network as a file for other runtimes: ONNX, or a program of torch.export; and how near it comes.

N batch, K classes, H x W image.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from inference.passes import evaluating
from inference.rule import EvalRule
from network.weights import finite
from utils.errors import UserError
from utils.normalization import Normalization

OUTPUTS = {"argmax": "classes", "softmax": "probabilities", "logits": "scores"}  # and their names in the file
NEEDED = ("onnx", "onnxscript", "onnxruntime")  # packages, for .onnx
SMALLEST, LARGEST = 64, 8192  # sides that a file with dynamic sizes takes
Runner = Callable[[np.ndarray], np.ndarray]


class Deployed(nn.Module):
    """Image -> class map (N, H, W) int32, or probabilities or logits (N, K, H, W).

    The image is normalized float (N, 3, H, W); with `raw` it is uint8 RGB (N, H, W, 3), normalized by the rule.
    """

    def __init__(self, net: nn.Module, rule: EvalRule, output: str = "argmax", raw: bool = False) -> None:
        super().__init__()
        self.net, self.output, self.raw = net, output, raw
        self.normalize = Normalization(rule.mean, rule.std, torch.device("cpu"))

    def forward(self, image: Tensor) -> Tensor:
        """Predict (N, 3, H, W) or raw (N, H, W, 3) -> classes (N, H, W) int32, or scores (N, K, H, W)."""
        if self.raw:
            image = self.normalize(image.permute(0, 3, 1, 2))
        scores = self.net(image, keep=("pred",))["pred"]
        if self.output == "argmax":
            return scores.argmax(1).to(torch.int32)
        return scores.softmax(1) if self.output == "softmax" else scores

    def example(self, size: Sequence[int], count: int = 2, seed: int = 0) -> Tensor:
        """Draw random input of `count` images of `size` (H, W)."""
        shape = (count, *size, 3) if self.raw else (count, 3, *size)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return (noise * 60 + 128).clamp(0, 255).to(torch.uint8) if self.raw else noise

    def dims(self, fixed: bool) -> dict[int, Any]:
        """Tell what may differ from the example: the number of images, and the size unless it is `fixed`."""
        sides = {} if fixed else {name: Dim(name, min=SMALLEST, max=LARGEST) for name in ("height", "width")}
        first = 1 if self.raw else 2
        return {0: Dim("images", max=1024), **{first + i: dim for i, dim in enumerate(sides.values())}}


def check(path: Path, fixed: bool) -> None:
    """Raise UserError for a suffix other than .onnx and .pt2, a .pt2 of any size, packages that are not there."""
    if path.suffix not in (".onnx", ".pt2"):
        raise UserError(f"{path}: give a file that ends with .onnx or .pt2")
    if path.suffix == ".pt2" and not fixed:  # its guards on sizes cannot be proven for every size
        raise UserError("a .pt2 file takes images of one size: add --fixed, and --size height,width")
    lacking = [name for name in NEEDED if path.suffix == ".onnx" and find_spec(name) is None]
    if lacking:
        raise UserError(f"ONNX needs {lacking[0]}: pip install {' '.join(NEEDED)}")


def save(module: Deployed, rule: EvalRule, size: Sequence[int], path: Path, fixed: bool, facts: dict[str, str]) -> None:
    """Write `path`, .onnx or .pt2, with `facts` in it; UserError as `check`."""
    check(path, fixed)
    write = {".onnx": _save_onnx, ".pt2": _save_program}[path.suffix]
    with evaluating(module, rule), torch.no_grad(), _quiet():
        write(module, (module.example(size),), ({"image": module.dims(fixed)}), path, facts)


def _save_onnx(module: Deployed, example: Any, shapes: Any, path: Path, facts: dict[str, str]) -> None:
    program = torch.onnx.export(
        module, example, dynamo=True, dynamic_shapes=shapes, verbose=False,
        input_names=["image"], output_names=[OUTPUTS[module.output]],
    )  # fmt: skip
    assert program is not None
    program.model.metadata_props.update(facts)
    program.save(str(path))


def _save_program(module: Deployed, example: Any, shapes: Any, path: Path, facts: dict[str, str]) -> None:
    program = torch.export.export(module, example, dynamic_shapes=shapes)
    torch.export.save(program, str(path), extra_files=dict(facts))


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters tell of each of their steps."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        yield


def runner(path: Path) -> Runner:
    """Give the exported file as a function of arrays: ONNX by onnxruntime on the CPU, a program by torch."""
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return lambda image: np.asarray(session.run(None, {"image": image})[0])
    program = torch.export.load(str(path)).module()
    return lambda image: program(torch.from_numpy(image)).detach().numpy()


def check_scores(module: Deployed, rule: EvalRule, size: Sequence[int]) -> None:
    """Raise UserError where the network's scores on the example are not finite: no comparison would show it."""
    example = Deployed(module.net, rule).example(size, 1)
    with evaluating(module, rule), torch.inference_mode():
        again = partial(module.net, example, keep=("pred",))
        line = finite.complaint(again()["pred"], module.net, again, half=False)
    if line:
        raise UserError(line)


def distance(module: Deployed, rule: EvalRule, run: Runner, image: Tensor) -> tuple[float, float]:
    """Give (largest error over the largest value, share of pixels of the same class) of a file on an input."""
    with evaluating(module, rule), torch.inference_mode():
        reference = module(image).numpy()
    found = run(image.numpy())
    if module.output == "argmax":
        return 0.0, float((found == reference).mean())
    error = float(np.abs(found - reference).max() / max(float(np.abs(reference).max()), 1e-12))
    return error, float((found.argmax(1) == reference.argmax(1)).mean())
