"""TensorRT's plan (.engine), built of ONNX for the GPU and the version of TensorRT that it is built with.

The graph says what is computed in which type (strong typing): float16 and int8 come with the ONNX.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inference.export import onnxfile
from inference.export.onnxint8 import quantize
from inference.export.order import Layers, Order, Runner
from runtime.facts import LARGEST, SMALLEST
from utils.errors import UserError

_MOST_AT_ONCE = 8  # images in a profile: memory is planned for so many


def write(order: Order) -> Layers:
    """Build a plan. Gives what was quantized. UserError for what TensorRT does not read or build."""
    tensorrt = import_module("tensorrt")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "graph.onnx"
        onnxfile.write(replace(order, path=source, precision="fp32"))
        kept = quantize(replace(order, path=source), symmetric=True) if order.precision == "int8" else Layers()
        order.path.write_bytes(plan(tensorrt, source, order))
    return kept


def plan(tensorrt: Any, source: Path, order: Order) -> bytes:
    """Build the plan of an ONNX file by the package `tensorrt`."""
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    typed = 1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)  # 11 has no others; 10 has to be told
    network = builder.create_network(typed)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(source)):
        raise UserError(f"TensorRT does not read the graph: {parser.get_error(0).desc()}; give --size, or take .onnx")
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape("image", *(tuple(shape) for shape in shapes(order)))
    config.add_optimization_profile(profile)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise UserError("TensorRT builds no plan of the graph: its own lines above say why; give --size, or take .onnx")
    return bytes(built)


def shapes(order: Order) -> tuple[list[int], list[int], list[int]]:
    """Give the smallest, the best and the largest shape of the input: the example's, where it may differ."""
    best = [1, *order.example.shape[1:]]
    least, most = [*best], [*best]
    for axis in order.dims:
        least[axis], most[axis] = (1, _MOST_AT_ONCE) if axis == 0 else (SMALLEST, min(LARGEST, 2 * best[axis]))
    return least, best, most


def open_file(path: Path, precision: str) -> Runner:
    """Run on the first GPU."""
    tensorrt = import_module("tensorrt")
    engine: Any = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR)).deserialize_cuda_engine(path.read_bytes())
    context = engine.create_execution_context()
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    outputs = [name for name in names if name != "image"]
    types = {
        name: torch.from_numpy(np.empty(0, tensorrt.nptype(engine.get_tensor_dtype(name)))).dtype for name in names
    }

    def run(image: np.ndarray) -> list[np.ndarray]:
        given = torch.from_numpy(image).cuda()
        context.set_input_shape("image", tuple(given.shape))
        context.set_tensor_address("image", given.data_ptr())
        found = [torch.empty(tuple(context.get_tensor_shape(n)), dtype=types[n], device="cuda") for n in outputs]
        for name, tensor in zip(outputs, found, strict=True):
            context.set_tensor_address(name, tensor.data_ptr())
        stream = torch.cuda.current_stream()
        context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return [tensor.cpu().numpy() for tensor in found]

    return run
