"""Attention to scale (Chen et al., arXiv:1511.03339): maps of all scales, weighed by their features side by side.

N batch, C channels, S scales, H x W image, h x w features of scale 1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from network.mscale import MultiScale
from utils.amp import upcast_to_float32
from utils.contracts import Outputs, scale_name
from utils.resize import resize


class AttentionToScale(MultiScale):
    """`attnscale`: one head reads the features of all scales, (N, S * channels, h, w), and gives S weights.

    Training sees the scales that evaluation sees. Outputs beside `pred`: each scale's `pred_05x`, ... at its input
    size, its weights `attn_05x`, ... at the image's size, and `attn`, the largest scale's before they are resized.
    """

    def _scales(self) -> tuple[float, ...]:
        return tuple(sorted(self.scales, reverse=True))

    def _combined(self, image: Tensor, keep: Collection[str] | None) -> Outputs:
        size, scales = self._shared(image.shape[-2:]), sorted(self._scales())
        seen: dict[float, Outputs] = {}
        features: dict[float, Tensor] = {}
        for scale in (1.0, *(s for s in scales if s != 1)):  # published: also the order of the head's channels
            outputs, x, own_size = self._forward_scale(image, scale, keep)
            seen[scale] = self._fit(outputs, own_size)
            features[scale] = resize(x, features[1.0].shape[-2:] if features else x.shape[-2:], self.align_corners)
        weights = self._weights(features, size)
        spread = {s: resize(weights[s], size, self.align_corners) for s in scales}  # (N, 1, H, W) each
        fused: Outputs = {}
        for name in seen[1.0]:
            maps = [spread[s] * resize(seen[s][name], size, self.align_corners) for s in scales]
            fused[name] = sum(maps[1:], start=maps[0])
        per_scale_outputs = {f"pred_{scale_name(s)}": seen[s]["pred"] for s in scales}
        per_scale_outputs |= {f"attn_{scale_name(s)}": spread[s] for s in scales} | {"attn": weights[scales[-1]]}
        return {name: x for name, x in (per_scale_outputs | fused).items() if keep is None or name in keep}

    def _weights(self, features: Mapping[float, Tensor], size: Sequence[int]) -> dict[float, Tensor]:
        """Features (N, C, h, w) by scale, in the head's order -> weights (N, 1, ...) by scale; H x W is `size`."""
        weights = upcast_to_float32(self.scale_attn(torch.cat(list(features.values()), dim=1)))
        return {scale: weights[:, i : i + 1] for i, scale in enumerate(sorted(features))}


class PairwiseAttentionToScale(AttentionToScale):
    """`attnscale.DeepV3R50BP`: the head reads two neighboring scales and shares what is to be given between them.

    So it can be trained with two scales, `lo_scale` and 1, and evaluated with any number.
    """

    def _scales(self) -> tuple[float, ...]:
        return (1.0, self.lo_scale) if self.training else super()._scales()

    def _weights(self, features: Mapping[float, Tensor], size: Sequence[int]) -> dict[float, Tensor]:
        """The smallest scale's weight is the head's; each larger pair divides the weight that its smaller one had."""
        scales = sorted(features)
        weights: dict[float, Tensor] = {}
        for lower, higher in zip(scales, scales[1:], strict=False):
            pair = upcast_to_float32(self.scale_attn(torch.cat([features[lower], features[higher]], dim=1)))
            pair = resize(pair, size, self.align_corners)  # (N, 2, H, W)
            shares = {lower: pair[:, :1], higher: pair[:, 1:]}
            if lower in weights:
                rest = weights[lower] / pair.sum(dim=1, keepdim=True)
                shares = {scale: share * rest for scale, share in shares.items()}
            weights |= shares
        return weights
