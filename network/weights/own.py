"""Our own checkpoints: `net`, perhaps `ema`, and all that a resume needs."""

from __future__ import annotations

from collections.abc import Mapping
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
    colors = content.get("class_colors") or ()
    if not isinstance(colors, (list, tuple)) or not all(map(_is_color, colors)):
        raise UserError(f"its class_colors are no [R, G, B], one a class, but {str(colors)[:60]}")
    names, optimizer_names = (_texts(content, key) for key in ("class_names", "optimizer_names"))
    averaged = tensors(content.get("ema")) if ema else {}
    return Weights(
        state=averaged or tensors(content.get("net")),
        layout=f"{FORMAT}, averaged weights" if averaged else FORMAT,
        arch=str(content.get("arch") or ""),
        num_classes=len(names) or None,
        class_names=names,
        class_ids=tuple(ids),
        class_colors=tuple((red, green, blue) for red, green, blue in colors),
        epoch=int(number(content.get("epoch"))),
        mean_iu=number(content.get("mean_iu")),
        command=str(content.get("command") or ""),
        optimizer=content.get("optimizer") or {},
        optimizer_names=optimizer_names,
    )


def _texts(content: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Read a list of names; UserError for what is none."""
    found = content.get(key) or ()
    if not isinstance(found, (list, tuple)):
        raise UserError(f"its {key} are no list of names, but {found!r:.60}")
    return tuple(map(str, found))


def _is_color(color: Any) -> bool:
    """Say whether this is a color [R, G, B] of whole numbers from 0 to 255."""
    parts = color if isinstance(color, (list, tuple)) else ()
    return len(parts) == 3 and all(isinstance(part, int) and 0 <= part <= 255 for part in parts)
