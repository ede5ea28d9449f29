"""Hierarchical multi-scale attention (Tao et al., arXiv:2005.10821): one network at several scales of an image.

The network predicts, beside its class maps, how much a pixel should trust this scale rather than the next larger
one. N batch, C channels, H x W image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from network.families import Family, Maps
from network.families_deeplab import DeepLabPlus
from network.net import Net
from utils.amp import upcast_to_float32
from utils.contracts import Outputs, scale_name
from utils.resize import at_least_one, composes, resize, resize_by, traced


def fuse(coarse: Tensor, attention: Tensor, fine: Tensor, align_corners: bool = False) -> Tensor:
    """Blend maps of two scales at the size of `fine`: (N, C, h, w), (N, 1, h, w), (N, C, H, W) -> (N, C, H, W).

    up(attention * coarse) + (1 - up(attention)) * fine, eq. 1 of the paper.
    """
    size = fine.shape[-2:]
    return resize(attention * coarse, size, align_corners) + (1 - resize(attention, size, align_corners)) * fine


class MultiScale(Net):
    """Any family at several scales, and `scale_attn`, which turns its features into attention (N, 1, h, w) in [0, 1].

    In training, and in evaluation unless `scales` says otherwise, the scales are `lo_scale` and 1; a short training
    is quicker without the second one before epoch `second_scale_from`. Outputs beside `pred`, for every scale at that
    scale's input size: `pred_05x`, `pred_10x`, ..., `attn_05x`, ... (none for the largest scale); `aux` and what else
    the network makes are fused as `pred` is, and stay at the image's size. In training with labels smaller than the
    image (`size`) all of these are as much smaller.
    """

    family: Family

    def __init__(
        self,
        family: Family,
        attention: nn.Module,
        lo_scale: float = 0.5,
        scales: Sequence[float] = (),
        second_scale_from: int = 0,
    ) -> None:
        super().__init__(family, align_corners=family.align_corners)
        self.scale_attn = attention
        self.lo_scale = lo_scale
        self.scales = tuple(scales)
        self.second_scale_from = second_scale_from
        self.second_scale = True
        self.share = 1.0  # of the input's side that maps are fused at, see `_asked_share`
        # Of scaled inputs, see `resize_by`; an `EvalRule` sets it while it evaluates.
        self.use_given_scale_factor = False

    def forward(self, image: Tensor, size: Sequence[int] | None = None, keep: Collection[str] | None = None) -> Outputs:
        """Normalized image (N, 3, H, W) -> fused `pred` (N, K, *size), by default H x W, and the maps named above.

        `size` is a last resize of `pred` only. `keep`: the names wanted, None for all; the others are freed at once.
        """
        if self.training and not self.second_scale:
            return self._with_unused_attention(self.family(image, size, keep))
        self.share = self._asked_share(image, size)
        outputs = self._combined(image, keep)
        if "pred" in outputs:
            outputs["pred"] = resize(outputs["pred"], size or image.shape[-2:], self.align_corners)
        return outputs

    def _asked_share(self, image: Tensor, size: Sequence[int] | None) -> float:
        """In training maps are fused at the size of smaller labels: the loss sees no more of them."""
        asked = max(size) / max(image.shape[-2:]) if self.training and size else 1.0
        return min(1.0, asked)

    def start_epoch(self, epoch: int) -> None:
        """Train with the second scale from epoch `second_scale_from` on; before, as a single-scale network."""
        super().start_epoch(epoch)
        self.second_scale = epoch >= self.second_scale_from

    def _scales(self) -> tuple[float, ...]:
        """Scales of this pass, from large to small."""
        if self.training:
            return (1.0, self.lo_scale)
        return tuple(sorted(self.scales or (1.0, self.lo_scale), reverse=True))

    def maps(self, image: Tensor) -> Maps:
        """The family's maps of an image that is scaled already."""
        return self.family.maps(image)

    def _combined(self, image: Tensor, keep: Collection[str] | None) -> Outputs:
        """What is fused at the image's size, and every scale's own maps at its input size, as far as wanted."""
        outputs: Outputs = {}
        fused: Outputs = {}
        for scale, scale_outputs in self._scale_outputs(image, keep):
            fused, per_scale_outputs = self._add_scale(fused, scale_outputs, scale)
            outputs |= {name: x for name, x in per_scale_outputs.items() if keep is None or name in keep}
        return outputs | {name: x for name, x in fused.items() if keep is None or name in keep}

    def _scale_outputs(self, image: Tensor, keep: Collection[str] | None) -> Iterator[tuple[float, Outputs]]:
        """Each scale and its maps with their `attn`, at its input size, from large to small.

        Running statistics depend on the order of the passes. Published training starts with the smallest scale;
        evaluation goes from large to small, so that only what is fused so far is held.
        """
        scales = self._scales()
        if self.training:
            every = [(scale, self._attended(image, scale, keep)) for scale in reversed(scales)]
            yield from reversed(every)
        else:
            for scale in scales:
                yield scale, self._attended(image, scale, keep, attention=scale != scales[0])

    def _attended(self, image: Tensor, scale: float, keep: Collection[str] | None, attention: bool = True) -> Outputs:
        """A scale's maps, and its attention if asked, at its input size."""
        outputs, features, size = self._forward_scale(image, scale, keep)
        if attention:
            outputs["attn"] = self.scale_attn(features)
        elif keep is not None and f"pred_{scale_name(scale)}" not in keep:
            size = self._met_at(image, outputs["pred"].shape[-2:], size)
        return self._fit(outputs, size)

    def _met_at(self, image: Tensor, small: Sequence[int], size: Sequence[int]) -> Sequence[int]:
        """The size at which the largest scale's maps are fused, where they may be resized to it at once; else its own.

        Nobody wants them at their input's size, four times the next scale's, which would only be halved again.
        """
        after = self._scales()[1:2]
        if traced() or not after or after[0] < 1:
            return size
        target = [at_least_one(math.floor(side * after[0])) for side in image.shape[-2:]]
        return target if composes(small, size, target, self.align_corners) else size

    def _forward_scale(
        self, image: Tensor, scale: float, keep: Collection[str] | None, maps: Callable[[Tensor], Maps] | None = None
    ) -> tuple[Outputs, Tensor, Sequence[int]]:
        """One pass at a scale: the class maps and what else is kept, the features, the input's size (h, w)."""
        scaled = resize_by(image, scale, self.align_corners, self.use_given_scale_factor)
        outputs, features, _ = (maps or self.maps)(scaled)
        outputs = {name: x for name, x in outputs.items() if name == "pred" or keep is None or name in keep}
        return outputs, features, scaled.shape[-2:]

    def _fit(self, outputs: Outputs, size: Sequence[int]) -> Outputs:
        """Maps in at least float32 at this size, an input's, or at the share of it that training asks for."""
        size = self._shared(size)
        return {name: resize(upcast_to_float32(x), size, self.align_corners) for name, x in outputs.items()}

    def _shared(self, size: Sequence[int]) -> Sequence[int]:
        return size if self.share == 1 else [max(1, round(side * self.share)) for side in size]

    def _add_scale(self, fused: Outputs, scale_outputs: Outputs, scale: float) -> tuple[Outputs, Outputs]:
        """Fuse one more, smaller scale; also returns this scale's own maps under their output names."""
        name, attention = scale_name(scale), scale_outputs.pop("attn", None)
        per_scale_outputs = {f"pred_{name}": scale_outputs["pred"]}
        if not fused or attention is None:
            return scale_outputs, per_scale_outputs
        if scale >= 1:  # what is larger than the image is shrunk before it is fused, never the other way round
            size = scale_outputs["pred"].shape[-2:]
            fused = {key: resize(x, size, self.align_corners) for key, x in fused.items()}
        fused = {key: fuse(scale_outputs[key], attention, fused[key], self.align_corners) for key in fused}
        return fused, per_scale_outputs | self._attention_outputs(name, attention, fused["pred"].shape[-2:])

    def _attention_outputs(self, name: str, attention: Tensor, size: Sequence[int]) -> Outputs:
        """The attention of the scale `name` under its output name; `size` is that of what it has fused."""
        return {f"attn_{name}": attention}

    def _with_unused_attention(self, outputs: Outputs) -> Outputs:
        """Without a second scale the attention's parameters take part with a zero, as distributed training asks."""
        if "pred" not in outputs:
            return outputs
        zero = sum((0 * p.sum() for p in self.scale_attn.parameters()), start=outputs["pred"].new_zeros(()))
        return outputs | {"pred": outputs["pred"] + zero}


class PairedMultiScale(MultiScale):
    """`mscale2`: the attention reads the features of a scale and of the next larger one, (N, 2 * channels, h, w).

    The attention that is used last, the smallest scale's, is also given as `attn_10x`, at the image's size: that is its
    published name.
    """

    def _scale_outputs(self, image: Tensor, keep: Collection[str] | None) -> Iterator[tuple[float, Outputs]]:
        scales = self._scales()
        passes = (self._forward_scale(image, scale, keep) for scale in scales)
        if self.training:
            passes = reversed([self._forward_scale(image, scale, keep) for scale in reversed(scales)])
        larger: Tensor | None = None
        for scale, (outputs, features, size) in zip(scales, passes, strict=True):
            if larger is not None:
                larger = resize(larger, features.shape[-2:], self.align_corners)
                outputs["attn"] = self.scale_attn(torch.cat([features, larger], dim=1))
            larger = features
            yield scale, self._fit(outputs, size)

    def _attention_outputs(self, name: str, attention: Tensor, size: Sequence[int]) -> Outputs:
        return {f"attn_{name}": attention, "attn_10x": resize(attention, size, self.align_corners)}


class FusedPyramids(MultiScale):
    """`mscale.DeepV3W38Fuse`, `Fuse2`: a scale's ASPP pyramid is blended with that of the next smaller one.

    Where the smaller scale is trusted its pyramid is taken. The attention has one channel, for classes and pyramids,
    or one for each. So evaluation, like training, goes from small to large and holds the maps of all scales.
    """

    family: DeepLabPlus

    def _scale_outputs(self, image: Tensor, keep: Collection[str] | None) -> Iterator[tuple[float, Outputs]]:
        scales = self._scales()
        every: list[tuple[float, Outputs]] = []
        pyramid: Tensor | None = None  # of the scale before: (N, channels, h, w)
        attention: Tensor | None = None  # of the scale before: (N, 1, H, W)

        def blend(own: Tensor) -> Tensor:
            nonlocal pyramid
            mixed = own
            if pyramid is not None and attention is not None:
                share = resize(attention, own.shape[-2:], self.align_corners)
                smaller = resize(pyramid, own.shape[-2:], self.align_corners)
                mixed = (share * smaller + (1 - share) * own).to(own.dtype)
            pyramid = mixed
            return mixed

        maps = partial(self.family.maps, blend=blend)
        for scale in reversed(scales):
            outputs, features, size = self._forward_scale(image, scale, keep, maps)
            if self.training or scale != scales[0]:
                outputs["attn"] = self.scale_attn(features)
            scale_outputs = self._fit(outputs, size)
            if "attn" in scale_outputs:
                attention = scale_outputs["attn"][:, -1:]
                scale_outputs["attn"] = scale_outputs["attn"][:, :1]
            every.append((scale, scale_outputs))
        yield from reversed(every)
