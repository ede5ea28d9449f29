"""A bare state dict {name: tensor}, as the HRNet releases are, perhaps under a key, whichever it is."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from network.weights.formats import Weights, tensors


def parse(content: Any, place: str = "") -> Weights | None:
    """The weights, or None if there are none. `place`: the keys under which they were found, if they are there."""
    if not isinstance(content, dict):
        return None
    state = tensors(content["state_dict"] if place else content)
    return Weights(state, f"plain, under {place}" if place else "plain") if state else None


def layout(weights: Weights) -> dict[str, Tensor]:
    """{name: tensor}, nothing else."""
    return dict(weights.state)
