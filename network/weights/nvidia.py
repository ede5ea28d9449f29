"""NVIDIA's checkpoints: a dict with `state_dict`, every name of which starts with `module.`."""

from __future__ import annotations

from typing import Any

from network.weights.formats import Weights, tensors


def parse(content: Any) -> Weights | None:
    """The weights, or None if this is another layout."""
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        return None
    classes = content.get("num_classes")
    return Weights(
        state=tensors(content["state_dict"]),
        layout="nvidia",
        arch=str(content.get("arch") or ""),
        num_classes=int(classes) if classes else None,
        epoch=int(content.get("epoch") or 0),
        mean_iu=float(content.get("mean_iu") or 0.0),  # a NumPy scalar in published files
        command=str(content.get("command") or ""),
        optimizer=content.get("optimizer") or {},
    )


def layout(weights: Weights) -> dict[str, Any]:
    """The dict that NVIDIA's code saves, with `mean_iu` as a plain float."""
    return {
        "epoch": weights.epoch,
        "arch": weights.arch,
        "num_classes": weights.num_classes,
        "state_dict": {f"module.{name}": x for name, x in weights.state.items()},
        "optimizer": weights.optimizer,
        "mean_iu": weights.mean_iu,
        "command": weights.command,
    }
