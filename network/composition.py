"""A network from its row of the table in `options.archs`: trunk, head, offsets, scales."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from typing import Any

from network.families import Family, Settings
from network.families_offset import WithOffsets
from network.net import Net
from network.trunk import Trunk
from options import archs
from options.archs import ANY, Arch
from options.parts import Part, TrunkPart


def compose(arch: Arch, s: Settings) -> Net:
    """The network of a row with random weights; UserError for what does not fit together."""
    s = replace(s, align_corners=arch.aligned or s.align_corners, **arch.fixed_settings)
    part, head, scales = archs.parts(arch, s.encoder, s.decoder) if arch.trunk == ANY else archs.parts(arch)
    if arch.offsets and head.second_branch:
        part = replace(part, takes=(*part.takes, "second_branch"))
    family: Family = _found(head)(trunk(part, s), s, **head.fixed)
    family = WithOffsets(family, s) if arch.offsets else family
    return _found(scales)(family, s) if arch.scales else family


def trunk(part: TrunkPart, s: Settings) -> Trunk:
    """A trunk with those of the settings that its row names."""
    return _found(part)(**{name: getattr(s, name) for name in part.takes}, **part.fixed)


def _found(part: Part) -> Any:
    return pkgutil.resolve_name(f"network.{part.make}")
