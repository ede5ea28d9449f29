"""Checkpoints of HRNet's code and of the one with offset vectors: `model.` before every name, and what stands beside.

best.pth and final_state.pth are bare state dicts, checkpoint.pth.tar has one in `state_dict`. Beside the network's
entries they hold `loss.criterion.weight` (weights of the classes) and, with offsets, `coords`: the positions of the
pixels of a training crop, which nothing reads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from network.trunk.hrnet import TWIN
from network.weights.formats import Weights, tensors
from utils.seeds import grid

_WRAPPER, _LOSS, _GRID = "model.", "loss.", "coords"
_CROP = (2, 512, 1024)  # images, height and width that the published grid was made for
# Head and stage that tell a network, its name, and an entry with a number per class.
_ARCHS = (
    ("aux_head_offset", f"stage4{TWIN}", "offset.HRNet_OCR", "cls_head.bias"),
    ("offset_layer", f"stage4{TWIN}", "offset.HRNet", "last_layer.3.bias"),
    ("last_layer", "stage4", "seg_hrnet.HRNet", "last_layer.3.bias"),
)


def parse(content: Any) -> Weights | None:
    """The weights, or None if this is another layout."""
    if not isinstance(content, dict):
        return None
    entries = content.get("state_dict", content)
    own = {name: x for name, x in tensors(entries).items() if not name.startswith(_LOSS)}
    wrapped = bool(own) and all(name.startswith(_WRAPPER) for name in own)
    if not wrapped and _GRID not in own:
        return None
    state = {name.removeprefix(_WRAPPER) if wrapped else name: x for name, x in own.items()}
    state.pop(_GRID, None)
    found = {name.partition(".")[0] for name in state}
    arch, last = next(((arch, last) for head, stage, arch, last in _ARCHS if {head, stage} <= found), ("", ""))
    classes = len(state[last]) if last in state else None
    fork = branch(state)
    options: dict[str, Any] = {"MODEL.OFFSET_BRANCH": fork} if fork < 5 else {}
    if "state_dict" not in content:
        return Weights(state, "HRNet's layout", arch, classes, options=options)
    return Weights(
        state,
        "HRNet's layout",
        arch,
        classes,
        epoch=int(content.get("epoch") or 0) - 1,  # it counts epochs that are done
        mean_iu=float(content.get("best_mIoU") or 0.0),
        optimizer=content.get("optimizer") or {},
        options=options,
    )


def layout(weights: Weights) -> dict[str, Tensor]:
    """The bare state dict that these codes save, with a grid where there are offsets."""
    state = {f"{_WRAPPER}{name}": x for name, x in weights.state.items()}
    if not any(name.startswith(head) for head in ("aux_head_offset.", "offset_layer.") for name in weights.state):
        return state
    images, *size = _CROP
    return {f"{_WRAPPER}{_GRID}": grid(torch.empty(1, 1, *size)).permute(0, 2, 3, 1).repeat(images, 1, 1, 1)} | state


def twins(state: Mapping[str, Tensor], known: Collection[str]) -> dict[str, Tensor]:
    """The entries of a file's stages and transitions under the names of those among `known` that exist twice."""
    renamed = {_twin(name): x for name, x in state.items()}
    return {name: x for name, x in renamed.items() if name in known}


def branch(names: Collection[str]) -> int:
    """The first of HRNet's stages that exist twice, by a state's names; 5: none does."""
    found = {name.partition(".")[0] for name in names}
    return next((number for number in (2, 3, 4) if f"stage{number}{TWIN}" in found), 5)


def _twin(name: str) -> str:
    """ "stage4.0.relu" -> "stage4_2.0.relu"; "" where there is no such stage."""
    stage, dot, rest = name.partition(".")
    return f"{stage}{TWIN}{dot}{rest}" if stage.startswith(("stage", "transition")) else ""
