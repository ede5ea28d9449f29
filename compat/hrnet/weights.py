"""Checkpoints of HRNet's code and of the one with offset vectors: `model.` before every name, and what stands beside.

best.pth and final_state.pth are bare state dicts, checkpoint.pth.tar has one in `state_dict`. Beside the network's
entries they hold `loss.criterion.weight` (weights of the classes) and, with offsets, `coords`: the positions of the
pixels of a training crop, which nothing reads. HRNet with OCR and without offsets is `ocrnet.HRNet` here, whose parts
have other names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from network.trunk.hrnet import SECOND_BRANCH
from network.weights.formats import Weights, number, renamed, tensors
from network.weights.layouts import Layout
from network.weights.trunks import branch_from
from utils.positions import grid

_NAME = "HRNet's layout"
_WRAPPER, _LOSS, _GRID = "model.", "loss.", "coords"
_CROP = (2, 512, 1024)  # images, height and width that the published grid was made for
# Head and stage that tell a network, its name, and an entry with a number per class.
_ARCHS = (
    ("aux_head_offset", f"stage4{SECOND_BRANCH}", "offset.HRNet_OCR", "cls_head.bias"),
    ("offset_layer", f"stage4{SECOND_BRANCH}", "offset.HRNet", "last_layer.3.bias"),
    ("conv3x3_ocr", "stage4", "ocrnet.HRNet", "cls_head.bias"),
    ("last_layer", "stage4", "seg_hrnet.HRNet", "last_layer.3.bias"),
)
# Starts of names of HRNet with OCR -> those of ocrnet.HRNet; what is left is the trunk's.
_OCR = {
    "conv3x3_ocr.0.": "ocr.conv3x3_ocr.0.",
    "conv3x3_ocr.1.": "ocr.conv3x3_ocr.1.0.",
    "ocr_distri_head.": "ocr.ocr_distri_head.",
    "cls_head.": "ocr.cls_head.",
    "aux_head.0.": "ocr.aux_head.0.",
    "aux_head.1.": "ocr.aux_head.1.0.",
    "aux_head.3.": "ocr.aux_head.2.",
    "": "backbone.",
}
_OCR_BACK = {ours: theirs for theirs, ours in _OCR.items()}


def parse(content: Any, place: str = "") -> Weights | None:
    """Give the weights, or None if this is another layout."""
    if not isinstance(content, dict) or "arch" in content:  # NVIDIA's files name their network
        return None
    entries = content.get("state_dict", content)
    own = {name: x for name, x in tensors(entries).items() if not name.startswith(_LOSS)}
    wrapped = bool(own) and all(name.startswith(_WRAPPER) for name in own)
    if not wrapped and own.keys().isdisjoint((_GRID, "conv3x3_ocr.0.weight")):
        return None
    state = {name.removeprefix(_WRAPPER) if wrapped else name: x for name, x in own.items()}
    state.pop(_GRID, None)
    found = {name.partition(".")[0] for name in state}
    arch, last = next(((arch, last) for head, stage, arch, last in _ARCHS if {head, stage} <= found), ("", ""))
    more: dict[str, Any] = {"num_classes": len(state[last]) if last in state else None}
    if "state_dict" in content:
        more["epoch"] = int(number(content.get("epoch"))) - 1  # it counts epochs that are done
        more["mean_iu"] = number(content.get("best_mIoU"))
        more["optimizer"] = content["optimizer"] if isinstance(content.get("optimizer"), dict) else {}
    if arch == "ocrnet.HRNet":
        state = {renamed(name, _OCR): x for name, x in state.items()}
        return Weights(state, _NAME, arch, options={"MODEL.ALIGN_CORNERS": True}, **more)
    first = branch_from(state)
    return Weights(state, _NAME, arch, options={"MODEL.OFFSET_BRANCH": first} if first < 5 else {}, **more)


def write(weights: Weights) -> dict[str, dict[str, Tensor]]:
    """Give {"": the bare state dict that these codes save, with a grid where there are offsets}."""
    state = {f"{_WRAPPER}{name}": x for name, x in _published(weights.state).items()}
    if not any(name.startswith(head) for head in ("aux_head_offset.", "offset_layer.") for name in weights.state):
        return {"": state}
    images, *size = _CROP
    positions = grid(torch.empty(1, 1, *size)).permute(0, 2, 3, 1).repeat(images, 1, 1, 1)
    return {"": {f"{_WRAPPER}{_GRID}": positions} | state}


def fitting(state: Mapping[str, Tensor], known: Collection[str]) -> Mapping[str, Tensor]:
    """Give the entries of HRNet with OCR as a network of the names `known` has them: published, where its trunk has no
    name, or those of ocrnet.HRNet. Others stay as they are.
    """
    return _published(state) if "conv1.weight" in known else state


def _published(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Give the entries of ocrnet.HRNet under their published names; other networks' as they are."""
    if "ocr.conv3x3_ocr.0.weight" not in state:
        return state
    return {renamed(name, _OCR_BACK): x for name, x in state.items()}


LAYOUT = Layout("hrnet", parse, write, "as HRNet's code and the one with offset vectors save and load it", fitting)
