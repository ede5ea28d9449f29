"""The table of targets: for each runtime its file, what it needs, what it computes in, how it is written and run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch

from inference.export import litertfile, onnxfile, openvinofile, tensorrtfile, torchfile
from inference.export.deployed import Deployed
from inference.export.order import Calibration, Layers, Order, Runner
from inference.passes import evaluating
from inference.rule import EvalRule
from runtime.facts import OUTPUTS
from utils.errors import UserError, nearest


class Target(NamedTuple):
    """A runtime and its file.

    `suffix`: of the file. `what`: in a few words. `packages`: {module: its name for pip}, of writing and running.
    `precisions`: fp32, fp16, int8, as far as there are. `write(order)` leaves the file and tells which layers stay
    in float in int8. `open(path, precision)` runs it. `any_size`: pictures of any size, but in `one_size_in`;
    else of one. `any_count`: any number of pictures at once; else one. `half_graph`: fp16 is a graph in float16; else
    weights that are kept in float16. `gpu`: it is written and run on one.
    """

    suffix: str
    what: str
    packages: dict[str, str]
    precisions: tuple[str, ...]
    write: Callable[[Order], Layers]
    open: Callable[[Path, str], Runner]
    any_size: bool = False
    one_size_in: tuple[str, ...] = ()
    any_count: bool = True
    half_graph: bool = True
    gpu: bool = False


_ONNX = {name: name for name in ("onnx", "onnxscript", "onnxruntime")}
_ALL = ("fp32", "fp16", "int8")
# The first of a suffix is the one that is taken.
TARGETS: dict[str, Target] = {
    "onnxruntime": Target(
        ".onnx", "ONNX by ONNX Runtime, on a CPU", _ONNX, _ALL, onnxfile.write, onnxfile.open_file, any_size=True
    ),
    "openvino": Target(
        ".xml", "OpenVINO, on a CPU", {**_ONNX, "openvino": "openvino", "nncf": "nncf"}, _ALL,
        openvinofile.write, openvinofile.open_file, any_size=True, half_graph=False,
        one_size_in=("int8",),  # 2026.4.1 dies of a memory fault on depthwise convolutions of any size
    ),
    "tensorrt": Target(
        ".engine", "TensorRT, on the GPU that writes it", {**_ONNX, "tensorrt": "tensorrt"}, _ALL,
        tensorrtfile.write, tensorrtfile.open_file, any_size=True, gpu=True,
    ),
    "litert": Target(
        ".tflite", "LiteRT (TensorFlow Lite), on a CPU", {"litert_torch": "litert-torch"}, ("fp32", "fp16"),
        litertfile.write, litertfile.open_file, any_count=False, half_graph=False,
    ),
    "eager": Target(
        ".pt2", "a program of torch.export, operator by operator", {}, ("fp32", "fp16"),
        torchfile.write_program, torchfile.open_eager,
    ),
    "compiled": Target(
        ".pt2", "the same, through torch.compile", {}, ("fp32", "fp16"),
        torchfile.write_program, torchfile.open_compiled,
    ),
    "aotinductor": Target(
        ".pt2", "machine code by AOTInductor, for torch without Python", {}, ("fp32", "fp16"),
        torchfile.write_compiled, torchfile.open_package,
    ),
}  # fmt: skip


def find(path: Path, runtime: str = "") -> Target:
    """Find the target of a file's suffix, or the one that --runtime names. UserError for what is none."""
    if runtime and runtime not in TARGETS:
        raise UserError(f"unknown --runtime {runtime!r}{nearest(runtime, TARGETS)}; known: {', '.join(TARGETS)}")
    if runtime and TARGETS[runtime].suffix != path.suffix:
        raise UserError(f"{path}: --runtime {runtime} reads {TARGETS[runtime].suffix}")
    found = TARGETS[runtime] if runtime else next((t for t in TARGETS.values() if t.suffix == path.suffix), None)
    if found is None:
        suffixes = ", ".join(dict.fromkeys(target.suffix for target in TARGETS.values()))
        raise UserError(f"{path}: give a file that ends with one of {suffixes}")
    return found


def check(target: Target, precision: str, fixed: bool) -> None:
    """Raise UserError for a precision or sizes that a target has not, and for packages or a GPU that are not there."""
    if precision not in target.precisions:
        raise UserError(f"{target.suffix} has no {precision}: it has {', '.join(target.precisions)}")
    if not fixed and (not target.any_size or precision in target.one_size_in):
        kind = f"{target.suffix} file in {precision}" if target.any_size else f"{target.suffix} file"
        raise UserError(f"a {kind} takes images of one size: add --size height,width")
    needed = [module for module in target.packages if module != "nncf" or precision == "int8"]
    if lacking := next((module for module in needed if find_spec(module) is None), ""):
        asked = " ".join(target.packages[module] for module in needed)
        raise UserError(f"{target.suffix} in {precision} needs {target.packages[lacking]}: pip install {asked}")
    if target.gpu and not torch.cuda.is_available():
        raise UserError(f"{target.suffix} is written and run on a GPU of CUDA, and there is none here: take .onnx")


def order_of(
    target: Target,
    module: Deployed,
    rule: EvalRule,
    size: Sequence[int],
    path: Path,
    fixed: bool,
    facts: Mapping[str, str],
    precision: str = "fp32",
    calibration: Calibration | None = None,
) -> Order:
    """Make the order for a network as it is deployed, with an example of `size` (H, W), which is `fixed` or not."""
    traced = module.halved(rule) if precision == "fp16" and target.half_graph else module
    example = module.example(size, 2 if target.any_count else 1)
    dims = module.dims(fixed) if target.any_count else {}
    return Order(traced.eval(), example, path, precision, dims, (OUTPUTS[module.output],), facts, calibration)


def save(
    module: Deployed, rule: EvalRule, size: Sequence[int], path: Path, fixed: bool, facts: Mapping[str, str]
) -> None:
    """Write `path` in float32 for the first target of its suffix, with `facts` in it; UserError as `find`, `check`."""
    target = find(path)
    check(target, "fp32", fixed)
    with evaluating(module, rule):
        target.write(order_of(target, module, rule, size, path, fixed, facts))


def runner(path: Path) -> Runner:
    """Open a file in float32 by the first target of its suffix."""
    return find(path).open(path, "fp32")
