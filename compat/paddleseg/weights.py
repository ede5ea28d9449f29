"""PaddleSeg's checkpoints: {name: array} in `.pdparams`, whose names become ours by rule, and the momentum in the
`.pdopt` beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compat.paddleseg import pickled
from network.weights import safe_load
from network.weights.formats import Momentum, Weights
from network.weights.layouts import Layout
from utils.errors import UserError

_INTERNAL = "StructuredToParameterName@@"  # {name: the name that the optimizer's file has it under}
_SPLIT = "UnpackBigParamInfor@@"  # {name: shape and parts} of arrays too big for an old pickle
_FIRST = "conv_layer1_1._conv.weight"
_VELOCITY = "_velocity_0"
_STATISTICS = {"_mean": "running_mean", "_variance": "running_var"}

_CONTEXT, _HEAD = "ocr.ocr_distri_head.object_context_block", "head.spatial_ocr.attention_block"
_STAGE, _FUSE = r"backbone.st(?P<s>\d).stage_st\d_(?P<m>\d+)", r"fuse_func.residual_st\d_\d+_layer_(?P<i>\d)_(?P<j>\d)"
_BRANCHES = r"branches_func.bb_st\d_\d+_branch_layer_(?P<b>\d)_(?P<k>\d+).conv(?P<n>\d)"
# A layer's place there, and here: that of both, of its convolution and of its norm in it. `{b}` is the number of the
# group b, `{b0}` the same counted from 0.
_LAYERS = [
    (r"backbone.conv_layer1_(?P<n>\d)", "backbone", "conv{n}", "bn{n}"),
    (r"backbone.la1.bb_layer2_(?P<b>\d+).conv(?P<n>\d)", "backbone.layer1.{b0}", "conv{n}", "bn{n}"),
    (r"backbone.la1.bb_layer2_(?P<b>\d+).conv_down", "backbone.layer1.{b0}.downsample", "0", "1"),
    # Stage 1 has one branch: layer 1 of its transition continues it, every other one begins a branch.
    (r"backbone.tr1.transition_tr1_layer_1", "backbone.transition1.0", "0", "1"),
    (r"backbone.tr(?P<t>\d).transition_tr\d_layer_(?P<b>\d)", "backbone.transition{t}.{b0}.0", "0", "1"),
    (rf"{_STAGE}.{_BRANCHES}", "backbone.stage{s}.{m0}.branches.{b0}.{k0}", "conv{n}", "bn{n}"),
    (rf"{_STAGE}.{_FUSE}", "backbone.stage{s}.{m0}.fuse_layers.{i0}.{j0}", "0", "1"),
    (rf"{_STAGE}.{_FUSE}_(?P<k>\d)", "backbone.stage{s}.{m0}.fuse_layers.{i0}.{j0}.{k0}", "0", "1"),
    (rf"{_HEAD}.f_pixel.0", f"{_CONTEXT}.f_pixel", "0", "1.0"),
    (rf"{_HEAD}.f_pixel.1", f"{_CONTEXT}.f_pixel", "2", "3.0"),
    (rf"{_HEAD}.f_object.0", f"{_CONTEXT}.f_object", "0", "1.0"),
    (rf"{_HEAD}.f_object.1", f"{_CONTEXT}.f_object", "2", "3.0"),
    (rf"{_HEAD}.f_down", f"{_CONTEXT}.f_down", "0", "1.0"),
    (rf"{_HEAD}.f_up", f"{_CONTEXT}.f_up", "0", "1.0"),
    (r"head.spatial_ocr.conv1x1.0", "ocr.ocr_distri_head.conv_bn_dropout", "0", "1.0"),
    (r"head.conv3x3_ocr", "ocr.conv3x3_ocr", "0", "1.0"),
    (r"head.aux_head.0", "ocr.aux_head", "0", "1.0"),
    (r"scale_attn.atten_head.(?P<n>\d)", "scale_attn", "conv{n}", "bn{n}"),
]
_BARE = {  # layers without a norm
    "head.aux_head.1": "ocr.aux_head.2",
    "head.cls_head": "ocr.cls_head",
    "scale_attn.atten_head.2": "scale_attn.conv2",
}


def is_own(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is Paddle's, by its suffix."""
    return Path(path).suffix in pickled.SUFFIXES


def read(path: str | os.PathLike[str]) -> Any:
    """Read the content of such a file, with NumPy's arrays; errors as `safe_load.single`."""
    return safe_load.single(Path(path), pickled.load)


def rename(name: str) -> str:
    """Give our name of an entry; one of another network keeps its own, but for the running statistics."""
    place, _, entry = name.rpartition(".")
    entry = _STATISTICS.get(entry, entry)
    short = place.removeprefix("ocrnet.")
    if short in _BARE:
        return f"{_BARE[short]}.{entry}"
    layer, _, kind = short.rpartition(".")
    for pattern, both, convolution, norm in _LAYERS if kind in ("_conv", "_batch_norm") else ():
        if found := re.fullmatch(pattern.replace(".", r"\."), layer):
            numbers = {key: int(digits) for key, digits in found.groupdict().items()}
            numbers |= {f"{key}0": number - 1 for key, number in numbers.items()}
            return f"{both}.{convolution if kind == '_conv' else norm}.{entry}".format(**numbers)
    return f"{place}.{entry}" if place else entry


def parse(content: Any, place: str = "") -> Weights | None:
    """Give the weights, or None if there are no arrays where this layout has them, or torch's `state_dict` is."""
    arrays = {} if place or (isinstance(content, dict) and "state_dict" in content) else _arrays(content)
    if not arrays:
        return None
    trunk = "backbone." if _FIRST in arrays else ""  # a file of ImageNet weights has the trunk's names alone
    state = {rename(trunk + name): _tensor(x) for name, x in arrays.items()}
    classes = state.get("ocr.cls_head.bias")
    table = content.get(_INTERNAL)
    internal = {rename(str(ours)): str(theirs) for ours, theirs in (table if isinstance(table, dict) else {}).items()}
    return Weights(
        state=state,
        layout="paddle",
        arch=_arch(state),
        num_classes=len(classes) if classes is not None else None,
        momentum=partial(momentum, internal=internal),
    )


def _arch(state: Mapping[str, Tensor]) -> str:
    """Give the network that has such names; none if it is not one of the two that are known here."""
    if "ocr.cls_head.bias" not in state:
        return ""
    return "ocrnet.HRNet_Mscale" if any(name.startswith("scale_attn.") for name in state) else "ocrnet.HRNet"


def _arrays(content: Any) -> dict[str, np.ndarray]:
    """Give the arrays of a file, split ones whole again; empty if it holds none. A tensor may be (name, array)."""
    if not isinstance(content, dict):
        return {}
    entries = {key: x[1] if isinstance(x, tuple) and len(x) == 2 else x for key, x in content.items()}
    found = {key: x for key, x in entries.items() if isinstance(key, str) and isinstance(x, np.ndarray)}
    split = content.get(_SPLIT)
    for name, entry in split.items() if isinstance(split, dict) else ():
        try:
            parts = [found.pop(part) for part in entry["slices"]]
            found[name] = np.concatenate(parts).reshape([int(side) for side in entry["OriginShape"]])
        except (KeyError, TypeError, ValueError):
            raise UserError(f"the parts of {name!r} do not fit together; write or download the file again") from None
    return found


def _tensor(x: np.ndarray) -> Tensor:
    """Make a tensor of an array; what Paddle writes as uint16 are the bits of bfloat16."""
    return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16) if x.dtype == np.uint16 else torch.from_numpy(x)


def momentum(path: Path, internal: Mapping[str, str]) -> Momentum:
    """Give the optimizer's state in the `.pdopt` beside a `.pdparams`; `internal`: {our name: the optimizer's}.

    Raises UserError if there is none, or if the two do not belong together.
    """
    file = path.with_suffix(".pdopt")
    if not file.is_file():
        raise UserError(f"checkpoint {path} has no {file.name} beside it with its optimizer; use --snapshot alone")
    content = safe_load.read(file)
    try:
        arrays = _arrays(content)
    except UserError as error:
        raise UserError(f"checkpoint {file}: {error}") from None
    found = {name: arrays.get(known + _VELOCITY) for name, known in internal.items()}
    velocities = {name: _tensor(x) for name, x in found.items() if x is not None}
    if not velocities:
        raise UserError(f"{file}: no momentum in it for the parameters of {path.name}; give the one saved with it")
    schedule = content.get("LR_Scheduler")
    schedule = schedule if isinstance(schedule, dict) else {}
    done, rate = schedule.get("last_epoch"), schedule.get("last_lr")
    iterations = done if isinstance(done, int) and done >= 0 else None
    return Momentum(file, velocities, iterations, rate if isinstance(rate, float) else None)


LAYOUT = Layout("paddle", parse, is_own=is_own, read=read)
