"""LiteRT's form (.tflite), for phones and small devices: one picture of one size at a time.

The facts are appended as a zip archive, as LiteRT's own metadata are: `unzip -p model.tflite facts.json`.
"""

from __future__ import annotations

import json
import zipfile
from importlib import import_module
from pathlib import Path

import numpy as np

from inference.export.order import Layers, Order, Runner, quiet


def write(order: Order) -> Layers:
    """Write .tflite; fp16: weights are kept in float16 and computed with in float32."""
    litert_torch = import_module("litert_torch")
    with quiet():
        litert_torch.convert(order.module.eval(), (order.example,)).export(str(order.path))
        if order.precision == "fp16":
            _store_half(order.path)
    with zipfile.ZipFile(order.path, "a") as archive:
        archive.writestr("facts.json", json.dumps(dict(order.facts)))
    return Layers()


def _store_half(path: Path) -> None:
    quantizer = import_module("ai_edge_quantizer.quantizer")
    recipe = [
        {
            "regex": ".*",
            "operation": "*",
            "algorithm_key": "float_casting",
            "op_config": {
                "weight_tensor_config": {"num_bits": 16, "dtype": "FLOAT"},
                "compute_precision": "FLOAT",
                "explicit_dequantize": True,
            },
        }
    ]
    result = quantizer.Quantizer(str(path), recipe).quantize()
    path.write_bytes(result.quantized_model)


def open_file(path: Path, precision: str) -> Runner:
    """Run on the CPU."""
    interpreter = import_module("ai_edge_litert.interpreter").Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def run(image: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return run
