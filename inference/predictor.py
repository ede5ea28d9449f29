"""The single inference path: images in, predictions out, by any rule, of any size, in the memory there is.

N batch, K classes, H x W image, h x w scaled input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from inference.memory import SHARE, PassCost, available, bytes_per_pixel, is_out_of_memory
from inference.passes import TestTimeAugmentation, eagerly, evaluating, size_of
from inference.rule import PLAIN, EvalRule, Size
from inference.tiles import TileBlend
from network.fused import fusing
from network.weights import finite
from utils.contracts import DatasetSpec, Prediction
from utils.errors import MemoryShortageError, UserError
from utils.positions import in_units_of
from utils.progress import counted
from utils.resize import resize

SMALLEST_TILE = 64


class Request(NamedTuple):
    """What the caller wants besides classes and their probability."""

    scores: bool
    extras: tuple[str, ...]


class TilingPlan(NamedTuple):
    """How images of one size are done: `batch` at once, in tiles of `tile` (0 = whole), and what to say of it."""

    batch: int
    tile: int
    note: str = ""


class Predictor:
    """From images to `Prediction`s under an `EvalRule`, within `memory_bytes`.

    `net(image)` or `net(image, keep=names)` gives logits (N, K, h, w) or a dict with them under "pred"; it may be any
    callable. `memory_bytes` bounds what a call allocates at its peak: estimated beforehand from a measured pass on a
    small crop; default: 80 % of what is free. Whole images where they fit; otherwise, or with the rule's `tile`, tiles
    with blended overlap. If memory runs out all the same, tiles of half the size, and again down to 64 pixels;
    `Prediction.note` and a line to `log` say so. `autocast`: the type for automatic mixed precision.
    The network's training or evaluation mode is restored after each call. The scores of the first batch have to be
    finite: else UserError, or without `strict` a line to `log`. `spec`: the network's classes and their colors, for
    whoever reads the predictions. `temperature`: what probabilities are calibrated with; 1: the network's own.
    """

    def __init__(
        self,
        net: Callable[..., Any],
        rule: EvalRule = PLAIN,
        device: torch.device | str | None = None,
        memory_bytes: int | None = None,
        autocast: torch.dtype | None = None,
        log: Callable[[str], None] | None = None,
        strict: bool = True,
        spec: DatasetSpec | None = None,
        temperature: float = 1.0,
    ) -> None:
        self.rule, self.passes = rule, TestTimeAugmentation(net, rule, device, autocast, temperature)
        self.net, self.device = self.passes.net, self.passes.device
        self.memory_bytes = memory_bytes
        self.log = log or (lambda line: None)
        self.strict, self.spec = strict, spec
        self.scores_checked = False  # at the first scores
        self._costs: dict[tuple[str, ...], PassCost] = {}
        self._plans: dict[tuple[Size, Request], TilingPlan] = {}
        self._limits = TilingPlan(batch=1 << 30, tile=0)  # what running out of memory has taught so far
        self._said: set[str] = set()

    def __call__(
        self, images: Sequence[np.ndarray | Tensor], scores: bool = False, extras: Iterable[str] = ()
    ) -> list[Prediction]:
        """One `Prediction` an image, in order; images may differ in size, equal ones are taken together.

        images: (H, W, 3) uint8 RGB arrays or tensors, float (H, W, 3) arrays or (3, H, W) tensors as normalized.
        scores: keep the averaged map (K, H, W); on the host if the image was done in tiles.
        extras: names of further outputs, those of the first scale without mirroring, float (C, h, w) at the size the
            network gives (at the image's size from tiles). With several scales "pred_20x" is the one of scale 2.0.
            Names that the network does not have are left out.
        """
        tensors = [_as_tensor(image) for image in images]
        request = Request(scores, tuple(extras))
        groups: dict[tuple[tuple[int, ...], torch.dtype], list[int]] = {}
        for index, tensor in enumerate(tensors):
            groups.setdefault((tuple(tensor.shape), tensor.dtype), []).append(index)
        found: dict[int, Prediction] = {}
        with evaluating(self.net, self.rule), torch.inference_mode(), self.passes.precision(), fusing():
            for members in groups.values():
                found.update(zip(members, self._same_size([tensors[i] for i in members], request), strict=True))
        return [found[i] for i in range(len(tensors))]

    def _same_size(self, images: Sequence[Tensor], request: Request) -> list[Prediction]:
        """N images (3, H, W) -> N predictions, in as many passes as memory asks for."""
        size, done = size_of(images[0]), []
        while len(done) < len(images):
            plan = self._plan(size, request)
            part = images[len(done) : len(done) + plan.batch]
            got = self._attempt(part, plan, request)
            if got is None:
                self._back_off(size, plan._replace(batch=len(part)))
                continue
            done += [replace(p, note=plan.note) for p in got]
        return done

    def _attempt(self, images: Sequence[Tensor], plan: TilingPlan, request: Request) -> list[Prediction] | None:
        """Give predictions, or None if memory ran out. The failed pass's tensors are gone by then."""
        try:
            self.passes.watch = None if self.scores_checked else self._look
            tiled = plan.tile and [self._tiled(images[0], plan.tile, request)]
            found = tiled or self._whole(torch.stack([*images]), request)
            self.scores_checked = True
            return found
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        finally:
            self.passes.watch = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _look(self, scores: Tensor, again: Callable[[], object]) -> None:
        """Look at the scores of a pass and say, once, that one is not finite."""
        half = torch.half in (self.passes.autocast, self.passes.dtype)
        self.passes.watch = None
        line = finite.complaint(scores, self.net, again, half)
        self.passes.watch = None if line else self._look
        if line and self.strict:
            raise UserError(line)
        if line:
            self.log(f"warning: {line}")

    # Plans -----------------------------------------------------------------------------------------------------------

    def _plan(self, size: Size, request: Request) -> TilingPlan:
        if (size, request) not in self._plans:
            plan = self._make_plan(size, request)
            self._plans[size, request] = plan
            line = f"images of {size[0]}x{size[1]}: {plan.note}"
            if plan.note and line not in self._said:
                self._said.add(line)
                self.log(line)
        return self._plans[size, request]

    def _make_plan(self, size: Size, request: Request) -> TilingPlan:
        """Choose asked-for tiles; else whole images, as many as fit; else the largest tiles that fit."""
        limit, longest = self._limits.tile, max(size)
        if limit and limit < (self.rule.tile or longest) and limit < longest:
            return TilingPlan(1, limit, f"tiles of {limit}x{limit} after out of memory")
        if self.rule.tile:
            tile = self.rule.tile
            return TilingPlan(1, tile if tile < longest else 0, f"tiles of {tile}x{tile}" if tile < longest else "")
        cost = self._cost(request)
        if cost is None:
            return self._limits._replace(tile=0)
        cost = replace(cost, scales=self.rule.scales_of(size))
        most = self.memory_bytes or int(SHARE * available(self.device))
        fits = most // cost.whole(size)
        if fits:
            return TilingPlan(min(fits, self._limits.batch), 0)
        tile = cost.largest_tile(size, most, SMALLEST_TILE)
        return TilingPlan(1, tile, f"tiles of {tile}x{tile} (memory bound {most / 2**30:.2f} GiB)")

    def _cost(self, request: Request) -> PassCost | None:
        """Measured once a set of outputs; None for a callable that is no module: its memory is not ours to see."""
        passes = self.passes
        if not isinstance(passes.net, nn.Module):
            return None
        if request.extras not in self._costs:
            seen: dict[str, Tensor] = {}

            def run(height: int, width: int) -> None:
                x = torch.zeros(1, 3, height, width, device=self.device, dtype=passes.dtype)
                seen.update({k: v.to("meta") for k, v in passes.forward(x, request.extras).items()})

            with eagerly(passes.net):
                per_pixel = bytes_per_pixel(run)
            maps = sum(v.shape[1] for k, v in seen.items() if k != "pred")
            maps += sum(seen["pred"].shape[1] for name in self.rule.names if name in request.extras)
            itemsize = max(4, seen["pred"].element_size())
            classes, rule = seen["pred"].shape[1], self.rule
            self._costs[request.extras] = PassCost(
                per_pixel, classes, rule.scales, maps, itemsize, rule.window, rule.piece, rule.overlap
            )
        cost = self._costs[request.extras]
        return replace(cost, maps=cost.maps + cost.classes * request.scores)

    def _back_off(self, size: Size, plan: TilingPlan) -> None:
        """Learn from running out of memory: fewer images at once, then tiles, then tiles of half the size."""
        self._plans.clear()
        if plan.batch > 1:
            self._limits = self._limits._replace(batch=plan.batch // 2)
            self.log(f"out of memory with {plan.batch} images of {size[0]}x{size[1]}: {self._limits.batch} at once now")
            return
        current = min(plan.tile, max(size)) if plan.tile else max(size)
        if current <= SMALLEST_TILE:
            raise MemoryShortageError(
                f"out of memory on {self.device} even with {current}x{current} pixels at once; free memory "
                "there (other processes?), use fewer or smaller scales (--extra_scales, --n_scales, --imgSize), or "
                "another device"
            )
        self._limits = self._limits._replace(tile=max(SMALLEST_TILE, current // 2 // 32 * 32))

    # Passes ----------------------------------------------------------------------------------------------------------

    def _whole(self, images: Tensor, request: Request) -> list[Prediction]:
        """(N, 3, H, W) -> N predictions from whole images."""
        scores, extras = self.passes.scores(images, request.extras)
        found = []
        for i in range(len(images)):
            classes, max_prob = self.passes.argmax(scores[i])
            own = {name: value[i] for name, value in extras.items()}
            found.append(Prediction(classes, max_prob, scores[i] if request.scores else None, own))
        return found

    def _tiled(self, image: Tensor, tile: int, request: Request) -> Prediction:
        """(3, H, W) -> its prediction from tiles. Pixels are decided as soon as no further tile covers them."""
        size, found = size_of(image), None
        blend = TileBlend(size, tile, self.rule.overlap)
        for i, top in enumerate(blend.tops):
            for j, left in enumerate(counted(blend.lefts)):
                crop = image[None, :, top : top + blend.rows, left : left + blend.columns].contiguous()
                scores, more = self.passes.scores(crop, request.extras, size)
                ready = blend.add(scores[0], i, j)  # (K, h, w)
                found = found or _blank(size, ready, request)
                self._place(found.extras, more, size, (top, left), blend.weight(i, j))
                place = slice(top, top + ready.shape[1]), slice(left, left + ready.shape[2])
                found.classes[place], found.max_prob[place] = self.passes.argmax(ready)
                if found.scores is not None:
                    found.scores[(slice(None), *place)] = ready
        assert found is not None
        return found

    def _place(
        self, extras: dict[str, Tensor], more: dict[str, Tensor], size: Size, corner: Size, weight: Tensor
    ) -> None:
        """Blend a tile's further outputs (1, C, h, w) into maps (C, H, W) on the host."""
        (top, left), (rows, columns) = corner, weight.shape
        for name, value in more.items():
            if name not in extras:
                extras[name] = torch.zeros(value.shape[1], *size)
            part = resize(value.float(), (rows, columns), self.rule.align_corners).cpu()
            part = in_units_of(size, name, part)[0]
            extras[name][:, top : top + rows, left : left + columns].addcmul_(part, weight)


def _blank(size: Size, scores: Tensor, request: Request) -> Prediction:
    """Make room for what tiles of scores (K, h, w) give for an image; the averaged map itself lies on the host."""
    kept = torch.empty(scores.shape[0], *size, dtype=scores.dtype) if request.scores else None
    classes = torch.empty(size, dtype=torch.uint8, device=scores.device)
    return Prediction(classes, torch.empty(size, device=scores.device), kept, {})


def _as_tensor(image: np.ndarray | Tensor) -> Tensor:
    """uint8 (H, W, 3), float (H, W, 3) array or float (3, H, W) tensor -> (3, H, W) of the same type."""
    shape, is_array = tuple(image.shape), isinstance(image, np.ndarray)
    tensor = torch.from_numpy(np.ascontiguousarray(image)) if isinstance(image, np.ndarray) else image
    last = is_array or not tensor.is_floating_point()
    good = tensor.dtype == torch.uint8 or tensor.is_floating_point()
    if len(shape) != 3 or shape[2 if last else 0] != 3 or 0 in shape or not good:
        kind = "an array" if is_array else "a tensor"
        raise UserError(
            f"an image has to be uint8 RGB (H, W, 3) or a float tensor (3, H, W), but it is {kind} of {tensor.dtype} "
            f"{shape}; convert it first (gray images: repeat the channel; RGBA: drop the last one)"
        )
    return tensor.permute(2, 0, 1) if last else tensor
