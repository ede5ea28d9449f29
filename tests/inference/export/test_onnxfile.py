"""What the nodes of an ONNX program say of themselves."""

from __future__ import annotations

from types import SimpleNamespace

from inference.export.onnxfile import name_nodes


def node(scopes: str, kind: str) -> SimpleNamespace:
    """A node as the exporter leaves it."""
    told = {"pkg.torch.onnx.name_scopes": scopes, "pkg.torch.onnx.stack_trace": 'File "/home/ada/net.py", line 7'}
    return SimpleNamespace(metadata_props=told, inputs=[None, None], op_type=kind, name="")


def test_nodes_name_their_layer_and_no_place_of_the_machine() -> None:
    nodes = [node("['', 'net', 'net.relu', 'relu']", "Relu"), node("['', 'net', 'net.relu', 'relu_1']", "Relu")]
    name_nodes(SimpleNamespace(graph=nodes))
    assert [one.name for one in nodes] == ["net.relu/Relu", "net.relu/Relu_2"]
    assert "/home" not in str(nodes)
