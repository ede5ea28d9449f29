"""Evaluation at several short sides: the published sizes and inputs, averages, tiles, memory, options."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden.fill import image
from shared import GOLDEN
from torch import Tensor, nn

import config
import inference
from inference import RULES, Predictor
from inference.memory import PeakTracker
from inference.rule import EvalRule, normalize, prepare
from utils.errors import UserError

pytestmark = pytest.mark.run

TABLE = json.loads((GOLDEN / "csail" / "eval_size_table.json").read_text())
PUBLISHED = np.load(GOLDEN / "csail" / "data_pipeline.npz")
META = json.loads(str(PUBLISHED["meta"]))
RULE = replace(RULES["csail"], short_edge_sizes=(300, 375, 450), max_long_edge=1000)
SMALL = replace(RULE, short_edge_sizes=(24, 40), max_long_edge=64)
WORDS = ["--dataset", "ade20k", "--arch_encoder", "resnet18dilated", "--imgSize", "300", "375,450"]


def picture(i: int) -> np.ndarray:
    """Image `i`, as the file's meta describes it."""
    height, width = META["sizes_hw"][i]
    blocks = image(f"pix:csail{i}", (1, 3, math.ceil(height / 4), math.ceil(width / 4))).repeat(4, 2).repeat(4, 3)
    z = blocks[..., :height, :width] + 0.3 * image(f"pix2:csail{i}", (1, 3, height, width))
    return np.ascontiguousarray(np.clip(np.rint(128 + 50 * z), 0, 255).astype(np.uint8)[0].transpose(1, 2, 0))


def sizes(rule: EvalRule, size: tuple[int, int]) -> list[tuple[int, int]]:
    return [rule.scaled(size, scale) for scale in rule.scales_of(size)]


@pytest.mark.parametrize("multiple", [8, 32])
def test_the_published_sizes(multiple: int) -> None:
    rule = replace(
        RULES["csail"], short_edge_sizes=tuple(TABLE["imgSizes"]), max_long_edge=TABLE["imgMaxSize"], multiple=multiple
    )
    assert len(TABLE["rows"]) == 10
    for row in TABLE["rows"]:
        assert sizes(rule, (row["h"], row["w"])) == [tuple(size) for size in row[f"padding_{multiple}"]], row


@pytest.mark.parametrize("i", range(len(META["sizes_hw"])))
def test_the_published_inputs(i: int) -> None:
    options = META["options"]
    rule = replace(RULES["csail"], short_edge_sizes=tuple(options["imgSizes"]), max_long_edge=options["imgMaxSize"])
    array = picture(i)
    found = sizes(rule, (array.shape[0], array.shape[1]))
    assert found == [tuple(size) for size in PUBLISHED[f"val{i}_sizes"]]
    for number, size in enumerate(found):
        x = prepare(torch.from_numpy(array).permute(2, 0, 1)[None], size, rule, torch.device("cpu"), torch.float32)
        np.testing.assert_allclose(x[0, :, ::3, ::3], PUBLISHED[f"val{i}_img{number}"], rtol=0, atol=1e-6)


class Small(nn.Module):
    """Looks further than a pixel, at a quarter of the resolution; its output is resized once."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, classes, 7, stride=4, padding=3)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        self.seen.append(tuple(x.shape))
        return F.interpolate(self.conv(x), size=size or tuple(x.shape[2:]), mode="bilinear")


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("flip", [False, True])
def test_probabilities_are_averaged_over_sizes_and_mirror_images(flip: bool) -> None:
    net, arrays = Small(), [noise(30, 50), noise(50, 30), noise(20, 100), noise(30, 50)]
    rule = replace(SMALL, flip=flip)
    got = Predictor(net, rule, memory_bytes=1 << 30)(arrays, scores=True)
    for prediction, array in zip(got, arrays, strict=True):
        size, total = (array.shape[0], array.shape[1]), torch.zeros(1, 5, *array.shape[:2])
        pixels = torch.from_numpy(array).permute(2, 0, 1)[None]
        for scaled in sizes(rule, size):
            x = prepare(pixels, scaled, rule, torch.device("cpu"), torch.float32)
            for axes in rule.flips:
                logits = F.interpolate(net.conv(x.flip(axes)), size=size, mode="bilinear").flip(axes)
                total += logits.softmax(1) / len(rule.flips) / len(rule.short_edge_sizes)
        assert prediction.scores is not None
        torch.testing.assert_close(prediction.scores, total[0], rtol=1e-5, atol=1e-6)
        assert torch.equal(prediction.classes.long(), prediction.scores.argmax(0))
        torch.testing.assert_close(prediction.max_prob, prediction.scores.amax(0))


def test_single_sizes_have_their_own_maps() -> None:
    names = ["pred_24", "pred_40", "pred_10x"]
    (got,) = Predictor(Small(), SMALL)([noise(30, 50)], extras=names)
    assert {name: tuple(x.shape) for name, x in got.extras.items()} == {name: (5, 30, 50) for name in names[:2]}


def test_a_tile_is_scaled_as_its_image_is() -> None:
    rule = replace(
        RULES["csail"], short_edge_sizes=(100, 300), max_long_edge=500
    )  # of 200 x 400: 0.5, and 1.25 by the long side
    rows, columns = np.mgrid[:200, :400]
    array = np.stack([rows, columns // 2, 255 - rows], axis=2).astype(np.uint8)
    net = Small()
    (whole,), (tiled,) = (Predictor(net, replace(rule, tile=tile))([array], scores=True) for tile in (0, 128))
    assert tiled.note == "tiles of 128x128" and whole.scores is not None and tiled.scores is not None
    assert set(net.seen[1:]) == {(1, 3, 104, 200), (1, 3, 256, 504), (1, 3, 64, 64), (1, 3, 160, 160)}
    torch.testing.assert_close(tiled.scores, whole.scores, rtol=0, atol=0.1)
    assert (tiled.scores - whole.scores).abs().mean() < 0.01


@pytest.mark.in_make_test("shape1")
@pytest.mark.parametrize("shape", [(400, 600), (90, 140)])
def test_a_memory_bound_is_held(shape: tuple[int, int]) -> None:
    """Images that are shrunk, and enlarged; --do_flip."""
    rule, net = replace(SMALL, short_edge_sizes=(100, 150), max_long_edge=300, flip=True), Small(classes=60)
    plain, array = Predictor(net, rule, memory_bytes=1 << 30), noise(*shape)
    plain([noise(64, 64)])  # the measuring pass has its own size
    with PeakTracker() as free:
        (whole,) = plain([array])
    bound = free.peak * 2 // 3
    bounded = Predictor(net, rule, memory_bytes=bound)
    bounded([noise(64, 64)])
    with PeakTracker() as tracker:
        (got,) = bounded([array])
    assert free.peak // 16 < tracker.peak <= bound
    assert whole.note == "" and "memory bound" in got.note


def test_options_give_the_rule() -> None:
    cfg = config.load([*WORDS, "--imgMaxSize", "500", "--padding_constant", "32", "--do_flip"])
    assert inference.rule_name(cfg) == "csail"
    assert inference.eval_rule(cfg) == replace(RULE, max_long_edge=500, multiple=32, flip=True)
    assert inference.rule_name(config.load([*WORDS, "--eval_rule", "nvidia"])) == "nvidia"
    assert inference.rule_name(config.load(["--eval_rule", "csail", "--imgSize", "300"])) == "csail"
    assert inference.eval_rule(config.load([*WORDS, "--imgSize", ""])) == RULES["nvidia"]
    images = torch.from_numpy(noise(4, 4)).permute(2, 0, 1)[None]
    assert torch.equal(normalize(images, RULE), normalize(images, RULES["nvidia"]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--eval_rule", "csail"], "--eval_rule csail has no sizes: add --imgSize"),
        (["--imgSize", "300", "--default_scale", "0.5"], "leave --default_scale out"),
        (["--imgSize", "300", "--multi_scale_inference"], "leave --multi_scale_inference out"),
        (["--imgSize", "300", "--inference_mode", "whole"], "leave --inference_mode out"),
    ],
)
def test_what_contradicts_the_sizes_is_one_line(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        config.load(words)
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_an_evaluation_at_sizes_does_not_mind_how_a_file_was_trained() -> None:
    recorded = {"DATASET.CROP_SIZE": "512,512", "DATASET.MAX_SKIP": 2}
    cfg = config.load(["--eval", "val", "--snapshot", "x.pth", "--imgSize", "300"], recorded)
    assert inference.rule_name(cfg) == "csail"
    assert config.load(["--imgSize", "300"], recorded).DATASET.IMG_SIZES == (300,)
    with pytest.raises(UserError, match="--crop_size is of training on crops"):
        config.load(["--imgSize", "300", "--crop_size", "256"], recorded)
