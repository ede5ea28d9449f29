"""Resizing, padding, cropping and colors against PaddleSeg's, with its drawn values."""

import random

import numpy as np
import pytest
from PIL import Image
from shared import GOLDEN

import config
import transforms
from datasets.cityscapes import SPEC
from transforms.color import Distort, Normalize, enhance, turn_hue
from transforms.geometry import RandomFlip, ResizeCrop, pad_crop, resize_plain
from utils.contracts import Sample
from utils.errors import UserError

with np.load(GOLDEN / "paddle/transforms.npz") as stored:
    TOLD = dict(stored)


def sample():
    return Sample(TOLD["input"], TOLD["label"], "", (46, 61))


@pytest.mark.parametrize("factor", ["0.5", "0.731", "1.37", "2.0"])
def test_resize(factor):
    made = resize_plain(sample(), float(factor))
    assert made.image.dtype == np.float32
    assert np.abs(made.image - TOLD[f"resizestep_{factor}.img"]).max() <= 1e-3
    assert np.array_equal(made.label, TOLD[f"resizestep_{factor}.label"])


@pytest.mark.parametrize(("name", "size", "margins"), [("80x60", (60, 80), None), ("40x60_seed7", (60, 40), (0, 21))])
def test_pad_and_crop(name, size, margins):
    draws = np.random.RandomState(7)
    offset = (0, 0) if margins is None else tuple(int(draws.randint(0, margin + 1)) for margin in margins)
    source = resize_plain(sample(), 1.0)
    assert np.array_equal(source.image, TOLD["input"])
    made = pad_crop(source, size, offset, 127.5, 255)
    assert np.array_equal(made.image, TOLD[f"paddingcrop_{name}.img"])
    assert np.array_equal(made.label, TOLD[f"paddingcrop_{name}.label"])


@pytest.mark.parametrize("factor", ["0.75", "0.9", "1.25"])
@pytest.mark.parametrize(
    ("name", "kind"), [("brightness", "Brightness"), ("contrast", "Contrast"), ("saturation", "Color")]
)
def test_enhance(name, kind, factor):
    assert np.array_equal(enhance(TOLD["input"], kind, float(factor)), TOLD[f"{name}_{factor}"])


@pytest.mark.parametrize("shift", ["-63.0", "-10.5", "0.0", "17.7", "63.0"])
def test_hue(shift):
    assert np.array_equal(turn_hue(TOLD["input"], float(shift)), TOLD[f"hue_{shift}"])


def test_hue_is_pillows():
    assert np.array_equal(np.asarray(Image.fromarray(TOLD["input"]).convert("HSV")), TOLD["hsv_input"])


def test_normalize():
    step = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    made = step(Sample(TOLD["input"].astype(np.float32), None, "", (46, 61)), random.Random(0))
    assert made.image.dtype == np.float32
    assert np.abs(made.image - TOLD["normalize"]).max() <= 1e-6
    assert step(sample(), random.Random(0)).image.dtype == np.uint8


def build(*words):
    cfg = config.load(["--arch", "ocrnet.HRNet", "--aug_table", "paddle", "--crop_size", "60,80", *words])
    return transforms.build_train(cfg, SPEC)


def test_pipeline():
    crop, flip, colors = build().steps
    assert isinstance(crop, ResizeCrop) and (crop.size, crop.scale_min, crop.scale_max) == ((60, 80), 0.5, 2.0)
    assert isinstance(flip, RandomFlip) and flip.p == 0.5
    assert colors == Distort(0.25, 63.0)
    made = build()(sample(), random.Random(3))
    assert made.image.dtype == np.uint8 and made.image.shape == (60, 80, 3) and made.label.shape == (60, 80)


def test_without_colors_the_image_is_normalized():
    made = build("--color_aug", "0", "--hue_aug", "0", "--scale_min", "0.5", "--scale_max", "0.5")(
        sample(), random.Random(0)
    )
    gray = (0.5 - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    assert made.image.dtype == np.float32
    assert np.abs(made.image[made.label == 255] - gray).max(axis=1).min() < 1e-6
    assert (made.label == 255).mean() > 0.7


def test_draws_cover_their_ranges():
    """Scale, position and colors differ from sample to sample, and repeat with the generator."""
    made = [build()(sample(), random.Random(seed)).image for seed in range(20)]
    assert all(np.array_equal(x, build()(sample(), random.Random(seed)).image) for seed, x in enumerate(made))
    assert len({x.tobytes() for x in made}) == 20


@pytest.mark.parametrize("seed", range(10))
def test_crop_covers_its_center(seed):
    """The only pixel of its class is seen at twice the size."""
    label = np.zeros((46, 61), np.uint8)
    label[10:14, 50:54] = 7
    source = Sample(TOLD["input"], label, "", (46, 61), crop_center=(52, 12))
    assert (ResizeCrop((20, 20), 2.0, 2.0)(source, random.Random(seed)).label == 7).any()


@pytest.mark.parametrize(("words", "flag"), [
    (["--gblur"], "--gblur"), (["--rand_augment", "2,5"], "--rand_augment"), (["--pre_size", "9"], "--pre_size"),
])  # fmt: skip
def test_steps_of_the_other_table(words, flag):
    with pytest.raises(UserError, match=f"{flag} is of .*--aug_table nvidia"):
        build(*words)
