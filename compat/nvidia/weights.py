"""NVIDIA's checkpoints: a dict with `state_dict`, every name of which starts with `module.`.

Those of its sdcnet branch do not name the network, but hold the command line that trained it.
"""

from __future__ import annotations

import shlex
from typing import Any

from network.weights.formats import Weights, number, tensors
from network.weights.layouts import Layout


def parse(content: Any, place: str = "") -> Weights | None:
    """Give the weights, or None if this is another layout."""
    if place or not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        return None
    optimizer = content.get("optimizer")
    arch, command = (x if isinstance(x := content.get(name), str) else "" for name in ("arch", "command"))
    return Weights(
        state=tensors(content["state_dict"]),
        layout="nvidia",
        arch=arch or _arch(command),
        num_classes=int(number(content.get("num_classes"))) or None,
        epoch=int(number(content.get("epoch"))),
        mean_iu=number(content.get("mean_iu")),  # a NumPy scalar in published files
        command=command,
        optimizer=optimizer if isinstance(optimizer, dict) else {},
    )


def _arch(command: str) -> str:
    """ "... --arch network.deepv3.DeepWV3Plus ..." -> "deepv3.DeepWV3Plus"; empty where the line does not say."""
    try:
        argv = shlex.split(command)
    except ValueError:  # a quotation mark that has no other
        argv = command.split()
    argv = [part for word in argv for part in (word.split("=", 1) if word.startswith("--arch=") else [word])]
    after = argv[argv.index("--arch") + 1 :] if "--arch" in argv else []
    return after[0].removeprefix("network.") if after else ""


def write(weights: Weights) -> dict[str, Any]:
    """Give {"": the dict that NVIDIA's code saves, with `mean_iu` as a plain float}."""
    content = {
        "epoch": weights.epoch,
        "arch": weights.arch,
        "num_classes": weights.num_classes,
        "state_dict": {f"module.{name}": x for name, x in weights.state.items()},
        "optimizer": weights.optimizer,
        "mean_iu": weights.mean_iu,
        "command": weights.command,
    }
    return {"": content}


LAYOUT = Layout("nvidia", parse, write, "as NVIDIA's code saves and loads it")
