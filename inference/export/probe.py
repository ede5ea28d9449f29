"""Which layer of an exported file is the first that differs: all intermediate values beside torch's own.

The network's graph is given all of its values as outputs, written in the same way as the file, and run once.
"""

from __future__ import annotations

import copy
import operator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.graph import CodeGen

from inference.export.compare import apart
from inference.export.order import Order
from inference.export.targets import Target
from network.net import published
from utils.errors import in_short

# Of the largest value of a layer, what counts as a difference.
APART = {"fp32": 1e-3, "fp16": 0.05, "int8": 0.25}
_NOTHING_DONE = (
    "dropout",
    "detach",
    "alias",
    "clone",
    "contiguous",
    "view",
    "reshape",
    "permute",
    "to",
    "lift_fresh_copy",
)


class Layer(NamedTuple):
    """A value of the graph: its operator, and the module that it stands in."""

    operator: str
    module: str

    def __str__(self) -> str:
        return f"{self.module} ({self.operator})"


def first_difference(target: Target, order: Order, net: torch.nn.Module, folder: Path) -> str:
    """Say which layer of the file that `order` asks for is the first whose values differ from torch's on its example.

    `net`: whose names layers are called by. `folder`: for the file that is looked at. Where that cannot be run the text
    says why.
    """
    try:
        graph, layers = opened(order, net)
        path = folder / f"layers{target.suffix}"
        names = [f"value_{index}" for index in range(len(layers))]
        calibration = order.calibration and replace(  # of the graph's one size; all layers, none kept
            order.calibration, inputs=[_at(order.example, x) for x in order.calibration.inputs], lost=None
        )
        target.write(replace(order, module=graph, path=path, names=names, dims={}, calibration=calibration))
        found = target.open(path, order.precision)(order.example.numpy())
        with torch.inference_mode():
            wanted = in_float32(graph)(order.example)
        errors = [apart(x, y.numpy()) for x, y in zip(found, wanted, strict=True)]
    except Exception as error:  # each runtime has errors of its own; what is known already is told all the same
        return f"which layer it is could not be told ({in_short(error)})"
    first = next((i for i, error in enumerate(errors) if not error <= APART[order.precision]), None)
    if first is None:
        return "no layer differs by itself: it is what the runtime makes of several, or of another input"
    return f"the first layer that differs is {layers[first]}, by {errors[first]:.1e} of its largest value"


def _at(example: Tensor, given: np.ndarray) -> np.ndarray:
    """Bring an input (N, 3, H, W) or (N, H, W, 3) to the example's size, by the nearest of its own values."""
    sides = zip(given.shape[1:], example.shape[1:], strict=True)
    return given[np.ix_(range(len(given)), *(np.arange(wanted) * there // wanted for there, wanted in sides))]


def opened(order: Order, net: torch.nn.Module) -> tuple[GraphModule, list[Layer]]:
    """Trace the module, with every value that an operator computes as an output, in their order; and which they are."""
    with torch.no_grad():
        graph = torch.export.export(order.module, (order.example,)).module()
    assert isinstance(graph, GraphModule)
    chosen = [node for node in graph.graph.nodes if _computes(node)]
    (end,) = [node for node in graph.graph.nodes if node.op == "output"]
    end.args = (tuple(_copied(graph, node) for node in chosen),)
    graph.graph._codegen = CodeGen()  # the traced one packs its single output
    graph.recompile()
    return graph, [_layer(node, net) for node in chosen]


def _copied(graph: GraphModule, node: Node) -> Node:
    """Copy a value as soon as it is there: a later operator may work in place."""
    with graph.graph.inserting_after(node):
        return graph.graph.call_function(torch.ops.aten.clone.default, (node,))


def _computes(node: Node) -> bool:
    value = node.meta.get("val")
    if node.op != "call_function" or not isinstance(value, Tensor) or node.target is operator.getitem:
        return False
    return value.is_floating_point() and _operator(node) not in _NOTHING_DONE


def _operator(node: Node) -> str:
    return str(node.target).split(".")[1] if "." in str(node.target) else str(node.target)


def _layer(node: Node, net: torch.nn.Module) -> Layer:
    """Name an operator; one of a part that has many, as a ReLU in a trunk's own steps, by what it works on too."""
    place, source = _place(node, net), next((arg for arg in node.args if isinstance(arg, Node)), None)
    before = _place(source, net) if source else ""
    return Layer(_operator(node), f"{place}, behind {before}" if before.startswith(f"{place}.") else place)


def _place(node: Node, net: torch.nn.Module) -> str:
    stack = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
    inner = stack[-1].removeprefix("L['self'].") if stack else ""
    outside = {"": "around the network", "net": "the network's own steps"}
    return outside.get(inner) or published(net, inner.removeprefix("net."))


def in_float32(graph: GraphModule) -> GraphModule:
    """Copy a graph whose casts to float16, and weights, are float32: what half precision is compared with."""
    exact = copy.deepcopy(graph).float()
    for node in exact.graph.nodes:
        node.args = tuple(torch.float32 if arg is torch.float16 else arg for arg in node.args)
        node.kwargs = {key: torch.float32 if arg is torch.float16 else arg for key, arg in node.kwargs.items()}
    exact.recompile()
    return exact
