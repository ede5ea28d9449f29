"""ONNX, for ONNX Runtime and for the targets that are made of it. Nodes are called by their layers."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from inference.export.order import Layers, Order, Runner, quiet
from runtime import files

_SCOPES = "pkg.torch.onnx.name_scopes"  # of a node: the modules that it stands in, and its own name, as a list's text
_PLACE = "pkg.torch.onnx.stack_trace"  # the lines of code behind a node, with paths of the machine that wrote it


def write(order: Order) -> Layers:
    """Write ONNX with the facts as its metadata; int8: quantized. Gives what was."""
    write_float(order)
    if order.precision != "int8":
        return Layers()
    from inference.export.onnxint8 import quantize  # its package takes a second to import

    return quantize(order)


def write_float(order: Order) -> None:
    """Write ONNX as the module computes, in float32 or float16."""
    with torch.no_grad(), quiet():
        program = torch.onnx.export(
            order.module, (order.example,), dynamo=True, dynamic_shapes={"image": dict(order.dims)}, verbose=False,
            input_names=["image"], output_names=[*order.names],
        )  # fmt: skip
    assert program is not None
    name_nodes(program.model)
    program.model.metadata_props.update(order.facts)
    program.save(str(order.path))


def name_nodes(model: Any) -> None:
    """Call each node of an ONNX program by its layer, "net.backbone.conv1/Conv"; leave out where its code stands."""
    seen: Counter[str] = Counter()
    for node in model.graph:
        node.metadata_props.pop(_PLACE, None)
        scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
        layer = next((scope for scope in reversed(scopes[:-1]) if scope), "")
        weights = [value.name for value in node.inputs[1:2] if value and value.name.endswith(".weight")]
        layer = weights[0].removesuffix(".weight") if weights else layer  # a convolution may have taken a norm in
        name = f"{layer}/{node.op_type}"
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"


def open_file(path: Path, precision: str) -> Runner:
    """Run by ONNX Runtime on the CPU."""
    return files.onnx(path).run
