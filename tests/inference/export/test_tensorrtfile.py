"""TensorRT's plan, as far as no GPU allows: what its builder is asked for, and what its errors become."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from exported import RULE, deployed

from inference.export import TARGETS, order_of, tensorrtfile
from inference.export.order import Order
from utils.errors import UserError


class Flags(IntEnum):
    """Of networks, with the number that TensorRT 10 gives it."""

    STRONGLY_TYPED = 1


class Recorder:
    """Stands for the package: it notes what it is asked for. `reads`, `builds`: whether the graph can be."""

    def __init__(self, reads: bool = True, builds: bool = True) -> None:
        self.asked: dict[str, Any] = {}
        profile = SimpleNamespace(set_shape=lambda name, *shapes: self.asked.update({name: shapes}))
        config = SimpleNamespace(add_optimization_profile=lambda one: self.asked.update(profile=one is profile))
        parser = SimpleNamespace(
            parse_from_file=lambda path: self.asked.update(file=path) or reads,
            get_error=lambda index: SimpleNamespace(desc=lambda: "no importer for op Fold"),
        )
        self.builder = SimpleNamespace(
            create_network=lambda flags: self.asked.update(flags=flags),
            create_builder_config=lambda: config,
            create_optimization_profile=lambda: profile,
            build_serialized_network=lambda network, config: b"plan" if builds else None,
        )
        self.Logger = type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None})
        self.Builder = lambda logger: self.builder
        self.OnnxParser = lambda network, logger: parser
        self.NetworkDefinitionCreationFlag = Flags


def order(fixed: bool) -> Order:
    return order_of(TARGETS["tensorrt"], deployed(), RULE, (64, 96), Path("x.engine"), fixed, {})


def test_a_plan_is_typed_by_its_graph_and_takes_sizes_in_bounds() -> None:
    package = Recorder()
    assert tensorrtfile.plan(package, Path("graph.onnx"), order(fixed=False)) == b"plan"
    assert package.asked["flags"] == 1 << 1 and package.asked["file"] == "graph.onnx" and package.asked["profile"]
    assert package.asked["image"] == ((1, 3, 64, 64), (1, 3, 64, 96), (8, 3, 128, 192))


def test_a_plan_of_one_size_takes_any_number() -> None:
    assert tensorrtfile.shapes(order(fixed=True)) == ([1, 3, 64, 96], [1, 3, 64, 96], [8, 3, 64, 96])


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (Recorder(reads=False), "TensorRT does not read the graph: no importer for op Fold; give --size"),
        (Recorder(builds=False), "TensorRT builds no plan of the graph"),
    ],
)
def test_what_cannot_be_built_is_one_line(package: Recorder, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tensorrtfile.plan(package, Path("graph.onnx"), order(fixed=True))
