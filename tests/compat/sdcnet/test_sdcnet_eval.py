"""Sliding, pooling and whole evaluation: the published scores and windows, seams, small images, memory."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden.fill import fill, image
from shared import GOLDEN
from torch import Tensor, nn

from inference import RULES, Predictor
from inference.memory import PassCost, PeakTracker
from inference.predictor import Request
from inference.rule import EvalRule
from inference.windows import boxes, counts, published_counts, square
from utils.contracts import Prediction

pytestmark = pytest.mark.run

FOLDER = GOLDEN / "sdcnet"
BOXES = json.loads((FOLDER / "sliding_boxes.json").read_text())
WANT = np.load(FOLDER / "sliding_eval.npz")
META = json.loads(str(WANT["meta"]))
SLIDING = replace(RULES["sdcnet"], window=META["crop_size"])
POOLING = replace(RULES["sdcnet_pooling"], mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
CASES: dict[str, EvalRule] = {
    "fixed_s1_flip": replace(SLIDING, scales=(1.0,)),
    "fixed_ms_flip": SLIDING,
    "s1_flip": replace(SLIDING, scales=(1.0,), published_counts=True),
    "s1_noflip": replace(SLIDING, scales=(1.0,), flip=False, published_counts=True),
    "ms_flip": replace(SLIDING, published_counts=True),
    "pool": POOLING,
    "pool_nearest": replace(POOLING, resize="pil_nearest"),
}


class Toy(nn.Module):
    """Two convolutions, with the weights of the golden file."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(3, 12, 5, padding=2), nn.Conv2d(12, 19, 5, padding=2)
        self.load_state_dict({k: torch.from_numpy(fill(f"toy.{k}", v.shape)) for k, v in self.state_dict().items()})
        self.seen: list[tuple[int, int]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((x.shape[2], x.shape[3]))
        return self.c2(F.relu(self.c1(x)))


def picture() -> np.ndarray:
    """The golden file's image."""
    h, w = META["size"]
    coarse = image("pix:sliding", (1, 3, math.ceil(h / 4), math.ceil(w / 4))).repeat(4, 2).repeat(4, 3)[..., :h, :w]
    z = coarse + 0.3 * image("pix2:sliding", (1, 3, h, w))
    return np.clip(np.rint(128 + 50 * z), 0, 255).astype(np.uint8)[0].transpose(1, 2, 0)


def predict(rule: EvalRule, array: np.ndarray) -> Prediction:
    return Predictor(Toy(), rule)([array], scores=True)[0]


def test_every_case_of_the_file_has_its_rule() -> None:
    assert {key for key in WANT.files if "__" not in key} == {"meta", *CASES}


@pytest.mark.parametrize("name", CASES)
def test_scores_meet_the_golden_file(name: str) -> None:
    got = predict(CASES[name], picture())
    assert got.scores is not None
    scores, stride = got.scores.numpy()[None], int(WANT[f"{name}__stride"])
    bound = 1e-4 * float(WANT[f"{name}__absmax"])
    assert scores.shape == tuple(WANT[f"{name}__shape"])
    assert np.abs(scores[..., ::stride, ::stride] - WANT[name]).max() <= bound
    assert np.abs(scores.mean((2, 3)) - WANT[f"{name}__mean"]).max() <= bound
    assert np.abs(scores.std((2, 3)) - WANT[f"{name}__std"]).max() <= bound
    assert abs(np.abs(scores).max() - float(WANT[f"{name}__absmax"])) <= bound
    assert np.array_equal(got.classes.numpy()[None], WANT[f"{name}__argmax"])
    top = np.sort(scores, 1)[:, -2:]
    assert abs((top[:, 1] - top[:, 0]).min() - float(WANT[f"{name}__min_margin"])) <= bound


@pytest.mark.parametrize("name", BOXES)
def test_windows_lie_where_published(name: str) -> None:
    height, width, crop, scale = re.findall(r"[\d.]+", name)
    found = boxes((int(height), int(width)), square(int(crop), float(scale)), 1 / 3)
    assert found == [tuple(box) for box in BOXES[name]]


@pytest.mark.parametrize("size", [(1, 1), (47, 48), (48, 48), (49, 120), (130, 50), (31, 200)])
@pytest.mark.parametrize("overlap", [0.0, 1 / 3, 0.7])
def test_windows_cover_every_pixel(size: tuple[int, int], overlap: float) -> None:
    found = boxes(size, (48, 48), overlap)
    assert counts(size, found).min() >= 1
    for box in found:
        assert 0 <= box.left < box.right <= size[1] and 0 <= box.top < box.bottom <= size[0]
        assert box.right - box.left == min(48, size[1]) and box.bottom - box.top == min(48, size[0])


def test_published_counts_have_no_zero() -> None:
    """Of a high image, where rows beyond the width have no count."""
    size = (100, 60)
    assert published_counts(size, boxes(size, (48, 48), 1 / 3), 19).min() == 1
    rule = replace(SLIDING, published_counts=True)
    assert bool(predict(rule, noise(100, 60)).max_prob.isfinite().all())


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


class Pointwise(nn.Module):
    """Looks at one pixel at a time, so that windows cannot change anything. Its further output is half as large."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 5, 1)
        self.seen: list[tuple[int, int]] = []

    def forward(self, x: Tensor, keep: tuple[str, ...] = ()) -> dict[str, Tensor]:
        self.seen.append((x.shape[2], x.shape[3]))
        return {"pred": self.conv(x), "flat": torch.full_like(x[:, :1, ::2, ::2], 0.25)}


@pytest.mark.parametrize("size", [(30, 40), (48, 48), (72, 108), (20, 150), (150, 20), (97, 101)])
@pytest.mark.parametrize("overlap", [0.0, 1 / 3, 0.6])
def test_windows_leave_no_seam(size: tuple[int, int], overlap: float) -> None:
    """Images smaller than a window, as high, higher: the same as without windows."""
    rule, net = replace(SLIDING, window_overlap=overlap), Pointwise()
    (sliding,) = Predictor(net, rule)([noise(*size)], scores=True, extras=["flat"])
    (whole,) = Predictor(net, replace(rule, window=0))([noise(*size)], scores=True)
    assert sliding.scores is not None and whole.scores is not None
    torch.testing.assert_close(sliding.scores, whole.scores)
    assert sliding.note == "" and sliding.extras["flat"].eq(0.25).all()


def test_one_window_is_the_whole_image() -> None:
    """To the last bit, with a network that looks further than a pixel; and several are not."""
    whole, one, several = (
        predict(replace(SLIDING, scales=(0.5, 1.0), window=w), picture()).scores for w in (0, 1024, 48)
    )
    assert whole is not None and one is not None and several is not None
    assert torch.equal(whole, one) and not torch.equal(whole, several)


def test_windows_grow_with_the_scale_and_never_shrink() -> None:
    net = Toy()
    Predictor(net, replace(SLIDING, flip=False))([noise(72, 108)])
    assert net.seen[1:] == [(36, 48)] * 2 + [(48, 48)] * 6 + [(96, 96)] * 6  # after the measuring pass


def test_several_images_share_their_windows() -> None:
    arrays = [noise(72, 108), picture()]
    net, alone = Toy(), [predict(SLIDING, array).scores for array in arrays]
    for got, want in zip(Predictor(net, SLIDING)(arrays, scores=True), alone, strict=True):
        assert got.scores is not None and want is not None
        torch.testing.assert_close(got.scores, want)


@pytest.mark.parametrize("scale", [1.5, 1.75, 3.0, 2.0, 0.5, 0.75, 0.3])
def test_pooling_goes_back_from_any_scale(scale: float) -> None:
    """Means of the pixels that fall together, bilinear where it enlarges: a constant stays, an average, too."""
    rule = replace(RULES["sdcnet_pooling"], scales=(scale,), flip=False)

    def net(x: Tensor) -> Tensor:
        rows = torch.arange(x.shape[2] * 1.0)[:, None].expand(x.shape[2:])
        return torch.stack([torch.full(x.shape[2:], 3.0), rows])[None]

    got = Predictor(net, rule)([noise(40, 60)], scores=True)[0].scores
    assert got is not None and got.shape == (2, 40, 60)
    torch.testing.assert_close(got[0], torch.full((40, 60), 3.0))
    center = (torch.arange(40) + 0.5) * (int(40 * scale) / 40) - 0.5  # where a row of the image lies in the input
    inner = slice(2, -2)  # bilinear stops at the border
    torch.testing.assert_close(got[1, inner, 0], center[inner], atol=0.5 if scale > 1 else 1e-4, rtol=0)
    if scale == 2:
        assert torch.equal(got[1, :, 0], torch.arange(40) * 2 + 0.5)


@pytest.mark.slow
def test_a_memory_bound_is_held_with_windows() -> None:
    """Where the maps of the largest scale do not fit, tiles of the image take over, and say so."""
    rule, array = replace(SLIDING, scales=(0.5, 1.0, 1.5), window=96), noise(300, 400)
    plain = Predictor(Toy(), rule, memory_bytes=1 << 30)
    with PeakTracker() as free:
        (whole,) = plain([array])
    bounded = Predictor(Toy(), rule, memory_bytes=free.peak // 2)
    bounded([noise(64, 64)])  # the measuring pass has its own size
    with PeakTracker() as tracker:
        (got,) = bounded([array])
    assert free.peak // 16 < tracker.peak <= free.peak // 2
    assert whole.note == "" and "memory bound" in got.note
    assert (got.classes == whole.classes).float().mean() > 0.9


def test_windows_take_less_than_the_whole_input() -> None:
    rule = replace(SLIDING, scales=(1.0,), flip=False)
    size, peaks = (400, 600), []
    for window in (64, 0):
        net = nn.Sequential(nn.Conv2d(3, 128, 3, padding=1), nn.Conv2d(128, 3, 1))
        predictor = Predictor(net, replace(rule, window=window), memory_bytes=1 << 30)
        predictor([noise(64, 64)])
        with PeakTracker() as tracker:
            (got,) = predictor([noise(*size)])
        cost = predictor._cost(Request(scores=False, extras=()))
        assert got.note == "" and isinstance(cost, PassCost)
        assert tracker.peak <= cost.whole(size) <= 3 * tracker.peak
        peaks.append(tracker.peak)
    assert peaks[0] < peaks[1] / 5
