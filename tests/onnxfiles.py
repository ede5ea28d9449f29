"""Exported files of one convolution, made in milliseconds, and the network that gives the same."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from datasets import cityscapes
from inference.rule import PLAIN
from runtime import files
from runtime.facts import Facts
from utils.contracts import DatasetSpec

SPEC = DatasetSpec(
    "cityscapes", cityscapes.SPEC.classes, cityscapes.SPEC.palette, train_to_id=cityscapes.SPEC.train_to_id
)


def facts(output: str = "logits", raw: bool = True, size: tuple[int, int] | None = None) -> Facts:
    return Facts(SPEC, output, raw, PLAIN.mean, PLAIN.std, size)


class OneLayer(nn.Module):
    """A convolution of 5x5, so that a tile sees less than the picture."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, SPEC.num_classes, 5, padding=2)

    def forward(self, image: Tensor, keep: Collection[str] = ()) -> dict[str, Tensor]:
        return {"pred": self.conv(image)}


def write(path: Path, says: Facts) -> Path:
    """Write `OneLayer` as ONNX as the export does: preparation and last step are in the file, facts its metadata."""
    from onnx import TensorProto, helper, numpy_helper, save

    conv = OneLayer().conv
    values = {name: np.array(given, np.float32) * 255 for name, given in (("mean", says.mean), ("std", says.std))}
    arrays = {**values, "weight": conv.weight.detach().numpy(), "bias": conv.bias.detach().numpy()}  # type: ignore[union-attr]
    node, height, width = helper.make_node, *(says.size or ("height", "width"))
    nodes = [
        node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        node("Sub", ["float", "mean"], ["centered"]),
        node("Div", ["centered", "std"], ["even"]),
        node("Transpose", ["even"], ["normalized"], perm=[0, 3, 1, 2]),
    ]
    last = {
        "logits": [node("Identity", ["scores"], ["out"])],
        "softmax": [node("Softmax", ["scores"], ["out"], axis=1)],
        "argmax": [
            node("ArgMax", ["scores"], ["classes"], axis=1, keepdims=0),
            node("Cast", ["classes"], ["out"], to=TensorProto.INT32),
        ],
    }[says.output]
    shape = ["images", height, width, 3] if says.raw else ["images", 3, height, width]
    kind = TensorProto.UINT8 if says.raw else TensorProto.FLOAT
    given = helper.make_tensor_value_info("image", kind, shape)
    classes = ["images", height, width]
    scores = ["images", SPEC.num_classes, height, width]
    found = helper.make_tensor_value_info("out", TensorProto.INT32, classes)
    if says.output != "argmax":
        found = helper.make_tensor_value_info("out", TensorProto.FLOAT, scores)
    conv_node = node("Conv", ["normalized" if says.raw else "image", "weight", "bias"], ["scores"], pads=[2, 2, 2, 2])
    graph = helper.make_graph(
        [*(nodes if says.raw else []), conv_node, *last], "one", [given], [found],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, says.written())
    save(model, str(path))
    return path


def write_xml(path: Path, says: Facts) -> Path:
    """Write the same as OpenVINO's .xml."""
    from inference.export import openvinofile

    model = files.imported("openvino").convert_model(str(write(path.with_suffix(".onnx"), says)))
    openvinofile.save(model, path, says.written())
    return path
