"""Files of Hugging Face's transformers: their names become those of the networks' authors, which timm knows."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# What transformers calls it -> what the authors of ViT, DINOv2, DINOv3, Swin and ConvNeXt call it; tried in this order.
_NAMES = tuple(
    (re.compile(theirs), ours)
    for theirs, ours in (
        (r"^(vit|deit|beit|dinov2|dinov2_with_registers|dinov3_vit|swin|convnext|convnextv2|model)\.", ""),
        (r"^encoder\.stages\.(\d+)\.layers\.", r"stages.\1."),
        (r"^encoder\.stages\.(\d+)\.downsampling_layer\.", r"downsample_layers.\1."),
        (r"^(stages\..*)\.layernorm\.", r"\1.norm."),
        (r"\.layer_scale_parameter$", ".gamma"),
        (r"\.grn\.weight$", ".grn.gamma"),
        (r"\.grn\.bias$", ".grn.beta"),
        (r"^embeddings\.(cls_token|mask_token|register_tokens)$", r"\1"),
        (r"^embeddings\.position_embeddings$", "pos_embed"),
        (r"^embeddings\.patch_embeddings\.(projection\.)?", "patch_embed.proj."),
        (r"^embeddings\.norm\.", "patch_embed.norm."),
        (r"^encoder\.layers\.", "layers."),
        (r"^(encoder\.)?layer\.", "blocks."),
        (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
        (r"\.attention\.(?:attention\.|self\.)?(?=\w)", ".attn."),
        (r"\.intermediate\.dense\.", ".mlp.fc1."),
        (r"\.output\.dense\.", ".mlp.fc2."),
        (r"\.mlp\.up_proj\.", ".mlp.fc1."),
        (r"\.mlp\.down_proj\.", ".mlp.fc2."),
        (r"\.layernorm_before\.", ".norm1."),
        (r"\.layernorm_after\.", ".norm2."),
        (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
        (r"^layernorm\.", "norm."),
    )
)
# What two of them call alike in transformers and the authors do not, by an entry that one alone has.
_OF_ONE = {
    "blocks.0.attn.q_proj.weight": {"register_tokens": "storage_tokens"},  # DINOv3
    "downsample_layers.1.0.weight": {  # ConvNeXt
        "patch_embed.proj.weight": "downsample_layers.0.0.weight",
        "patch_embed.proj.bias": "downsample_layers.0.0.bias",
        "embeddings.layernorm.weight": "downsample_layers.0.1.weight",
        "embeddings.layernorm.bias": "downsample_layers.0.1.bias",
    },
}
_PART = re.compile(r"(.*\.attn\.)(?:(query|q_proj)|(key|k_proj)|(value|v_proj))\.(weight|bias)$")


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries under their authors' names, queries, keys and values joined; empty where nothing was renamed."""
    names = {name: _renamed(name) for name in state}
    own = {
        theirs: ours for entry, others in _OF_ONE.items() if entry in names.values() for theirs, ours in others.items()
    }
    found = {own.get(ours, ours): state[theirs] for theirs, ours in names.items()}
    return joined(found) if own or any(map(_PART.fullmatch, found)) else {}


def joined(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries with queries, keys and values in one, behind all others."""
    found: dict[str, Tensor] = {}
    parts: dict[str, list[Tensor | None]] = {}
    for name, x in state.items():
        if part := _PART.fullmatch(name):
            place = next(place for place in range(3) if part[place + 2])
            parts.setdefault(f"{part[1]}qkv.{part[5]}", [None] * 3)[place] = x
        else:
            found[name] = x
    return found | {name: _joined(three) for name, three in parts.items()}


def _renamed(name: str) -> str:
    for pattern, ours in _NAMES:
        name = pattern.sub(ours, name)
    return name


def _joined(three: list[Tensor | None]) -> Tensor:
    """Queries, keys and values of one size each; a part that has no bias has zeros."""
    like = next(x for x in three if x is not None)
    return torch.cat([torch.zeros_like(like) if x is None else x for x in three])
