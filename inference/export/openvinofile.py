"""OpenVINO's form, a .xml with a .bin beside it, made of ONNX."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from inference.export import onnxfile
from inference.export.order import INT8, Calibration, Layers, Order, Runner, quiet
from runtime import files
from runtime.apart import Apart
from utils.digest import sha256

_LAYERS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul")


def write(order: Order) -> Layers:
    """Write .xml and .bin with the facts in the .xml; fp16: weights are kept in float16, and the device chooses what it
    computes in. Gives what was quantized.
    """
    openvino = files.imported("openvino")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        onnxfile.write(replace(order, path=source, precision="fp32"))
        with quiet():
            model = openvino.convert_model(str(source))
            layers = Layers()
            if order.precision == "int8":
                model = quantize(model, order.calibration)
                layers = layers_of(model)
            facts = {**order.facts, **({INT8: layers.told} if layers.count else {})}
            save(model, order.path, facts, half=order.precision == "fp16")
    return layers


def save(model: Any, path: Path, facts: Mapping[str, str], half: bool = False) -> None:
    """Save a model with its facts, and with the sum of its .bin: another one of that size would give other masks.

    `half`: weights are kept in float16.
    """
    openvino = files.imported("openvino")
    for key, value in facts.items():
        model.set_rt_info(value, [files.FACTS, key])
    openvino.save_model(model, str(path), compress_to_fp16=half)
    model.set_rt_info(sha256([path.with_suffix(".bin")]), [files.FACTS, files.WEIGHTS])
    openvino.save_model(model, str(path), compress_to_fp16=half)


def quantize(model: Any, given: Calibration | None) -> Any:
    """Quantize by NNCF; operators go back to float until no more than `max_drop` is lost."""
    nncf = files.imported("nncf")
    assert given is not None
    common: dict[str, Any] = {
        "calibration_dataset": nncf.Dataset(given.inputs),
        "preset": nncf.QuantizationPreset.MIXED,  # activations need not lie around 0
        "subset_size": len(given.inputs),
    }
    lost = given.lost
    if lost is not None:

        def validate(compiled: Any, pairs: Iterable[Any]) -> tuple[float, None]:
            points = lost(files.runner(compiled), [pair for pair in pairs if pair is not None])
            return 100 - points, None  # of 0 it would take shares

        model = nncf.quantize_with_accuracy_control(
            model, validation_dataset=nncf.Dataset(given.labeled or [None]), validation_fn=validate,
            max_drop=given.max_drop, drop_type=nncf.DropType.ABSOLUTE, **common,
        )  # fmt: skip
    else:
        model = nncf.quantize(model, **common)
    return model


def layers_of(model: Any) -> Layers:
    """Tell the layers of a quantized model, and those whose input is not rounded."""
    layers = [op for op in model.get_ordered_ops() if op.get_type_name() in _LAYERS]
    floats = [op for op in layers if op.input_value(0).get_node().get_type_name() != "FakeQuantize"]
    return Layers(tuple(map(_name, floats)), len(layers))


def _name(op: Any) -> str:
    """Call an operator by its layer; one that OpenVINO has joined of several by what it leads to."""
    own, behind = op.get_friendly_name(), op
    while "/" not in behind.get_friendly_name() and behind.outputs() and behind.output(0).get_target_inputs():
        behind = next(iter(behind.output(0).get_target_inputs())).get_node()
    return own if "/" in own else f"the input of {behind.get_friendly_name()}"


def open_file(path: Path, precision: str) -> Runner:
    """Run on the CPU, in float32, or float16 where it has that for fp16, in a process of its own: OpenVINO 2026.4.1
    dies of some files.
    """
    return Apart(path, precision)
