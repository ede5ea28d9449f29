"""Hierarchical multi-scale attention (Tao et al., arXiv:2005.10821): one network at several scales of an image.

The network predicts, beside its class maps, how much a pixel should trust this scale rather than the next larger
one. N batch, C channels, H x W image.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor, nn

from network.net import Net, Parts
from utils.amp import upcast_to_float32
from utils.contracts import Outputs
from utils.resize import resize, resize_by


def fuse(coarse: Tensor, attention: Tensor, fine: Tensor, align_corners: bool = False) -> Tensor:
    """Blend maps of two scales at the size of `fine`: (N, C, h, w), (N, 1, h, w), (N, C, H, W) -> (N, C, H, W).

    up(attention * coarse) + (1 - up(attention)) * fine, eq. 1 of the paper.
    """
    size = fine.shape[-2:]
    return resize(attention * coarse, size, align_corners) + (1 - resize(attention, size, align_corners)) * fine


def scale_name(scale: float) -> str:
    """Name of a scale in output keys: 0.5 -> "05x", 1.0 -> "10x", 0.25 -> "025x"."""
    return str(float(scale)).replace(".", "") + "x"


class MultiScale(Net):
    """The parts of any network plus `scale_attn`, which turns its features into attention (N, 1, h, w) in [0, 1].

    In training, and in evaluation unless `scales` says otherwise, the scales are `lo_scale` and 1; a short training
    is quicker without the second one before epoch `second_scale_from`. Outputs beside
    `pred`, for every scale at that scale's input size: `pred_05x`, `pred_10x`, ..., `attn_05x`, ... (none for the
    largest scale); `aux` and what else the network makes are fused as `pred` is, and stay at the image's size.
    """

    def __init__(
        self,
        parts: Parts,
        attention: nn.Module,
        lo_scale: float = 0.5,
        scales: Sequence[float] = (),
        align_corners: bool = False,
        freeze_trunk: bool = False,
        second_scale_from: int = 0,
    ) -> None:
        modules = parts.modules | {"scale_attn": attention}
        super().__init__(parts._replace(modules=modules), align_corners, freeze_trunk)
        self.scale_attn = attention
        self.lo_scale = lo_scale
        self.scales = tuple(scales)
        self.second_scale_from = second_scale_from
        self.second_scale = True
        self.use_given_scale_factor = (
            False  # of scaled inputs, see `resize_by`; an `EvalRule` sets it while it evaluates
        )

    def forward(self, image: Tensor, size: Sequence[int] | None = None, keep: Collection[str] | None = None) -> Outputs:
        """Normalised image (N, 3, H, W) -> fused `pred` (N, K, *size), by default H x W, and the maps named above.

        `size` is a last resize of `pred` only. `keep`: the names wanted, None for all; the others are freed at once.
        """
        if self.training and not self.second_scale:
            return self._with_unused_attention(super().forward(image, size, keep))
        outputs = self._combined(image, keep)
        if "pred" in outputs:
            outputs["pred"] = resize(outputs["pred"], size or image.shape[-2:], self.align_corners)
        return outputs

    def start_epoch(self, epoch: int) -> None:
        """Train with the second scale from epoch `second_scale_from` on; before, as a single-scale network."""
        self.second_scale = epoch >= self.second_scale_from

    def _scales(self) -> tuple[float, ...]:
        """Scales of this pass, from large to small."""
        if self.training:
            return (1.0, self.lo_scale)
        return tuple(sorted(self.scales or (1.0, self.lo_scale), reverse=True))

    def _combined(self, image: Tensor, keep: Collection[str] | None) -> Outputs:
        """What is fused at the image's size, and every scale's own maps at its input size, as far as wanted."""
        outputs: Outputs = {}
        fused: Outputs = {}
        for scale, view in self._views(image, keep):
            fused, shown = self._add_scale(fused, view, scale)
            outputs |= {name: x for name, x in shown.items() if keep is None or name in keep}
        return outputs | {name: x for name, x in fused.items() if keep is None or name in keep}

    def _views(self, image: Tensor, keep: Collection[str] | None) -> Iterator[tuple[float, Outputs]]:
        """Each scale and its maps with their `attn`, at its input size, from large to small.

        Running statistics depend on the order of the passes. Published training starts with the smallest scale;
        evaluation goes from large to small, so that only what is fused so far is held.
        """
        scales = self._scales()
        if self.training:
            views = [(scale, self._view(image, scale, keep)) for scale in reversed(scales)]
            yield from reversed(views)
        else:
            for scale in scales:
                yield scale, self._view(image, scale, keep, attend=scale != scales[0])

    def _view(self, image: Tensor, scale: float, keep: Collection[str] | None, attend: bool = True) -> Outputs:
        outputs, features, size = self._look(image, scale, keep)
        if attend:
            outputs["attn"] = self.scale_attn(features)
        return self._fit(outputs, size)

    def _look(
        self, image: Tensor, scale: float, keep: Collection[str] | None, *more: object
    ) -> tuple[Outputs, Tensor, Sequence[int]]:
        """One pass at a scale: the class maps and what else is kept, the features, the input's size (h, w)."""
        scaled = resize_by(image, scale, self.align_corners, self.use_given_scale_factor)
        outputs, features = self.maps(self, scaled, *more)
        outputs = {name: x for name, x in outputs.items() if name == "pred" or keep is None or name in keep}
        return outputs, features, scaled.shape[-2:]

    def _fit(self, outputs: Outputs, size: Sequence[int]) -> Outputs:
        """Maps in at least float32 at this size."""
        return {name: resize(upcast_to_float32(x), size, self.align_corners) for name, x in outputs.items()}

    def _add_scale(self, fused: Outputs, view: Outputs, scale: float) -> tuple[Outputs, Outputs]:
        """Fuse one more, smaller scale; also returns this scale's own maps under their output names."""
        name, attention = scale_name(scale), view.pop("attn", None)
        shown = {f"pred_{name}": view["pred"]}
        if not fused or attention is None:
            return view, shown
        if scale >= 1:  # what is larger than the image is shrunk before it is fused, never the other way round
            fused = {key: resize(x, view["pred"].shape[-2:], self.align_corners) for key, x in fused.items()}
        fused = {key: fuse(view[key], attention, fused[key], self.align_corners) for key in fused}
        return fused, shown | self._shown_attention(name, attention, fused["pred"].shape[-2:])

    def _shown_attention(self, name: str, attention: Tensor, size: Sequence[int]) -> Outputs:
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

    def _views(self, image: Tensor, keep: Collection[str] | None) -> Iterator[tuple[float, Outputs]]:
        scales = self._scales()
        looks = (self._look(image, scale, keep) for scale in scales)
        if self.training:
            looks = reversed([self._look(image, scale, keep) for scale in reversed(scales)])
        larger: Tensor | None = None
        for scale, (outputs, features, size) in zip(scales, looks, strict=True):
            if larger is not None:
                larger = resize(larger, features.shape[-2:], self.align_corners)
                outputs["attn"] = self.scale_attn(torch.cat([features, larger], dim=1))
            larger = features
            yield scale, self._fit(outputs, size)

    def _shown_attention(self, name: str, attention: Tensor, size: Sequence[int]) -> Outputs:
        return {f"attn_{name}": attention, "attn_10x": resize(attention, size, self.align_corners)}


class FusedPyramids(MultiScale):
    """`mscale.DeepV3W38Fuse`, `Fuse2`: a scale's ASPP pyramid is blended with that of the next smaller one.

    Where the smaller scale is trusted its pyramid is taken. The attention has one channel, for classes and pyramids,
    or one for each. So evaluation goes from small to large, too, and holds the maps of all scales.
    """

    def _views(self, image: Tensor, keep: Collection[str] | None) -> Iterator[tuple[float, Outputs]]:
        scales = self._scales()
        views: list[tuple[float, Outputs]] = []
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

        for scale in reversed(scales):
            outputs, features, size = self._look(image, scale, keep, blend)
            if self.training or scale != scales[0]:
                outputs["attn"] = self.scale_attn(features)
            view = self._fit(outputs, size)
            if "attn" in view:
                attention = view["attn"][:, -1:]
                view["attn"] = view["attn"][:, :1]
            views.append((scale, view))
        yield from reversed(views)
