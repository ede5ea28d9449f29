"""A bare state dict {name: tensor}, as the HRNet releases are, perhaps inside `model`, `net` or `model_dict`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from network.weights.formats import Weights, tensors


def parse(content: Any) -> Weights | None:
    """The weights, or None if there are no tensors where a state dict would have them."""
    if not isinstance(content, dict):
        return None
    for entries in (content, content.get("model"), content.get("net"), content.get("model_dict")):
        if state := tensors(entries):
            return Weights(state, "plain")
    return None


def layout(weights: Weights) -> dict[str, Tensor]:
    """{name: tensor}, nothing else."""
    return dict(weights.state)
