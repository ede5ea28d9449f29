"""Weights to share: what is read is what was written, and a changed or odd header is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from network.weights import read_file, shared
from network.weights.checksum import is_ours
from network.weights.safe_load import read
from utils.errors import UserError

FACTS: dict[str, Any] = {
    "arch": "basic.HRNet", "num_classes": 2, "class_names": ["road", "sky"], "class_ids": [7, 23],
    "class_colors": [[1, 2, 3], [4, 5, 6]], "mean_iu": 0.1 + 0.2, "epoch": 4, "config": {"OPTIM.LR": 1e-3, "SEED": 3},
}  # fmt: skip


def state() -> dict[str, torch.Tensor]:
    """Entries of several types, one of them no contiguous one, two of one memory."""
    shared_memory = torch.arange(12.0).reshape(3, 4)
    return {
        "b": shared_memory.t(),
        "a": shared_memory,
        "c.num_batches_tracked": torch.tensor(3),
        "d": torch.ones(2).half(),
    }


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    shared.write(path, state(), FACTS)
    content = read(path)
    assert is_ours(content) and {name: content[name] for name in FACTS} == FACTS
    found = read_file(path)
    assert found.arch == "basic.HRNet" and found.class_ids == (7, 23) and found.class_colors == ((1, 2, 3), (4, 5, 6))
    assert found.state.keys() == state().keys() and found.epoch == 4
    for name, x in state().items():
        assert torch.equal(found.state[name], x) and found.state[name].dtype == x.dtype


def test_a_changed_number_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    shared.write(path, state(), FACTS)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged .its checksum is wrong"):
        read(path)


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ("[1]", "is no object"),
        ("{", "not a readable checkpoint"),
        ('{"config": [1]}', "its config is no keys and values"),
        ('{"class_ids": [7, 7], "net": 1, "ema": {"a": 1}}', "its class_ids are no label values"),
    ],
)
def test_an_odd_header_is_one_line(tmp_path: Path, told: str, what: str) -> None:
    from network.weights import metadata

    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"a": torch.ones(2)}, path, {"format": "pt", "streetscale": told})
    with pytest.raises(UserError, match=what) as raised:
        read_file(path)
        metadata.of_file(path)
    assert "\n" not in str(raised.value)


def test_a_header_adds_no_other_entry(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(
        {"a": torch.ones(2)}, path, {"streetscale": json.dumps({"optimizer": {}, "net": 1, "arch": "x"})}
    )
    assert read(path).keys() == {"format", "arch", "net"}


def test_files_of_others_stay_plain(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"a": torch.ones(2)}, path, {"format": "pt"})
    assert read(path).keys() == {"a"}
