"""Pictures with a side of one pixel: a map of their size from any rule, at any scale."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from inference import RULES, Predictor
from network.families import Family, Maps, Settings
from network.mscale import MultiScale
from network.trunk.hrnet import HRNet
from network.trunk.resnet import ResNet, SEResNeXt
from network.trunk.wide_resnet import WideResNet38
from network.trunk.xception import Xception71
from transforms.geometry import FixedSize, LabelStride, RandomScaleCrop, ResizeCrop
from utils.contracts import Sample
from utils.resize import resize_by

SIZES = [(1, 1), (1, 70), (70, 1), (2, 3)]
SCALES = (0.25, 0.5, 1.0, 2.0)


class Pointwise(nn.Module):
    """Logits from each pixel's colors alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("tile", [0, 64])
def test_every_rule_gives_a_map(name: str, size: tuple[int, int], tile: int) -> None:
    rule = RULES[name] if name == "hrnet" else replace(RULES[name], scales=SCALES, flip=True)
    if name == "hrnet":
        rule = replace(rule, base_long_edge=64)
    if name == "csail":
        rule = replace(rule, short_edge_sizes=(30, 45), max_long_edge=90)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    (made,) = Predictor(Pointwise(), replace(rule, tile=tile))([image])
    assert tuple(made.classes.shape) == size and torch.isfinite(made.max_prob).all()


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        ((1, 1), 0.25, (1, 1)),
        ((1, 9), 0.5, (1, 4)),
        ((3, 3), 0.25, (1, 1)),
        ((1, 1), 1.5, (1, 1)),
        ((8, 1), 2.0, (16, 2)),
    ],
)
def test_a_scaled_side_is_at_least_one(
    size: tuple[int, int], scale: float, expected: tuple[int, int], exact: bool
) -> None:
    x = torch.full((1, 2, *size), 7.0)
    made = resize_by(x, scale, exact=exact)
    assert tuple(made.shape[-2:]) == expected and torch.equal(made, torch.full_like(made, 7.0))


class OneConv(nn.Module):
    """A trunk of stride 4."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=4, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Bare(Family):
    """The trunk's map as logits."""

    def maps(self, image: Tensor) -> Maps:
        features = self.inner(image)
        return Maps({"pred": features}, features)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rule", ["nvidia", "paddle"])
def test_networks_of_several_scales(size: tuple[int, int], rule: str) -> None:
    attention = nn.Sequential(nn.Conv2d(4, 1, 1), nn.Sigmoid())
    net = MultiScale(Bare(OneConv(), Settings(4)), attention, scales=SCALES)
    (made,) = Predictor(net, RULES[rule])([np.full((*size, 3), 90, np.uint8)])
    assert tuple(made.classes.shape) == size and torch.isfinite(made.max_prob).all()


TRUNKS = {
    "hrnet": lambda: HRNet(width_mult=0.1),
    "resnet": lambda: ResNet(50, width_mult=0.1),
    "seresnext": lambda: SEResNeXt(50, width_mult=0.1),
    "wide": lambda: WideResNet38(width_mult=0.05),
    "xception": lambda: Xception71(width_mult=0.1),
}


@pytest.mark.parametrize("name", TRUNKS)
def test_trunks_leave_something(name: str) -> None:
    trunk = TRUNKS[name]().eval()
    with torch.inference_mode():
        for size in SIZES:
            found = trunk(torch.zeros(1, 3, *size))
            assert all(min(value.shape[-2:]) >= 1 for value in found)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [
    RandomScaleCrop((32, 48), 0.25, 2.0), RandomScaleCrop(None, 0.25, 2.0), RandomScaleCrop((32, 32), pre_size=100),
    ResizeCrop((32, 48), 0.25, 2.0), FixedSize(40), FixedSize(40, square=True),
])  # fmt: skip
def test_training_crops(size: tuple[int, int], step: Any) -> None:
    image, label = np.full((*size, 3), 90, np.uint8), np.full(size, 3, np.uint8)
    for seed in range(8):
        made = step(Sample(image, label, "", size, (0, 0)), random.Random(seed))
        assert made.image.shape[:2] == made.label.shape and min(made.label.shape) >= 1
        assert set(np.unique(made.label)) <= {3, 255}
        assert min(LabelStride(8)(made, random.Random(0)).label.shape) >= 1  # type: ignore[union-attr]
