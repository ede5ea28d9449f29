"""int8 of ONNX by ONNX Runtime's quantizer: the most sensitive layers stay in float until the accuracy holds.

Weights are int8 by channel, activations uint8; an operator is quantized by nodes that round its inputs (QDQ).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from inference.export.order import INT8, Calibration, Layers, Order, quiet
from runtime import files

OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_LOOKED_AT = 2  # pictures that layers are ranked by: all activations of each are held


def quantize(order: Order, symmetric: bool = False) -> Layers:
    """Replace the float file `order.path` by its int8 form, which says how many layers are. Gives which.

    `symmetric`: activations are int8 around 0, as TensorRT asks. As long as more than `max_drop` is lost, 1, 2, 4, ...
    layers stay in float, first those whose inputs and weights lose most by rounding.
    """
    from inference.export.onnxfile import open_file

    given = order.calibration
    assert given is not None
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        shutil.copyfile(order.path, source)  # its batch norms are part of convolutions already
        kept: list[str] = []
        ranked: list[str] = []
        while True:
            _write(source, order.path, given, kept, symmetric)
            if given.lost is None or (ranked and len(kept) == len(ranked)):
                break
            if given.lost(open_file(order.path, "int8"), given.labeled) <= given.max_drop:
                break
            ranked = ranked or by_sensitivity(source, order.path, given.inputs[:_LOOKED_AT])
            kept = ranked[: max(1, 2 * len(kept))]
    return _tell_layers(order.path)


def _tell_layers(path: Path) -> Layers:
    """Count the layers of a quantized file, and add the count to its metadata.

    Behind a layer in int8 the values are rounded: one in float is known by its weights.
    """
    import onnx

    model = onnx.load(str(path))
    rounded = {name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    nodes = [node for node in model.graph.node if node.op_type in OPERATORS]
    layers = Layers(tuple(node.name for node in nodes if not rounded.issuperset(node.input[:2])), len(nodes))
    model.metadata_props.add(key=INT8, value=layers.told)
    onnx.save(model, str(path))
    return layers


def _write(source: Path, target: Path, given: Calibration, kept: Sequence[str], symmetric: bool) -> None:
    quantization = files.imported("onnxruntime.quantization")
    with quiet():
        quantization.quantize_static(
            str(source), str(target), cast(Any, _Reader(given.inputs)),
            op_types_to_quantize=[*OPERATORS], per_channel=True,
            reduce_range=not symmetric,  # processors without VNNI add pairs of products in 16 bits
            activation_type=quantization.QuantType.QInt8 if symmetric else quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8, nodes_to_exclude=[*kept],
            extra_options={"ActivationSymmetric": symmetric, "QuantizeBias": not symmetric},
        )  # fmt: skip


class _Reader:
    """Hands arrays to a calibration, one after another: what its package calls a CalibrationDataReader."""

    def __init__(self, inputs: Sequence[np.ndarray]) -> None:
        self.rest: Iterator[np.ndarray] = iter(inputs)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Give {input: array}, None at the end."""
        image = next(self.rest, None)
        return None if image is None else {"image": image}

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return ({"image": image} for image in self.rest)


def by_sensitivity(source: Path, quantized: Path, inputs: Sequence[np.ndarray]) -> list[str]:
    """Name the quantized nodes, first those whose rounded inputs have the smallest ratio of signal to noise."""
    import onnx

    noisy = _signal_to_noise(source, quantized, inputs)
    nodes = [node for node in onnx.load(str(source)).graph.node if node.op_type in OPERATORS]
    worst = {node.name: min(noisy.get(name, np.inf) for name in node.input) for node in nodes}
    return sorted(worst, key=lambda name: worst[name])


def _signal_to_noise(source: Path, quantized: Path, inputs: Sequence[np.ndarray]) -> dict[str, float]:
    """{activation or weight: decibels} of what rounding leaves of it."""
    debug = files.imported("onnxruntime.quantization.qdq_loss_debug")
    shown = quantized.with_name(f"shown-{quantized.name}")
    with quiet():
        try:
            debug.modify_model_output_intermediate_tensors(str(quantized), str(shown))
            seen: Any = debug.collect_activations(str(shown), cast(Any, _Reader(inputs)))
        finally:
            shown.unlink(missing_ok=True)
        activations = debug.create_activation_matching(seen)
        weights = debug.compute_weight_error(debug.create_weight_matching(str(source), str(quantized)))
    ratio = debug.compute_signal_to_quantization_noice_ratio
    found = {name: float(ratio([*both["pre_qdq"]], [*both["post_qdq"]])) for name, both in activations.items()}
    return found | {name: float(error) for name, error in weights.items()}
