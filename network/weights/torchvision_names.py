"""Files of torchvision: names of its Swin (both versions), ViT and RegNet become timm's.

Its ResNets have timm's names, and what else fits has timm's order (`timm_names`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_MLP = ((r"\.mlp\.(0|linear_1)\.", ".mlp.fc1."), (r"\.mlp\.(3|linear_2)\.", ".mlp.fc2."))
# An entry that one family alone has -> what torchvision calls its entries, and timm.
_FAMILIES = {
    "features.1.0.attn.qkv.weight": (
        (r"^features\.0\.0\.", "patch_embed.proj."),
        (r"^features\.0\.2\.", "patch_embed.norm."),
        *((rf"^features\.{2 * stage + 1}\.", f"layers.{stage}.blocks.") for stage in range(4)),
        *((rf"^features\.{2 * stage}\.", f"layers.{stage}.downsample.") for stage in range(1, 4)),
        *_MLP,
        (r"^head\.", "head.fc."),
    ),
    "encoder.layers.encoder_layer_0.self_attention.in_proj_weight": (
        (r"^class_token$", "cls_token"),
        (r"^conv_proj\.", "patch_embed.proj."),
        (r"^encoder\.pos_embedding$", "pos_embed"),
        (r"^encoder\.layers\.encoder_layer_", "blocks."),
        (r"^encoder\.ln\.", "norm."),
        (r"\.ln_(\d)\.", r".norm\1."),
        (r"\.self_attention\.in_proj_", ".attn.qkv."),
        (r"\.self_attention\.out_proj\.", ".attn.proj."),
        *_MLP,
        (r"^heads\.head\.", "head."),
    ),
    "trunk_output.block1.block1-0.f.a.0.weight": (
        (r"^stem\.0\.", "stem.conv."),
        (r"^stem\.1\.", "stem.bn."),
        (r"^trunk_output\.block\d\.block(\d)-(\d+)\.", lambda found: f"s{found[1]}.b{int(found[2]) + 1}."),
        (r"\.proj\.0\.", ".downsample.conv."),
        (r"\.proj\.1\.", ".downsample.bn."),
        *((rf"\.f\.{letter}\.", f".conv{place}.") for place, letter in enumerate("abc", start=1)),
        (r"\.(conv\d)\.0\.", r".\1.conv."),
        (r"\.(conv\d)\.1\.", r".\1.bn."),
        (r"\.f\.se\.", ".se."),
        (r"^fc\.", "head.fc."),
    ),
}
_COMPUTED = ("relative_position_index", "relative_coords_table")  # timm makes them from the windows' size
_SECOND_SWIN = "features.1.0.attn.logit_scale"


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries under timm's names; empty where they are of no family of these."""
    steps = next((steps for entry, steps in _FAMILIES.items() if entry in state), None)
    if steps is None:
        return {}
    found: dict[str, Tensor] = {}
    for name, x in state.items():
        if name.endswith(_COMPUTED):
            continue
        for theirs, ours in steps:
            name = re.sub(theirs, ours, name)
        found[name] = x
    return _split_biases(found) if _SECOND_SWIN in state else found


def _split_biases(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Swin's second version has queries' and values' biases apart in timm; those of keys count for nothing."""
    end = "attn.qkv.bias"
    found = {name: x for name, x in state.items() if not name.endswith(end)}
    for name in state.keys() - found.keys():
        query, _, value = state[name].chunk(3)
        start = name.removesuffix("qkv.bias")
        found |= {f"{start}q_bias": query, f"{start}v_bias": value}
    return found
