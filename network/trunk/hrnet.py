"""HRNetV2 (Sun et al., arXiv:1904.04514; Wang et al., arXiv:1908.07919): branches of several resolutions, side by side.

N batch, H x W image. Branch b has width * 2^b channels at stride 4 * 2^b.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from network.fused import Chain, normed
from network.layers import conv_bn, conv_bn_relu, kaiming, recomputed, scaled
from network.trunk import Features, Level, OwnTrunk
from network.trunk.blocks import BasicBlock, Bottleneck
from utils.resize import resize, side_by_side

STEM = 64  # channels of the stem and of the first stage's bottlenecks, at any width


class Stage(NamedTuple):
    """How many multi-resolution modules a stage has, and how many blocks each of their branches."""

    modules: int
    blocks: tuple[int, ...]


STAGES = (Stage(1, (4,)), Stage(1, (4,) * 2), Stage(4, (4,) * 3), Stage(3, (4,) * 4))  # as published
# As published with offsets: stages 2 to 4 of a second branch, which reads what the first one reads.
SECOND_STAGES = (Stage(1, (4,) * 2), Stage(3, (4,) * 3), Stage(2, (4,) * 4))
SECOND_BRANCH = "_2"  # behind the name of a stage or transition of the second branch


class MultiResolution(nn.Module):
    """Blocks on every branch, then every branch receives the sum of all of them (fig. 3 of arXiv:1908.07919)."""

    def __init__(self, channels: Sequence[int], blocks: Sequence[int], align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(c, c) for _ in range(n))) for c, n in zip(channels, blocks, strict=True)
        )
        rows = range(len(channels))
        self.fuse_layers = nn.ModuleList(nn.ModuleList(_fuse_layer(channels, i, j) for j in rows) for i in rows)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        """One map a branch -> one map a branch, shapes unchanged."""
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        fused = []
        for x, layers in zip(xs, self.fuse_layers, strict=True):
            # The size is taken from the branch itself: odd sizes round up on the way down.
            parts = [resize(layer(y), x.shape[-2:], self.align_corners) for layer, y in zip(layers, xs, strict=True)]  # type: ignore[arg-type]
            fused.append(self.relu(sum(parts[1:], start=parts[0])))
        return fused


def _fuse_layer(channels: Sequence[int], to: int, source: int) -> nn.Module:
    """From branch `source` to branch `to`: 1x1 (resized later) upwards, a chain of strided 3x3 downwards."""
    if source == to:
        return nn.Identity()
    if source > to:
        return Chain(*conv_bn(channels[source], channels[to], kernel=1))
    steps = [Chain(*conv_bn_relu(channels[source], channels[source], stride=2)) for _ in range(to - source - 1)]
    return nn.Sequential(*steps, Chain(*conv_bn(channels[source], channels[to], stride=2)))


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """Adapt the branches that exist and open a new one at half the lowest resolution."""
    layers: list[nn.Module] = []
    for old, new in zip(before, after, strict=False):
        layers.append(nn.Identity() if old == new else Chain(*conv_bn_relu(old, new)))
    for new in after[len(before) :]:
        layers.append(nn.Sequential(Chain(*conv_bn_relu(before[-1], new, stride=2))))
    return nn.ModuleList(layers)


def _widen(transition: nn.ModuleList, xs: list[Tensor]) -> list[Tensor]:
    """Branches before a stage -> branches of the stage; a new branch grows out of the lowest."""
    return [layer(xs[min(i, len(xs) - 1)]) for i, layer in enumerate(transition)]


class HRNet(OwnTrunk):
    """Image (N, 3, H, W) -> four resolutions, (N, width * 2^b, ~H / (4 * 2^b), ...).

    `join` resizes them to the highest and stacks them: (N, 15 * width, ~H/4, ~W/4). `width`: channels of the highest.
    `width_mult` scales every channel count, the stem's too. `grad_ckpt`: recompute each stage's activations in the
    backward pass instead of keeping them. `second_branch`: a second set of the last stages, as many as there are of
    them.
    """

    regions = (MultiResolution, Bottleneck)
    stage2: nn.Sequential
    stage3: nn.Sequential
    stage4: nn.Sequential

    def __init__(
        self,
        width: int = 48,
        width_mult: float = 1.0,
        stages: Sequence[Stage] = STAGES,
        align_corners: bool = False,
        grad_ckpt: bool = False,
        second_branch: Sequence[Stage] = (),
    ) -> None:
        super().__init__(grad_ckpt)
        self.align_corners = align_corners
        stem = scaled(STEM, width_mult)
        widths = [scaled(width * 2**b, width_mult) for b in range(4)]
        self.levels = tuple(Level(4 * 2**b, c) for b, c in enumerate(widths))
        self.conv1, self.bn1 = conv_bn(3, stem, stride=2)
        self.conv2, self.bn2 = conv_bn(stem, stem, stride=2)
        out = stem * Bottleneck.expansion
        self.layer1 = nn.Sequential(*(Bottleneck(out if i else stem, stem) for i in range(stages[0].blocks[0])))
        self.branch_from = 5 - len(second_branch)  # the first stage that exists twice; 5: none
        self.branches = 2 if second_branch else 1
        for number in (2, 3, 4):
            before = widths[: number - 1] if number > 2 else [out]
            branches = {"": stages[number - 1]} | (
                {SECOND_BRANCH: second_branch[number - self.branch_from]} if number >= self.branch_from else {}
            )
            for name in branches:
                self.add_module(f"transition{number - 1}{name}", _transition(before, widths[:number]))
            for name, stage in branches.items():
                self.add_module(f"stage{number}{name}", _stage(stage, widths[:number], align_corners))
        kaiming(self)

    def forward(self, image: Tensor) -> Features:
        xs = self._through([self._stem(image)], 2, self.branch_from)  # what both branches read
        first = self._through(xs, self.branch_from, 5)
        return first + self._through(xs, self.branch_from, 5, SECOND_BRANCH) if self.branches == 2 else first

    @property
    def joined(self) -> Level:
        """All four resolutions at the highest."""
        return Level(4, sum(level.channels for level in self.levels))

    def join(self, features: Features) -> Tensor:
        """Four maps -> (N, their channels, ~H/4, ~W/4)."""
        return side_by_side(features[:4], self.align_corners)

    def join_branches(self, features: Features) -> tuple[Tensor, Tensor | None]:
        """The same of the first branch and of the second one, None where there is none."""
        return self.join(features), self.join(features[4:]) if self.branches == 2 else None

    def _stem(self, image: Tensor) -> Tensor:
        x = normed(image, self.conv1, self.bn1, relu=True)
        x = normed(x, self.conv2, self.bn2, relu=True)  # (N, stem, H/4, W/4)
        return recomputed(self.layer1, self.grad_ckpt)(x)  # (N, 4 * stem, H/4, W/4)

    def _through(self, xs: list[Tensor], first: int, end: int, branch: str = "") -> list[Tensor]:
        """The maps before stage `first` -> those before stage `end`."""
        for number in range(first, end):
            xs = _widen(self.get_submodule(f"transition{number - 1}{branch}"), xs)  # type: ignore[arg-type]
            for module in self.get_submodule(f"stage{number}{branch}").children():
                xs = recomputed(module, self.grad_ckpt)(xs)
        return xs


def _stage(stage: Stage, channels: Sequence[int], align_corners: bool) -> nn.Sequential:
    return nn.Sequential(*(MultiResolution(channels, stage.blocks, align_corners) for _ in range(stage.modules)))
