"""The table of kinds of labels: a row each, of a file each."""

from __future__ import annotations

from datasets.own import binary
from datasets.own.contract import LabelKind

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")

KINDS: dict[str, LabelKind] = {
    "gray": LabelKind("id", _PICTURES),
    "palette": LabelKind("id", _PICTURES),
    "rgb": LabelKind("color", _PICTURES),
    "binary": binary.KIND,
}
