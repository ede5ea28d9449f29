"""The table of targets: what it takes, what it refuses, what each file gives."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from exported import RULE, deployed

from inference import export
from inference.export import TARGETS, Calibration, targets
from utils.errors import UserError


def missing(name: str, precision: str = "int8") -> str:
    """What a target lacks here, as a reason to skip its test."""
    packages = [p for p in TARGETS[name].packages if importlib.util.find_spec(p) is None]
    gpu = ["a GPU"] if TARGETS[name].gpu and not torch.cuda.is_available() else []
    return f"{name} needs {', '.join([*packages, *gpu])}" if packages or gpu else ""


ROWS = [
    pytest.param(name, precision, marks=pytest.mark.skipif(bool(missing(name)), reason=missing(name) or "-"))
    for name, target in TARGETS.items()
    for precision in target.precisions
]
LAYERS = ("first", "second", "last")
FAR = {"fp32": (1e-4, 0.999), "fp16": (0.02, 0.98), "int8": (0.1, 0.9)}


@pytest.mark.run
@pytest.mark.in_make_test("onnxruntime-int8", "eager-*")
@pytest.mark.parametrize(("name", "precision"), ROWS)
def test_a_file_gives_what_the_network_gives(name: str, precision: str, tmp_path: Path) -> None:
    """On raw pictures, of another size and number where the target takes those; sensitive layers stay in float."""
    target, module = TARGETS[name], deployed("softmax", raw=True)
    inputs = [module.example((64, 96), 1, seed).numpy() for seed in range(2)]
    points = iter([50.0, 0.5])  # lost by all layers in int8, and by all but one
    calibration = Calibration(inputs, lambda run, pairs: next(points, 0.5), [0], 1.0)
    if name == "openvino":  # NNCF counts otherwise
        calibration = Calibration(inputs)
    path = tmp_path / f"net{target.suffix}"
    order = export.order_of(
        target, module, RULE, (64, 96), path, not target.any_size, {"arch": "three"}, precision, calibration
    )
    layers = target.write(order)
    kept = layers.in_float
    assert layers.count == (3 if precision == "int8" else 0)
    assert len(kept) == ((name, precision) == ("onnxruntime", "int8")) and {*kept} <= {f"net.{x}/Conv" for x in LAYERS}
    run = target.open(path, precision)
    image = module.example((80, 100) if target.any_size else (64, 96), 3 if target.any_count else 1, 5).numpy()
    error, same = export.distance(module, RULE, run, image)
    assert error < FAR[precision][0] and same > FAR[precision][1]
    assert run(image)[0].dtype == np.float32


@pytest.mark.parametrize(
    ("path", "runtime", "message"),
    [
        ("x.trt", "", r"x\.trt: give a file that ends with one of .onnx, .xml, .engine, .tflite, .pt2"),
        ("x.onnx", "openvno", "unknown --runtime 'openvno'; did you mean 'openvino'"),
        ("x.onnx", "openvino", r"x\.onnx: --runtime openvino reads \.xml"),
    ],
)
def test_a_file_that_no_target_writes(path: str, runtime: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        export.find(Path(path), runtime)


def test_the_first_of_a_suffix_is_taken() -> None:
    assert export.find(Path("a.pt2")) is TARGETS["eager"]
    assert export.find(Path("a.pt2"), "aotinductor") is TARGETS["aotinductor"]


@pytest.mark.parametrize(
    ("name", "precision", "fixed", "message"),
    [
        ("eager", "int8", True, r"\.pt2 has no int8: it has fp32, fp16"),
        ("openvino", "int8", False, r"a \.xml file in int8 takes images of one size: add --size height,width"),
        ("eager", "fp32", False, r"a \.pt2 file takes images of one size: add --size height,width"),
        ("openvino", "int8", True, "needs nncf: pip install onnx onnxscript onnxruntime openvino nncf"),
        ("tensorrt", "fp16", False, "written and run on a GPU of CUDA"),
    ],
)
def test_what_a_target_has_not(
    name: str, precision: str, fixed: bool, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "find_spec", lambda package: None if package == "nncf" else package)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=message):
        export.check(TARGETS[name], precision, fixed)


def test_a_package_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match="needs onnxscript: pip install onnx onnxscript onnxruntime"):
        export.save(deployed(), RULE, (64, 96), tmp_path / "net.onnx", True, {})
