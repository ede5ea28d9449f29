"""The HRNet family's evaluation: sizes, pieces, mirror images within a piece, exp before averages, memory."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import config
import inference
from inference import RULES
from inference.memory import PassCost
from inference.passes import TestTimeAugmentation
from inference.rule import EvalRule
from utils.errors import UserError

RULE = replace(RULES["hrnet"], base_long_edge=96, piece=(48, 96), scales=(0.5, 1.0, 1.5), flip=True)


class Uneven(nn.Module):
    """Scores that a mirror image changes; notes the sizes that it sees."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.seen: list[tuple[int, int]] = []

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        self.seen.append((image.shape[-2], image.shape[-1]))
        return {"pred": self.conv(image)}


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [((1024, 2048), 1.75, (1792, 3584)), ((1080, 1920), 1.0, (1152, 2048)), ((500, 333), 0.5, (1024, 682))],
)
def test_sizes_follow_the_long_side(size: tuple[int, int], scale: float, expected: tuple[int, int]) -> None:
    rule = replace(RULES["hrnet"], scales=(scale,))
    assert rule.scaled(size, *rule.scales_of(size)) == expected
    free = replace(rule, base_long_edge=0)
    assert free.scaled(size, *free.scales_of(size)) == (int(size[0] * scale + 0.5), int(size[1] * scale + 0.5))


def by_hand(net: nn.Module, image: Tensor, rule: EvalRule) -> Tensor:
    """The rule step by step, for an image whose sides fit."""
    total = torch.zeros(1, 4, *image.shape[-2:])
    for scale in rule.scales:
        height, width = (int(n * scale + 0.5) for n in image.shape[-2:])
        x = torch.from_numpy(cv2.resize(image[0].permute(1, 2, 0).numpy(), (width, height))).permute(2, 0, 1)[None]
        summed, seen = torch.zeros(1, 4, height, width), torch.zeros(height, width)
        tops = [0] if scale <= 1 else [*range(0, height - 48, 48), height - 48]
        lefts = [0] if scale <= 1 else [*range(0, width - 96, 96), width - 96]
        for top in tops:
            for left in lefts:
                place = (..., slice(top, top + 48), slice(left, left + 96))
                part = x[place]
                logits = (net(part)["pred"] + net(part.flip(-1))["pred"].flip(-1)) / 2
                summed[place] += logits.exp()
                seen[place] += 1
        total += F.interpolate(summed / seen, image.shape[-2:], mode="bilinear", align_corners=False)
    return total / len(rule.scales)


@torch.inference_mode()
def test_pieces_are_mirrored_and_averaged_for_themselves() -> None:
    net, image = Uneven(), torch.randn(1, 3, 48, 96, generator=torch.Generator().manual_seed(1))
    ours, _ = TestTimeAugmentation(net, RULE).scores(image, ())
    sizes, net.seen = net.seen, []
    torch.testing.assert_close(ours, by_hand(net, image, RULE))
    assert sorted(set(sizes)) == [(24, 48), (48, 96)] and len(sizes) == 2 * (1 + 1 + 4)
    large = replace(RULE, piece=(480, 960))
    assert float((TestTimeAugmentation(net, large).scores(image, ())[0] - ours).abs().max()) > 1e-3


def test_memory_of_pieces() -> None:
    cost = PassCost(1000.0, 19, (0.5, 2.0), piece=(1024, 2048))
    assert cost._pass((1024, 2048), 2.0) == 1024 * 2048 == replace(cost, piece=None)._pass((1024, 2048), 1.0)
    assert cost.whole((1024, 2048)) < replace(cost, piece=None).whole((1024, 2048))


def test_options() -> None:
    words = ["--arch", "basic.HRNet", "--eval_rule", "hrnet", "--base_size", "1920", "--piece", "1080,1920"]
    scales = ["--multi_scale_inference", "--default_scale", "0.5", "--extra_scales", "0.75,1.0", "--do_flip"]
    rule = inference.eval_rule(config.load([*words, *scales]))
    assert (rule.base_long_edge, rule.piece, rule.scales, rule.flip) == (1920, (1080, 1920), (0.5, 0.75, 1.0), True)
    assert rule.average == "exp" and rule.resize == "cv2" and not rule.resize_first
    assert inference.eval_rule(config.load(words)).scales == (1.0,)
    for wrong in (["--base_size", "1920"], ["--piece", "512,1024"]):
        with pytest.raises(UserError, match="is of --eval_rule hrnet"):
            config.load(["--arch", "basic.HRNet", *wrong])
    with pytest.raises(UserError, match="--piece takes height,width"):
        config.load(["--arch", "basic.HRNet", "--eval_rule", "hrnet", "--piece", "512"])


def test_the_largest_probability_is_a_share() -> None:
    passes = TestTimeAugmentation(Uneven(), RULE)
    classes, max_prob = passes.argmax(torch.tensor([[[1.0, 3.0]], [[3.0, 1.0]], [[0.0, 0.0]], [[0.0, 4.0]]]))
    assert classes.tolist() == [[1, 3]] and np.allclose(max_prob, [[0.75, 0.5]])
