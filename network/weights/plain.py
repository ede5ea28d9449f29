"""A bare state dict {name: tensor}, perhaps under a key, which may be any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from network.weights.formats import Weights, tensors
from network.weights.layouts import Layout


def parse(content: Any, place: str = "") -> Weights | None:
    """The weights, or None if there are none. `place`: the keys under which they were found, if they are there."""
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("state_dict"), Mapping):
        content, place = content["state_dict"], place or "state_dict"
    state = tensors(content)
    return Weights(state, f"plain, under {place}" if place else "plain") if state else None


def write(weights: Weights) -> dict[str, dict[str, Tensor]]:
    """{"": {name: tensor}}, nothing else."""
    return {"": dict(weights.state)}


LAYOUT = Layout("plain", parse, write, "{name: tensor} and nothing else")
