"""Files of ViT's authors: arrays of NumPy, whose names and kernels are those of JAX, become timm's.

Dosovitskiy et al., arXiv:2010.11929, and Steiner et al., arXiv:2106.10270 (`augreg`); also those of their later code,
which calls its blocks' parts otherwise, or keeps all blocks in one array.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from network.weights import transformers_names
from utils import arrayfile
from utils.errors import UserError

FIRST = "embedding/kernel"  # of every such file; what stands before it stands before all names
_BLOCKS = "Transformer/encoderblock/"  # of the blocks together, their number being the arrays' first side
# What the authors call it -> what timm calls it, but for queries, keys and values, which it joins.
_NAMES = tuple(
    (re.compile(theirs), ours)
    for theirs, ours in (
        (r"^cls$", "cls_token"),
        (r"^(Transformer/posembed_input/)?pos_embedding$", "pos_embed"),
        (r"^embedding/", "patch_embed.proj/"),
        (r"^Transformer/encoder_norm/", "norm/"),
        (r"^Transformer/encoderblock_(\d+)/", r"blocks.\1."),
        (r"\.LayerNorm_0/", ".norm1/"),
        (r"\.LayerNorm_[12]/", ".norm2/"),
        (r"\.MultiHeadDotProductAttention_[01]/(query|key|value)/", r".attn.\1/"),
        (r"\.MultiHeadDotProductAttention_[01]/out/", ".attn.proj/"),
        (r"\.MlpBlock_[03]/Dense_0/", ".mlp.fc1/"),
        (r"\.MlpBlock_[03]/Dense_1/", ".mlp.fc2/"),
        (r"/(kernel|scale)$", ".weight"),
        (r"/bias$", ".bias"),
    )
)


def are(names: Collection[str]) -> bool:
    """Tell whether arrays of these names are of such a file."""
    return _prefix(names) is not None


def content(path: Path) -> dict[str, Tensor]:
    """Read {name: numbers} of a .npz file. UserError for one of another kind, ValueError for what is no numbers."""
    arrays = arrayfile.columns(path)
    if not are(arrays):
        raise UserError("arrays of NumPy (.npz) are read of ViT's authors alone: torch.save({name: tensor}, FILE)")
    return {name: torch.from_numpy(x.copy()) for name, x in arrays.items()}


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the entries under timm's names, queries, keys and values joined; empty where they are of no such file."""
    prefix = _prefix(state)
    if prefix is None:
        return {}
    found = dict[str, Tensor]()
    for theirs, x in _blocks_apart({name.removeprefix(prefix): x for name, x in state.items()}):
        name = theirs
        for pattern, ours in _NAMES:
            name = pattern.sub(ours, name)
        found[name] = _as_torch(theirs, x)
    return transformers_names.joined(found)


def _prefix(names: Collection[str]) -> str | None:
    return next((name.removesuffix(FIRST) for name in names if name.endswith(FIRST)), None)


def _blocks_apart(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield entries of one block each: (B, ...) of all -> B times (...)."""
    for name, x in state.items():
        if name.startswith(_BLOCKS):
            for number, part in enumerate(x):
                yield name.replace(_BLOCKS, f"{_BLOCKS[:-1]}_{number}/"), part
        else:
            yield name, x


def _as_torch(name: str, x: Tensor) -> Tensor:
    """Turn a kernel's sides: (h, w, in, out) -> (out, in, h, w); (in, heads, out/heads) and (heads, in/heads, out) ->
    (out, in), as (in, out); a bias (heads, out/heads) -> (out).
    """
    if not name.endswith("/kernel"):
        return x.flatten() if name.endswith("/bias") else x
    if x.ndim == 4:
        return x.permute(3, 2, 0, 1)
    return (x.flatten(0, -2) if name.endswith("/out/kernel") else x.flatten(1)).T
