"""Seed pixels (Alexandropoulos, Sakaridis and Maragos, "OVeNet: Offset Vector Network for Semantic Segmentation",
arXiv:2303.14516): each pixel may take over the scores of another one, its seed, that an offset vector leads to.

N batch, K classes, h x w map. Offsets have the units of `utils.positions`, so they mean the same at any resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from utils.amp import upcast_to_float32
from utils.positions import grid, sample


class Seeds(NamedTuple):
    """Where each pixel's seed is, `offset` (N, 2, h, w), x before y, and how far it is trusted (N, 1, h, w)."""

    offset: Tensor
    offset_confidence: Tensor


class Scores(NamedTuple):
    """A head's scores, those of the seeds, and the two as one: (N, K, h, w) each."""

    initial: Tensor
    seed: Tensor
    fused: Tensor


@dataclass(frozen=True)
class SeedSampling:
    """How offsets are read from a head, and scores at the seeds.

    `threshold`: longest offset, along x or y. `refinements`: steps that add the offset found at the seed.
    `logits`: scores are sampled and fused as they are; else after a softmax. `align_corners`: see `sample`.
    """

    threshold: float = 0.5
    refinements: int = 0
    logits: bool = True
    align_corners: bool = True

    def read(self, raw: Tensor) -> Seeds:
        """The head's map (N, 3, h, w) -> offsets and confidence, in at least float32."""
        raw = upcast_to_float32(raw)
        offset = raw[:, :2].tanh() * self.threshold
        for _ in range(self.refinements):
            offset = offset + sample(offset, _positions(offset), self.align_corners, padding="zeros")
        return Seeds(offset, raw[:, 2:].sigmoid())

    def fuse_seed(self, scores: Tensor, seeds: Seeds) -> Scores:
        """A head's scores (N, K, h, w) with those of the seeds: (1 - confidence) * initial + confidence * seed."""
        initial = upcast_to_float32(scores)
        initial = initial if self.logits else initial.softmax(1)
        seed = sample(initial, _positions(seeds.offset), self.align_corners)
        return Scores(initial, seed, torch.lerp(initial, seed, seeds.offset_confidence))


def _positions(offset: Tensor) -> Tensor:
    """Where the seeds lie, held inside the map."""
    return (grid(offset) + offset).clamp(-1, 1)
