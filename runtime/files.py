"""Exported files and who runs them without torch: ONNX Runtime, OpenVINO."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from runtime import facts
from runtime.facts import Facts
from utils.digest import sha256
from utils.errors import UserError
from utils.memory import ran_out

# An array in, a file's outputs out.
Runner = Callable[[np.ndarray], "list[np.ndarray]"]
FACTS = "streetscale"  # the part of OpenVINO's own facts that ours stand in
WEIGHTS = "weights_sha256"  # the one that says which .bin is an .xml's own
_LONGEST = 200  # letters of what a runtime says


class Opened(NamedTuple):
    """A file that can be run, and its metadata, {key: text}."""

    run: Runner
    metadata: dict[str, str]


def imported(package: str) -> Any:
    """Import a runtime, or a tool that makes its files; none of them tells its makers of what it is used for.

    They would by default, of names and sums of models too, and read before they are imported that they shall not.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # the sender of OpenVINO and NNCF
    return import_module(package)


def onnx(path: Path) -> Opened:
    """Open .onnx by ONNX Runtime on the CPU."""
    session = imported("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    run: Runner = lambda image: [np.asarray(x) for x in session.run(None, {name: image})]  # noqa: E731
    return Opened(run, session.get_modelmeta().custom_metadata_map)


def openvino(path: Path, precision: str = "") -> Opened:
    """Open .xml by OpenVINO on the CPU, in float32, or float16 where it has that for fp16; by itself it takes bfloat16
    where it can. `precision`: what the file has by default.
    """
    core, weights = imported("openvino").Core(), path.with_suffix(".bin")
    if not weights.is_file():
        raise UserError(f"{path}: its weights, {weights.name}, have to lie beside it")
    model = core.read_model(str(path))
    found = model.get_rt_info([FACTS]).value if model.has_rt_info([FACTS]) else {}
    metadata = {str(key): str(value) for key, value in found.items()}
    if metadata.get(WEIGHTS, "") not in ("", sha256([weights])):
        raise UserError(f"{path}: {weights.name} beside it is of another export, or damaged: copy both files anew")
    hint = "f16" if (precision or metadata.get("precision")) == "fp16" else "f32"
    return Opened(runner(core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})), metadata)


def runner(compiled: Any) -> Runner:
    """Make a runner of a model that OpenVINO has compiled."""

    def run(image: np.ndarray) -> list[np.ndarray]:
        found: Any = compiled(image)
        return [np.asarray(found[port]) for port in compiled.outputs]

    return run


OPENERS: dict[str, tuple[str, Callable[[Path], Opened]]] = {  # by suffix: the package, and what opens the file
    ".onnx": ("onnxruntime", onnx),
    ".xml": ("openvino", openvino),
}
_ELSEWHERE = {  # who runs what we do not
    ".pt2": "is run by torch",
    ".tflite": "is run by LiteRT's own interpreter",
    ".engine": "is run by TensorRT on its GPU",
    ".pth": "is a checkpoint: give it as --snapshot",
    ".bin": "belongs to the .xml beside it: give that",
}


def open_file(path: Path) -> tuple[Runner, Facts]:
    """Open a file; UserError for one that is not there, of another kind or damaged, and where its package lacks."""
    offered = " and ".join(OPENERS)
    if path == Path():
        raise UserError(f"--model is empty: name a file, {' or '.join(OPENERS)}")
    if path.suffix not in OPENERS:
        what = _ELSEWHERE.get(path.suffix, "is no exported file")
        raise UserError(f"--model {path}: it {what}; without torch {offered} are run, which scripts/export.py writes")
    if not path.is_file():
        raise UserError(f"--model {path}: there is no such file; scripts/export.py writes it")
    package, opener = OPENERS[path.suffix]
    if find_spec(package) is None:
        raise UserError(f"--model {path} is run by {package}, which is not installed: pip install {package}")
    try:
        opened = opener(path)
    except UserError as error:
        raise UserError(f"--model {error}") from None
    except Exception as error:  # each runtime has errors of its own
        why = f"it is damaged, or newer than what this version reads ({_reason(error)})"
        raise UserError(f"--model {path}: {package} cannot open it: {why}") from None
    return _told(path, package, opened.run), facts.read(path, opened.metadata)


def _told(path: Path, package: str, run: Runner) -> Runner:
    """Make a UserError of what a runtime says of an array, but where memory ran out."""

    def told(image: np.ndarray) -> list[np.ndarray]:
        try:
            return run(image)
        except Exception as error:  # each runtime has errors of its own
            if ran_out(error):
                raise
            size = "x".join(map(str, image.shape))
            raise UserError(f"--model {path}: {package} cannot run it on {size} ({_reason(error)})") from error

    return told


def _reason(error: Exception) -> str:
    """Give what a runtime says: its end, since places in its own source come first."""
    text = " ".join(str(error).split())
    return f"... {text[-_LONGEST:]}" if len(text) > _LONGEST else text or type(error).__name__
