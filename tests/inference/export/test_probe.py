"""The first layer that differs is named, by what a runtime computes wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exported import RULE, broken, deployed

from inference.export import TARGETS, Calibration, first_difference, order_of, probe
from inference.export.order import Order

ATEN = torch.ops.aten
EAGER = TARGETS["eager"]


def named(target: object, tmp_path: Path, precision: str = "fp32") -> str:
    module = deployed()
    order = order_of(target, module, RULE, (64, 96), tmp_path / "net.pt2", True, {}, precision)  # type: ignore[arg-type]
    return first_difference(target, replace(order, example=module.example((64, 96), 1)), module.net, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(
    ("operator", "by", "layer"),
    [
        (ATEN.hardswish.default, ATEN.sigmoid.default, "act (hardswish)"),
        (ATEN.relu.default, ATEN.tanh.default, "the network's own steps (relu)"),
    ],
)
def test_a_wrong_operator_is_named_by_its_layer(
    operator: object, by: object, layer: str, precision: str, tmp_path: Path
) -> None:
    line = named(broken(EAGER, operator, by), tmp_path, precision)
    assert line.startswith(f"the first layer that differs is {layer}, by ")


def test_where_all_agree_that_is_said(tmp_path: Path) -> None:
    assert named(EAGER, tmp_path).startswith("no layer differs by itself")
    assert named(EAGER, tmp_path, "fp16").startswith("no layer differs by itself")


def test_a_runtime_that_fails_is_told_of(tmp_path: Path) -> None:
    def fails(path: Path, precision: str) -> object:
        raise RuntimeError("no such device")

    line = named(EAGER._replace(open=fails), tmp_path)  # type: ignore[arg-type]
    assert line == "which layer it is could not be told (RuntimeError: no such device)"


def test_a_probe_controls_no_accuracy(tmp_path: Path) -> None:
    """Its first output is a layer's value, of which no mean IoU can be measured."""
    asked = []

    def write(order: Order) -> list[str]:
        asked.append(order.calibration)
        return EAGER.write(order)

    inputs = [deployed().example((96, 64), 1).numpy()]
    order = order_of(EAGER, deployed(), RULE, (64, 96), tmp_path / "net.pt2", True, {})
    order = replace(order, calibration=Calibration(inputs, lambda run, pairs: 0.0, [0], 1.0))
    first_difference(EAGER._replace(write=write), order, order.module.net, tmp_path)  # type: ignore[arg-type]
    assert [calibration.lost for calibration in asked] == [None] and asked[0].inputs[0].shape == (1, 3, 64, 96)


def test_half_precision_is_compared_with_single() -> None:
    """The graph in float16 and its copy in float32 have the same values one by one."""
    module = deployed().halved(RULE).eval()
    with torch.no_grad():
        graph = torch.export.export(module, (module.example((64, 96)),)).module()
    exact = probe.in_float32(graph)  # type: ignore[arg-type]
    image = module.example((64, 96))
    assert torch.float16 not in {x.dtype for x in exact.parameters()}
    assert torch.equal(exact(image), deployed()(image)) is False  # weights are rounded all the same
    assert torch.allclose(exact(image), graph(image), atol=1e-2)  # type: ignore[operator]


@pytest.mark.parametrize(("example", "given"), [((1, 3, 8, 12), (2, 3, 16, 24)), ((1, 8, 12, 3), (2, 5, 7, 3))])
def test_calibration_is_brought_to_the_graph_s_size(example: tuple[int, ...], given: tuple[int, ...]) -> None:
    """In either order of axes, by values that are there."""
    pictures = torch.arange(torch.tensor(given).prod().item()).reshape(given).numpy()
    found = probe._at(torch.zeros(example), pictures)
    assert found.shape == (2, *example[1:]) and set(found.ravel()) <= set(pictures.ravel())
    assert (found[..., 0, 0, 0] == pictures[..., 0, 0, 0]).all()
