"""What a file becomes is bounded by what it holds, however often it names a part of itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from network.weights import extent, read_file
from network.weights.checksum import checksum
from network.weights.safe_load import read
from utils.errors import UserError


def test_each_tensor_counts_once() -> None:
    tensor = torch.zeros(1 << 18)
    shared = {"a": tensor, "b": [tensor, {"c": (tensor,)}] * 100}
    extent.check(shared, 1 << 20)
    with pytest.raises(UserError, match="larger than the file"):
        extent.check({"a": torch.zeros(1).expand(1 << 20)}, 100)
    loop: list[Any] = [tensor]
    loop.append(loop)
    extent.check(loop, 1 << 20)


def test_a_tensor_that_repeats_one_number(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1).expand(1 << 23)}, tmp_path / "x.pth")
    with pytest.raises(UserError, match="refused, since its tensors are larger than the file") as caught:
        read(tmp_path / "x.pth")
    assert str(tmp_path / "x.pth") in str(caught.value)
    torch.save({"a": torch.ones(1).expand(10)}, tmp_path / "x.pth")
    assert read(tmp_path / "x.pth")["a"].tolist() == [1] * 10


def test_lists_that_name_each_other(tmp_path: Path) -> None:
    """2^40 parts in a file of ours, which its checksum would go through."""
    content: Any = [torch.zeros(1)]
    for _ in range(40):
        content = [content, content]
    torch.save({"format": "streetscale", "checksum": 1, "net": content}, tmp_path / "x.pth")
    with pytest.raises(UserError, match="names its parts more often"):
        read(tmp_path / "x.pth")


NESTED: dict[str, Callable[[Any], Any]] = {
    "lists": lambda x: [x, x],
    "tables": lambda x: {"a": x, "b": x},
    "tuples": lambda x: (x, x),
}


@pytest.mark.parametrize("kind", NESTED)
def test_empty_parts_that_name_each_other(tmp_path: Path, kind: str) -> None:
    content: Any = type(NESTED[kind](0))()
    for _ in range(40):
        content = NESTED[kind](content)
    torch.save({"format": "streetscale", "checksum": 1, "net": content}, tmp_path / "x.pth")
    with pytest.raises(UserError, match="names its parts more often"):
        read(tmp_path / "x.pth")


@pytest.mark.parametrize("named", [False, True])
def test_a_long_text_that_is_named_often(tmp_path: Path, named: bool) -> None:
    """2 GB of letters, as a value and as the name of what is below it, of a file of 30 kB."""
    text = "x" * 10_000
    content = {text: [1] * 200_000} if named else [text] * 200_000
    allowance = extent.Allowance(30_000)
    with pytest.raises(UserError, match="names its parts more often"):
        checksum({"net": content}, allowance)


def test_tables_that_name_each_other(tmp_path: Path) -> None:
    """A look for weights through 3 levels of 3000 names each would take days; the weights inside are found."""
    content: dict[str, Any] = {"w": torch.ones(2)}
    for _ in range(2):
        content = {f"k{i}": content for i in range(3000)}
    torch.save(content, tmp_path / "x.pth")
    assert read_file(tmp_path / "x.pth").state["w"].tolist() == [1, 1]
