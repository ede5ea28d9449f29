"""Trunks of the package timm (PyTorch Image Models, Apache-2.0), by their names there. N batch, H x W image.

What timm declares of its networks (strides, channels, the sides that they take) is not read but measured: sizes without
values are sent through the network when it is built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from network.layers import RunningStatistics
from network.summary import in_mode, on_meta
from network.trunk import MEAN, STD, Colors, Features, Level, Trunk, by_parts
from utils.errors import UserError, in_short, nearest
from utils.resize import rounded_up

FINEST = 4  # maps of smaller strides are large, and no head reads them
# What lets a network see images of other sizes than it was made for, where its constructor knows it.
ANY_SIZE = {"dynamic_img_size": True, "strict_img_size": False}
WINDOWS = (1, 2, 4, 7, 8, 14, 16)  # sides of windows: an image has a whole number of them
ALIKE = 0.9  # share of entries in common from which on a file is taken for one of a network
_WORDS = re.compile(r"[a-z]+|\d+")
TAPS = 4  # maps that a network of one stride gives, from blocks spread evenly over its depth


class TimmTrunk(Trunk):
    """Any network of timm that takes images of any size: image (N, 3, H, W) -> its last map at each stride from 4 on.

    A network whose maps have one stride s, as a plain vision transformer, gives four, at s/4, s/2, s and 2s: the simple
    pyramid (Li et al., arXiv:2203.16527, section 3) over blocks spread evenly over its depth, as in BEiT's segmentation
    (Bao et al., arXiv:2106.08254). Sides are padded with the mean color to what the network takes, and maps cut to the
    image.

    `body` has timm's names. Behind a point the argument `name` may have the tag of published weights, whose colors the
    trunk then takes; the attribute is without it. `drop_path`: share of the samples for which a residual block is left
    out in training (Huang et al., arXiv:1603.09382). UserError for an unknown name or tag, a network that takes images
    of one size alone or whose strides depend on it, and options that it does not know.
    """

    needs_neck = True

    def __init__(self, name: str, drop_path: float = 0.0, grad_ckpt: bool = False) -> None:
        super().__init__()
        self.name = name.partition(".")[0]
        self.body = _made(name, drop_path)
        self.multiple, levels = _measured(name, self.body)
        # A plain transformer normalizes its features once, at the end: its maps are normalized alike.
        self.norm = len({level.stride for level in levels}) == 1 and len(levels) >= TAPS
        whole = self.body.state_dict().keys()
        self.taken = self.body.prune_intermediate_layers(_taken(levels, self.norm), prune_norm=not self.norm)
        self.unused = frozenset(whole - self.body.state_dict().keys())
        levels = _levels(self.body, self.multiple, self.taken, self.norm)
        self.pyramid = SimplePyramid(levels) if self.norm else None
        self.levels = self.pyramid.levels if self.pyramid else levels
        self.statistics = RunningStatistics() if grad_ckpt else None
        if grad_ckpt:
            _recompute(name, self.body)
        self.colors = _colors_of(self.body.default_cfg)
        mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in self.colors)
        self.factor: Tensor
        self.offset: Tensor
        self.register_buffer("factor", torch.tensor(STD).view(1, 3, 1, 1) / std, persistent=False)
        self.register_buffer("offset", (torch.tensor(MEAN).view(1, 3, 1, 1) - mean) / std, persistent=False)

    @property
    def pretrained(self) -> nn.Module:
        """What timm has published weights for."""
        return self.body

    def layers(self, stages: bool = False) -> dict[str, int]:
        """Layers as timm groups them for rates that differ; by parts where it does not."""
        if not hasattr(self.body, "group_matcher"):
            return by_parts(self.body)
        from timm.models import group_parameters

        found: Any = group_parameters(self.body, self.body.group_matcher(coarse=stages), reverse=True)
        last = max(found.values())
        return {name: int(found.get(name, last)) for name, _ in self.body.named_parameters()}

    def forward(self, image: Tensor) -> Features:
        height, width = image.shape[-2:]
        missing = [rounded_up(side, self.multiple) - side for side in (width, height)]
        x = F.pad(image, (0, missing[0], 0, missing[1])) * self.factor + self.offset
        with self.statistics.first_time(self.body) if self.statistics else nullcontext():
            features = _maps(self.body, x, self.taken, self.norm)
        features = self.pyramid(features) if self.pyramid else features
        return [x[..., : _over(height, lv), : _over(width, lv)] for x, lv in zip(features, self.levels, strict=True)]


class SimplePyramid(nn.Module):
    """Four maps (N, C, h, w) -> (N, C/4, 4h, 4w), (N, C/2, 2h, 2w), (N, C, h, w), (N, C, h/2, w/2)."""

    def __init__(self, levels: Sequence[Level]) -> None:
        super().__init__()
        stride, channels = levels[-1]
        half, quarter = channels // 2, channels // 4
        self.steps = nn.ModuleList(
            (
                nn.Sequential(*_doubled(levels[0].channels, half), *_doubled(half, quarter)),
                nn.Sequential(*_doubled(levels[1].channels, half)),
                nn.Identity(),
                nn.MaxPool2d(2, ceil_mode=True),
            )
        )
        widths = (quarter, half, levels[2].channels, channels)
        self.levels = tuple(Level(stride * step, width) for step, width in zip((0.25, 0.5, 1, 2), widths, strict=True))

    def forward(self, features: Features) -> Features:
        return [step(x) for step, x in zip(self.steps, features, strict=True)]


def _doubled(inputs: int, outputs: int) -> list[nn.Module]:
    """(N, inputs, h, w) -> (N, outputs, 2h, 2w)."""
    return [nn.ConvTranspose2d(inputs, outputs, 2, stride=2, bias=False), nn.BatchNorm2d(outputs), nn.GELU()]


def _over(side: int, level: Level) -> int:
    """The side of a level's map that covers the image's; whole numbers, so that an export can leave the side open."""
    stride = Fraction(level.stride)
    return (side * stride.denominator + stride.numerator - 1) // stride.numerator


def _maps(net: Any, image: Tensor, taken: Sequence[int] | None, norm: bool) -> Features:
    return net.forward_intermediates(image, taken, norm=norm, output_fmt="NCHW", intermediates_only=True)


def _made(name: str, drop_path: float) -> Any:
    """The network with random weights, for images of any size where its constructor can be told so."""
    timm = _package()
    if not _is_known(timm, name):
        own = timm.list_pretrained(f"{name.partition('.')[0]}.*") if timm.is_model(name) else []
        known = own or timm.list_models() + timm.list_pretrained()
        raise UserError(f"timm {timm.__version__} has no network {name!r}{nearest(name, known)}")
    asked = {"drop_path_rate": drop_path} if drop_path else {}
    options: dict[str, Any] = {**ANY_SIZE, **asked}
    while True:
        try:
            return timm.create_model(name, **options)
        except TypeError as error:
            unknown = [option for option in options if f"'{option}'" in str(error)]
            if not unknown:
                raise
            if {*unknown} & {*asked}:
                raise UserError(f"--drop_path: timm:{name} does not know this option; leave it out") from None
            for option in unknown:
                del options[option]


def _is_known(timm: Any, name: str) -> bool:
    """Whether timm has a network of this name, and published weights of the tag behind a point, where there is one."""
    try:
        timm.get_pretrained_cfg(name)
    except RuntimeError:  # a tag that it does not know
        return False
    return timm.is_model(name)


def join_branches(net: nn.Module) -> None:
    """Let the trunks of timm in a trained network compute by one convolution what training has in branches, in place.

    It is the same function up to rounding (Ding et al., arXiv:2101.03697), for RepViT, RepVGG, FastViT, MobileOne and
    the like; others stay as they are. Such a network is no more to be trained, nor are weights to be loaded into it.
    """
    for trunk in (module for module in net.modules() if isinstance(module, TimmTrunk)):
        _package().utils.reparameterize_model(trunk.body, inplace=True)


def published_colors(name: str) -> Colors | None:
    """The colors that the weights NAME.TAG of timm know; None where timm has no such weights."""
    timm = _package()
    found = timm.get_pretrained_cfg(name) if _is_known(timm, name) else None
    return found and _colors_of({"mean": found.mean, "std": found.std})


def with_colors(name: str, colors: Colors) -> str:
    """The first NAME.TAG of a network whose weights know these colors; "" where there is none."""
    tags = _package().list_pretrained(f"{name}.*")
    return next((tag for tag in tags if published_colors(tag) == colors), "")


def sibling_of(name: str, state: Mapping[str, Tensor]) -> str:
    """The network of timm that has more of a file's entries than NAME: one that is called as it is but for one word.

    "" where there is none that has nearly all of them. It is a matter of shapes: no weights are made.
    """
    timm, words = _package(), _WORDS.findall(name)
    shapes = {entry: x.shape for entry, x in state.items()}
    shares: dict[str, float] = {}
    for other in [name, *timm.list_models()]:
        theirs = _WORDS.findall(other)
        if len(theirs) == len(words) and sum(a != b for a, b in zip(words, theirs, strict=True)) <= 1:
            # Whatever networks raise that ask for values when they are made: they are no candidates.
            with torch.device("meta"), suppress(Exception):
                own = {entry: x.shape for entry, x in timm.create_model(other).state_dict().items()}
                common = sum(shapes.get(entry) == shape for entry, shape in own.items())
                shares[other] = common / len(own.keys() | shapes.keys())
    best = max(shares, key=lambda one: shares[one], default=name)
    return best if shares.get(best, 0) > max(ALIKE, shares.get(name, 0)) else ""


def _colors_of(settings: Mapping[str, Any]) -> Colors:
    return Colors(tuple(settings["mean"]), tuple(settings["std"]))


def _package() -> Any:
    try:
        import timm  # an extra, and seconds to import
    except ImportError as error:
        raise UserError(f"trunks of timm need that package ({in_short(error)}): pip install timm") from None
    return timm


def _measured(name: str, net: Any) -> tuple[int, tuple[Level, ...]]:
    """What the sides of images are multiples of, and the levels of all maps; UserError where no such side is taken."""
    coarsest, reason = max(entry["reduction"] for entry in net.feature_info), ""
    for side in (coarsest * windows for windows in WINDOWS):
        try:
            if levels := _levels(net, side):
                return side, levels
            reason = "gives maps whose strides depend on the size of the image: choose a trunk of whole strides"
        except Exception as error:  # whatever a network says to a size that it was not made for
            own = "x".join(map(str, net.default_cfg["input_size"][1:]))
            reason = reason or f"takes images of {own} alone: choose a trunk that takes any size ({in_short(error)})"
    raise UserError(f"timm:{name} {reason}")


def _taken(levels: Sequence[Level], plain: bool) -> list[int]:
    """Which of the maps a trunk gives: four evenly spread ones, or the last at each stride."""
    if plain:
        return [len(levels) * step // TAPS - 1 for step in range(1, TAPS + 1)]
    return list({level.stride: place for place, level in enumerate(levels) if level.stride >= FINEST}.values())


def _levels(net: nn.Module, side: int, taken: Sequence[int] | None = None, norm: bool = False) -> tuple[Level, ...]:
    """Levels of maps of images whose sides are multiples of `side`; none where these depend on the image."""
    probe = _Maps(net, taken, norm)
    state = on_meta(probe)
    found: list[list[tuple[float, float, int]]] = []
    for height, width in ((side, 2 * side), (3 * side, 5 * side)):
        with in_mode(probe, training=False), torch.no_grad():
            maps = functional_call(probe, state, (torch.empty(1, 3, height, width, device="meta"),))
        found.append([(height / x.shape[-2], width / x.shape[-1], x.shape[1]) for x in maps])
    same = found[0] == found[1] and all(down == across for down, across, _ in found[0])
    return tuple(Level(stride, channels) for stride, _, channels in found[0]) if same else ()


class _Maps(nn.Module):
    """Image -> those of a network's maps that are taken, None for all."""

    def __init__(self, net: nn.Module, taken: Sequence[int] | None, norm: bool) -> None:
        super().__init__()
        self.net, self.taken, self.norm = net, taken, norm

    def forward(self, image: Tensor) -> Features:
        return _maps(self.net, image, self.taken, self.norm)


def _recompute(name: str, net: Any) -> None:
    """Let the network compute its activations again in the backward pass; UserError where it cannot."""
    try:
        net.set_grad_checkpointing(True)
    except (AttributeError, AssertionError):
        raise UserError(f"--grad_ckpt: timm:{name} does not know this option; leave it out") from None
