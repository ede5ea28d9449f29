"""Our own checkpoints: `net`, perhaps `ema`, and all that a resume needs."""

from __future__ import annotations

from typing import Any

from network.weights.checksum import FORMAT, is_ours
from network.weights.formats import Weights, number, tensors
from utils.errors import UserError


def parse(content: Any, ema: bool = True) -> Weights | None:
    """The weights, or None if this is another layout. `ema`: the averaged weights if there are any."""
    if not is_ours(content):
        return None
    ids = content.get("class_ids") or ()
    right = isinstance(ids, (list, tuple)) and all(isinstance(value, int) and value >= 0 for value in ids)
    if not right or len({*ids}) < len(ids):
        raise UserError(f"its class_ids are no label values, one a class, but {ids!r}")
    averaged = tensors(content.get("ema")) if ema else {}
    return Weights(
        state=averaged or tensors(content.get("net")),
        layout=f"{FORMAT}, averaged weights" if averaged else FORMAT,
        arch=str(content.get("arch") or ""),
        num_classes=len(content.get("class_names") or ()) or None,
        class_names=tuple(map(str, content.get("class_names") or ())),
        class_ids=tuple(ids),
        epoch=int(number(content.get("epoch"))),
        mean_iu=number(content.get("mean_iu")),
        command=str(content.get("command") or ""),
        optimizer=content.get("optimizer") or {},
        optimizer_names=tuple(map(str, content.get("optimizer_names") or ())),
    )
