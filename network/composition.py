"""A network from its row of the table in `options.archs`: trunk, head, offsets, scales."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from typing import Any

from network.families import Family, Settings
from network.families_offset import WithOffsets
from network.families_parsing import decoder_name, encoder
from network.net import Net
from network.trunk import Trunk
from options.archs import ANY, HEADS, PUBLISHED_HEADS, SCALES, TRUNKS, Arch, Part

# Heads beside which offsets are read from a second branch of HRNet's last stages.
BRANCHED = {"pointwise", "offset_ocr"}


def compose(arch: Arch, s: Settings) -> Net:
    """The network of a row with random weights; UserError for what does not fit together."""
    head = decoder_name(s.decoder) if arch.head == ANY else arch.head
    s = replace(s, align_corners=arch.aligned or s.align_corners, decoder=head, **arch.fixed_settings)
    part = encoder(s.encoder) if arch.trunk == ANY else TRUNKS[arch.trunk]
    branched = arch.offsets and head in BRANCHED
    made = trunk(part._replace(fixed={**part.fixed, "second_branch": s.second_branch}) if branched else part, s)
    family: Family = _found(HEADS.get(head) or PUBLISHED_HEADS[head])(made, s)
    family = WithOffsets(family, s) if arch.offsets else family
    return _found(SCALES[arch.scales])(family, s) if arch.scales else family


def trunk(part: Part, s: Settings) -> Trunk:
    """A trunk with those of the settings that it takes; UserError where others are set."""
    make: type[Trunk] = _found(part)
    make.refuse(s.width_mult, s.grad_ckpt)
    return make(**{name: getattr(s, name) for name in make.takes - part.fixed.keys()}, **part.fixed)


def _found(part: Part) -> Any:
    return pkgutil.resolve_name(f"network.{part.make}")
