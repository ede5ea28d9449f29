"""Files for trunks, by whose names they have: torchvision's and timm's become ours; and HRNet's second branch.

Names that a layout does not know stay as they are. Needing no change: the HRNet releases, the published
wider_resnet38.pth.tar, and Cadene's se_resnext50_32x4d and se_resnext101_32x4d.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping

from torch import Tensor, nn

from network.trunk.hrnet import SECOND_BRANCH
from network.weights import timm_names
from network.weights.formats import below, renamed
from network.weights.places import prefixes

# What may stand before the trunk's names: nothing in the HRNet releases, `model.` in the HRNet-OCR ones. Others
# are told by how often they occur.
PREFIXES = ("", "backbone.", "trunk.", "model.", "model.backbone.", "backbone.body.", "encoder.body.")

COLORS = 3
_XCEPTION = re.compile(r"blocks\.(\d+)\.(?:shortcut\.(conv|bn)|stack\.conv(\d)\.(conv_dw|bn_dw|conv_pw|bn_pw))\.(\w+)")
# timm's blocks of xception71 -> ours, which has no counterpart of its blocks 2 and 4; 22 is conv3 to conv5.
_BLOCKS = {0: 1, 1: 2, 3: 3, 21: 20} | {n: n - 1 for n in range(5, 21)}
_SEPARABLE = {"conv_dw": "conv1", "bn_dw": "bn", "conv_pw": "pointwise"}
_STEM = {"stem.0.conv.": "conv1.", "stem.0.bn.": "bn1.", "stem.1.conv.": "conv2.", "stem.1.bn.": "bn2."}


def torchvision_resnet(name: str) -> str:
    """The stem's two layers are numbered in ours."""
    return renamed(name, {"conv1.": "layer0.0.", "bn1.": "layer0.1."})


def timm_seresnext(name: str) -> str:
    """The stem is a stage of its own in ours, and squeeze-and-excitation has a longer name."""
    return renamed(name, {"conv1.": "layer0.conv1.", "bn1.": "layer0.bn1."}).replace(".se.", ".se_module.")


def timm_xception71(name: str) -> str:
    """Blocks have other numbers, and the layers inside other names."""
    found = _XCEPTION.fullmatch(name)
    if not found:
        return renamed(name, _STEM)
    block, (_, shortcut, step, layer, entry) = int(found[1]), found.groups()
    if block == 22 and step:
        number = int(step) + 2
        return _separable(f"conv{number}", f"bn{number}", layer, entry)
    if block not in _BLOCKS or (block == 1 and step == "3"):  # ours has two convolutions there
        return name
    ours = f"block{_BLOCKS[block]}"
    if shortcut:
        return f"{ours}.{'skip' if shortcut == 'conv' else 'skipbn'}.{entry}"
    place = 3 * (int(step) - 1) + (block > 1)  # ReLU, convolution, norm; the first two begin without the ReLU
    return _separable(f"{ours}.rep.{place}", f"{ours}.rep.{place + 1}", layer, entry)


def _separable(convolution: str, norm: str, layer: str, entry: str) -> str:
    return f"{norm}.{entry}" if layer == "bn_pw" else f"{convolution}.{_SEPARABLE[layer]}.{entry}"


LAYOUTS: dict[str, Callable[[str], str]] = {
    "": lambda name: name,
    "torchvision's names": torchvision_resnet,
    "timm's names": timm_seresnext,
    "timm's names of xception71": timm_xception71,
}


def best(state: Mapping[str, Tensor], trunk: nn.Module) -> tuple[dict[str, Tensor], str]:
    """The entries of a file, without prefix and under the names of which most are the trunk's, with their shapes; whose
    names they were.
    """
    known = {name: x.shape for name, x in trunk.state_dict().items()}
    more = [prefix for prefix in prefixes(state) if prefix not in PREFIXES]
    entries = [below(state, prefix) for prefix in (*PREFIXES, *more)]
    found = (reading for part in entries if part for reading in _readings(part, trunk))

    def worth(reading: tuple[dict[str, Tensor], str]) -> tuple[int, bool]:
        fits = sum(known.get(name) == x.shape for name, x in reading[0].items())
        return fits, reading[1] != timm_names.IN_ORDER  # a name says more than a place

    return max(found, key=worth, default=({}, ""))


def _readings(state: Mapping[str, Tensor], trunk: nn.Module) -> Iterator[tuple[dict[str, Tensor], str]]:
    if type(trunk).__module__.startswith("timm."):
        yield from timm_names.readings(state, trunk)
    else:
        for layout, rename in LAYOUTS.items():
            yield {rename(name): x for name, x in state.items()}, layout


def for_colors(state: Mapping[str, Tensor], trunk: nn.Module) -> tuple[dict[str, Tensor], str]:
    """The entries with first convolutions of other than three channels made into such of three, and a line about it.

    Of one channel: each color gets a third of it, so that a gray image gives the same. Of more than three: their first
    three are taken as the colors.
    """
    found, lines, own = dict(state), [], trunk.state_dict()
    for name, x in state.items():
        ours = own.get(name)
        if ours is None or x.ndim != 4 or x.shape == ours.shape or ours.shape[1] != COLORS:
            continue
        if (x.shape[0], *x.shape[2:]) == (ours.shape[0], *ours.shape[2:]) and x.shape[1] in (1, *range(4, 33)):
            found[name] = x.repeat(1, COLORS, 1, 1) / COLORS if x.shape[1] == 1 else x[:, :COLORS]
            how = "spread over three colors" if x.shape[1] == 1 else f"the first three of {x.shape[1]} channels"
            lines.append(f"{name} is adapted: {how}")
    return found, "; ".join(lines)


def second_branch(state: Mapping[str, Tensor], known: Collection[str]) -> dict[str, Tensor]:
    """The entries of a file's stages and transitions under the names of those among `known` that exist twice."""
    found = {_in_second_branch(name): x for name, x in state.items()}
    return {name: x for name, x in found.items() if name in known}


def branch_from(names: Collection[str]) -> int:
    """The first of HRNet's stages that exist twice, by a state's names; 5: none does."""
    found = {name.partition(".")[0] for name in names}
    return next((number for number in (2, 3, 4) if f"stage{number}{SECOND_BRANCH}" in found), 5)


def _in_second_branch(name: str) -> str:
    """ "stage4.0.relu" -> "stage4_2.0.relu"; "" where there is no such stage."""
    stage, dot, rest = name.partition(".")
    return f"{stage}{SECOND_BRANCH}{dot}{rest}" if stage.startswith(("stage", "transition")) else ""
