"""Passes of a network over images of one size: scales, mirror images, and what is averaged over them.

N batch, K classes, H x W image, h x w scaled input.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference.memory import AT_ONCE
from inference.rule import EvalRule, Size, prepare
from inference.windows import over_windows, square
from network.fused import fusing
from network.mscale import MultiScale
from utils.contracts import UNFLIPPED
from utils.resize import resize


def size_of(images: Tensor) -> Size:
    """Give (H, W) of (..., H, W)."""
    return int(images.shape[-2]), int(images.shape[-1])


class TestTimeAugmentation:
    """A network under a rule, on a device. Called inside `evaluating` and inference mode."""

    __test__ = False  # to pytest its name is a test's

    def __init__(
        self,
        net: Callable[..., Any],
        rule: EvalRule,
        device: torch.device | str | None = None,
        autocast: torch.dtype | None = None,
        temperature: float = 1.0,
    ) -> None:
        self.net: Callable[..., Any] = net.module if isinstance(net, nn.parallel.DistributedDataParallel) else net
        self.rule = rule
        module = self.net if isinstance(self.net, nn.Module) else nn.Module()
        weights = [p for p in module.parameters() if p.is_floating_point()]
        self.device = torch.device(device or (weights[0].device if weights else "cpu"))
        self.dtype = weights[0].dtype if weights else torch.float32
        self.autocast, self.temperature = autocast, temperature
        # Looks at the scores of a pass over an input; None: nobody does.
        self.watch: Callable[[Tensor, Callable[[], object]], None] | None = None
        self._takes_keep = _takes(self.net, "keep")
        self._takes_size = _takes(self.net, "size")

    def scores(
        self, images: Tensor, extras: tuple[str, ...], whole: Size | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, 3, H, W) -> scores averaged over scales and mirror images (N, K, H, W), and the further outputs.

        `whole`: size of the image that these are tiles of.
        """
        scales, names = self.rule.scales_of(whole or size_of(images)), self.rule.names
        total: Tensor | None = None
        kept: dict[str, Tensor] = {}
        for number, (scale, name) in enumerate(zip(scales, names, strict=True)):
            part, more = self._at_scale(images, scale, extras if number == 0 else ())
            kept.update(more)
            if len(scales) > 1 and name in extras:
                kept.setdefault(name, part)
            # Not in place: the first part may be the network's own tensor, or the input itself.
            total = part if total is None else total + part
        assert total is not None
        return total / len(scales) if len(scales) > 1 else total, kept

    def _at_scale(self, images: Tensor, scale: float, extras: tuple[str, ...]) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, 3, H, W) -> mean over the mirror images (N, K, H, W), and the further outputs of the first."""
        rule, size = self.rule, size_of(images)
        straight = self._input(images, scale)  # (N, 3, h, w)

        def mirrored(axes: tuple[int, ...]) -> Tensor:
            return self._input(images.flip(axes), scale) if rule.mirror_first else straight.flip(axes)

        if rule.piece:
            kept = over_windows(
                lambda part: self._mirrored(part, part.flip, scale, extras, size), straight, rule.piece, 0.0
            )
        else:
            kept = self._mirrored(straight, mirrored, scale, extras, size)
        total = kept.pop("pred")
        if rule.logit_resize == "area" and total.shape[-2] >= size[0] and total.shape[-1] >= size[1]:
            return F.interpolate(total, size=size, mode="area"), kept
        return resize(total, size, rule.align_corners), kept

    def _mirrored(
        self,
        straight: Tensor,
        mirrored: Callable[[tuple[int, ...]], Tensor],
        scale: float,
        extras: tuple[str, ...],
        size: Size,
    ) -> dict[str, Tensor]:
        """Predict an input (N, 3, h, w) and its mirror images: "pred", their mean, and `extras` of the first."""
        rule, flips = self.rule, self.rule.flips
        total: Tensor | None = None
        kept: dict[str, Tensor] = {}
        for axes in flips:
            out = self._over(mirrored(axes) if axes else straight, scale, () if axes else extras, size)
            pred = out.pop("pred")
            pred = pred.flip(axes) if axes else pred
            pred = pred.float() if pred.dtype in (torch.half, torch.bfloat16) else pred
            if UNFLIPPED in extras and not axes:
                kept[UNFLIPPED] = pred
            kept.update({name: value.float() for name, value in out.items()})
            if rule.average == "probabilities":
                pred = resize(pred, size, rule.align_corners).softmax(1)
            total = pred if total is None else total + pred
        assert total is not None
        total = total / len(flips) if len(flips) > 1 else total
        return kept | {"pred": total.exp() if rule.average == "exp" else total}

    def _input(self, images: Tensor, scale: float) -> Tensor:
        return prepare(images, self.rule.scaled(size_of(images), scale), self.rule, self.device, self.dtype)

    def _over(self, x: Tensor, scale: float, extras: tuple[str, ...], size: Size) -> dict[str, Tensor]:
        """Run the network over an input (N, 3, h, w) of an image of `size`: at once, or in the rule's windows."""
        rule = self.rule
        if not rule.window:
            return self.forward(x, extras, size if rule.resize_logits_once else None)
        window, overlap = square(rule.window, scale), rule.window_overlap
        return over_windows(
            lambda part: self.forward(part, extras), x, window, overlap, rule.align_corners, rule.published_counts
        )

    def forward(self, x: Tensor, extras: tuple[str, ...], size: Size | None = None) -> dict[str, Tensor]:
        """Run one pass of the network: (N, 3, h, w) -> "pred" (N, K, h, w) and those of `extras` that it has.

        `size`: of "pred" instead, where the network can give it.
        """
        more: dict[str, Any] = {"keep": ("pred", *extras)} if self._takes_keep else {}
        more |= {"size": size} if size and self._takes_size else {}
        out = self.net(x, **more)
        if self.watch:
            self.watch(out if isinstance(out, Tensor) else out["pred"], lambda: self._layer_by_layer(x, more))
        if isinstance(out, Tensor):
            return {"pred": out}
        return {name: out[name] for name in ("pred", *extras) if name in out}

    def _layer_by_layer(self, x: Tensor, more: dict[str, Any]) -> object:
        """Run the same pass so that whoever watches the layers sees each of them."""
        with fusing(False):
            return self.net(x, **more)

    def argmax(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """(K, h, W) averaged scores -> classes (h, W) uint8 and their probability (h, W) float32, in parts of rows."""
        k, rows, width = scores.shape
        classes = torch.empty(rows, width, dtype=torch.uint8, device=scores.device)
        max_prob = torch.empty(rows, width, device=scores.device)
        step = max(1, AT_ONCE // (k * width))
        for top in range(0, rows, step):
            part = scores[:, top : top + step]
            best, where = part.max(0)
            classes[top : top + step] = where
            max_prob[top : top + step] = self._probability(part, best)
        return classes, max_prob

    def _probability(self, scores: Tensor, best: Tensor) -> Tensor:
        """(K, h, W) averaged scores, the largest (h, W) -> its probability (h, W).

        A temperature divides the averaged logits, or the logarithm of averaged probabilities: calibrated after the
        average (Rahaman and Thiery 2020, arXiv:2007.08792), since an average of calibrated passes is too unsure. So
        classes stay as they are.
        """
        if self.rule.average == "logits":  # the largest softmax value
            apart = scores - best
        elif self.temperature != 1:
            apart = scores.log() - best.log()
        else:
            return best / scores.sum(0) if self.rule.average == "exp" else best
        apart = apart / self.temperature if self.temperature != 1 else apart
        return apart.exp().sum(0).reciprocal()

    def precision(self) -> Any:
        """Make the context of the passes: mixed precision if asked."""
        return nullcontext() if self.autocast is None else torch.autocast(self.device.type, dtype=self.autocast)


def _takes(net: Callable[..., Any], name: str) -> bool:
    """Tell whether `net` has such an argument: `keep`, so that it need not hold on to other outputs, or `size`."""
    inner = getattr(net, "_orig_mod", net)  # torch.compile's wrapper hides the signature
    try:
        return name in inspect.signature(inner.forward if isinstance(inner, nn.Module) else inner).parameters
    except (TypeError, ValueError):
        return False


@contextmanager
def evaluating(net: object, rule: EvalRule) -> Iterator[None]:
    """Set evaluation mode inside, with inputs scaled by the rule; afterwards every module is as it was."""
    modules = list(net.modules()) if isinstance(net, nn.Module) else []
    scaling = [m for m in modules if isinstance(m, MultiScale)]
    before = [(m, "training", m.training) for m in modules]
    before += [(m, "use_given_scale_factor", m.use_given_scale_factor) for m in scaling]
    try:
        if isinstance(net, nn.Module):
            net.eval()
        for module in scaling:
            module.use_given_scale_factor = rule.use_given_scale_factor
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


@contextmanager
def eagerly(net: nn.Module) -> Iterator[None]:
    """Compiled parts run eagerly inside: a compiled graph hides its tensors from the count, and need not be made."""
    compiled = any(m._compiled_call_impl is not None or hasattr(m, "_orig_mod") for m in net.modules())
    with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
        yield
