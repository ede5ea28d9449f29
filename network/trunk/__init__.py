"""Trunks: an image becomes maps of several strides, from fine to coarse.

N batch, H x W image. Dilation keeps a stride from growing, so several levels may share one.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from utils.errors import UserError

# Images come normalized by these, ImageNet's; a trunk that knows others changes them inside.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Features = list[Tensor]  # one map a level, and of a second branch as many again


class Level(NamedTuple):
    """A map (N, channels, ~H/stride, ~W/stride)."""

    stride: float
    channels: int


class Colors(NamedTuple):
    """Mean and deviation of red, green and blue, from 0 to 1, by which a network's images were normalized."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Trunk(nn.Module):
    """Image (N, 3, H, W) -> one map for each of `levels`, the finest first.

    `branches`: 2 where the last stages exist twice, for offsets. The maps of the second branch, of the same shapes,
    then stand behind those of the first one, which alone `join` reads. `multiple`: images whose sides are no multiple
    of this are padded inside. `needs_neck`: no map is fine and deep enough for a head to classify, so that a neck joins
    them. `colors`: those of the images that its published weights know. `unused`: entries of such weights that it has
    no part for.
    """

    levels: tuple[Level, ...]
    needs_neck: bool = False
    colors: Colors = Colors(MEAN, STD)
    unused: frozenset[str] = frozenset()
    multiple: int = 1
    branches: int = 1

    @abstractmethod
    def forward(self, image: Tensor) -> Features:
        """(N, 3, H, W) -> the maps."""

    @property
    def joined(self) -> Level:
        """Stride and channels of the map that `join` gives."""
        return self.levels[-1]

    def join(self, features: Features) -> Tensor:
        """The one map that a head classifies: the last, unless a trunk makes one of all its levels."""
        return features[-1]

    @property
    def pretrained(self) -> nn.Module:
        """The part that files of ImageNet weights are for."""
        return self

    def layers(self, stages: bool = False) -> dict[str, int]:
        """{parameter of `pretrained`: its layer, from 0, the image's side}; a layer is a block, or a stage of `stages`.

        By default both are the trunk's parts.
        """
        return by_parts(self.pretrained)


def by_parts(module: nn.Module) -> dict[str, int]:
    """{parameter: number of the part that it stands in}, parts in their order; of a single sequence its own ones.

    Single layers in a row, such as a stem's, are one part; what stands alone, such as positions, is of the first one.
    """
    parts = [(name, part) for name, part in module.named_children() if any(True for _ in part.parameters())]
    if len(parts) == 1 and isinstance(parts[0][1], nn.Sequential):
        outer, sequence = parts[0]
        parts = [(f"{outer}.{name}", part) for name, part in sequence.named_children()]
    numbers: dict[str, int] = {}
    number, after_single = -1, False
    for name, part in parts:
        single = not any(True for _ in part.children())
        number += not (single and after_single)
        numbers[name], after_single = number, single
    return {
        name: next((place for part, place in numbers.items() if name.startswith(f"{part}.")), 0)
        for name, _ in module.named_parameters()
    }


def first_stages(trunk: Trunk, count: int) -> list[nn.Module]:
    """The parts of a trunk that hold parameters of its first `count` stages alone; UserError where it has no more.

    A parameter that stands beside parts of later stages, such as positions, has its gradient switched off here.
    """
    stages, whole = trunk.layers(stages=True), trunk.pretrained
    if count > max(stages.values()):
        raise UserError(
            f"--freeze_stages {count}: this trunk has {max(stages.values()) + 1}; --freeze_trunk leaves all"
        )
    early = {name for name, stage in stages.items() if stage < count}
    found: list[nn.Module] = []
    inside: tuple[str, ...] = ()
    for path, part in whole.named_modules():
        names = {f"{path}.{name}" if path else name for name, _ in part.named_parameters()}
        if names and names <= early and not path.startswith(inside or ("\0",)):
            found.append(part)
            inside += (f"{path}.",)
    covered = {id(p) for part in found for p in part.parameters()}
    for name, p in whole.named_parameters():
        if name in early and id(p) not in covered:
            p.requires_grad_(False)
    return found


class OwnTrunk(Trunk):
    """The trunks of this package: of any width, and with activations recomputed in the backward pass.

    `regions`: the kinds of blocks that they are built of; each lies within what is recomputed at once.
    """

    regions: tuple[type[nn.Module], ...] = ()

    def __init__(self, grad_ckpt: bool = False) -> None:
        super().__init__()
        self.grad_ckpt = grad_ckpt
