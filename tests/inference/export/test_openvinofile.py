"""OpenVINO's form: which layers of a quantized model stay in float, and what they are called."""

from __future__ import annotations

import numpy as np
import pytest

from inference.export import openvinofile


def test_layers_in_float_are_named_by_the_network() -> None:
    """A layer that OpenVINO has joined of several is named by the next one that has a name of the network's."""
    pytest.importorskip("openvino", reason="an extra: pip install -r requirements-export.txt")
    import openvino
    from openvino import opset13 as ops

    def layer(given: object, name: str) -> openvino.Node:
        weights = ops.constant(np.ones((3, 3, 1, 1), np.float32))
        found = ops.convolution(given, weights, [1, 1], [0, 0], [0, 0], [1, 1])
        found.set_friendly_name(name)
        return found

    image = ops.parameter([1, 3, 8, 8], np.float32)
    rounded = ops.fake_quantize(image, *(np.float32(x) for x in (0, 1, 0, 1)), 256)
    joined = ops.relu(layer(layer(rounded, "net.first/Conv"), "Multiply_12"))
    joined.set_friendly_name("net.act/Relu")
    model = openvino.Model([layer(joined, "net.last/Conv")], [image])
    layers = openvinofile.layers_of(model)
    assert layers.in_float == ("the input of net.act/Relu", "net.last/Conv") and layers.count == 3
    assert layers.told == "1 of 3 layers in int8"
