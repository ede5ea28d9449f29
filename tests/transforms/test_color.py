"""Colors against torchvision's definitions and by eye."""

import importlib
import random
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from transforms import color
from utils.contracts import Sample

RGB = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def functional() -> ModuleType:
    """torchvision's colors, whose import takes seconds."""
    return importlib.import_module("torchvision.transforms.functional")


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_factors_follow_torchvision(functional: ModuleType, name: str, factor: float) -> None:
    ours = getattr(color, f"adjust_{name}")(RGB, factor)
    theirs = getattr(functional, f"adjust_{name}")(torch.from_numpy(RGB).permute(2, 0, 1), factor)
    difference = np.abs(ours.astype(int) - theirs.permute(1, 2, 0).numpy().astype(int))
    assert ours.dtype == np.uint8 and difference.max() <= 2


@pytest.mark.parametrize("shift", [-0.5, -0.1, 0.0, 0.25, 0.5])
def test_hue_follows_torchvision(functional: ModuleType, shift: float) -> None:
    theirs = functional.adjust_hue(torch.from_numpy(RGB).permute(2, 0, 1), shift).permute(1, 2, 0).numpy()
    difference = np.abs(color.adjust_hue(RGB, shift).astype(int) - theirs.astype(int))
    assert difference.mean() < 1.5 and np.percentile(difference, 99) <= 6


def test_by_eye() -> None:
    image = np.array([[[10, 20, 30], [200, 100, 0]]], np.uint8)
    assert color.adjust_brightness(image, 2.0).tolist() == [[[20, 40, 60], [255, 200, 0]]]
    gray = color.adjust_saturation(image, 0.0)
    assert (gray[..., 0] == gray[..., 1]).all() and gray[0, 0, 0] == 18  # 0.299 * 10 + 0.587 * 20 + 0.114 * 30
    assert color.adjust_hue(np.array([[[255, 0, 0]]], np.uint8), 0.5)[0, 0, 0] < 5  # red turns to cyan
    flat = np.full((4, 6, 3), 77, np.uint8)
    assert (color.adjust_contrast(flat, 0.3) == 77).all()
    for blur in (color.blur_gaussian, color.blur_bilateral):
        assert (blur(flat, 0.7) == 77).all()


def test_blurs_smooth_and_bilateral_keeps_edges() -> None:
    edge = np.zeros((20, 20, 3), np.uint8)
    edge[:, 10:] = 200
    noisy = np.clip(edge.astype(int) + np.random.default_rng(0).integers(0, 8, edge.shape), 0, 255).astype(np.uint8)
    gaussian, bilateral = color.blur_gaussian(noisy, 1.3), color.blur_bilateral(noisy, 1.3)
    flat = np.s_[4:-4, 1:7]
    assert gaussian[flat].std() < noisy[flat].std() and bilateral[flat].std() < noisy[flat].std()
    assert np.abs(bilateral[5:15, 9:11].astype(int) - noisy[5:15, 9:11]).max() < 40
    assert np.abs(gaussian[5:15, 9:11].astype(int) - noisy[5:15, 9:11]).max() > 40


@pytest.mark.parametrize("step", [color.ColorJitter.of_strength(0.25), color.GAUSSIAN_BLUR, color.BILATERAL_BLUR])
def test_steps_change_the_image_only_and_repeat(step: object) -> None:
    label = np.zeros((40, 60), np.uint8)
    before = Sample(RGB.copy(), label, "name", (40, 60), (3, 4))
    first, second = (step(before, random.Random(2)) for _ in range(2))  # type: ignore[operator]
    np.testing.assert_array_equal(first.image, second.image)
    assert first.image.dtype == np.uint8 and (first.image != RGB).any() and first.label is label
    assert (before.image == RGB).all() and (first.name, first.size, first.crop_center) == ("name", (40, 60), (3, 4))
    assert (step(before, random.Random(1)).image != first.image).any()  # type: ignore[operator]


def test_jitter_amounts() -> None:
    bright = color.ColorJitter(brightness=0.25)
    gray = Sample(np.full((2, 2, 3), 100, np.uint8), None, "", (2, 2))
    values = [int(bright(gray, random.Random(i)).image[0, 0, 0]) for i in range(500)]
    assert 75 <= min(values) < 78 and 122 < max(values) <= 125
    assert color.ColorJitter.of_strength(0.8).hue == 0.5
    assert (color.ColorJitter()(gray, random.Random(0)).image == 100).all()


@pytest.mark.parametrize("strip", [1, 1000, 1 << 18])
def test_strips_give_the_bits_of_one_step_after_another(monkeypatch: pytest.MonkeyPatch, strip: int) -> None:
    """On whole images, with OpenCV's own mean and a table of hues."""
    monkeypatch.setattr(color, "_STRIP", strip)
    for seed in range(30):
        rng = random.Random(seed)
        image = np.random.default_rng(seed).integers(0, 256, (rng.randint(1, 50), rng.randint(1, 50), 3), np.uint8)
        sample = Sample(image.copy(), None, "", image.shape[:2])
        found = color.ColorJitter.of_strength(0.4)(sample, random.Random(seed)).image
        rng = random.Random(seed)
        steps = [color.adjust_brightness, whole_contrast, color.adjust_saturation, hue_by_table]
        rng.shuffle(steps)
        expected = image
        for step in steps:
            expected = step(expected, rng.uniform(-0.4, 0.4) if step is hue_by_table else rng.uniform(0.6, 1.4))
        assert np.array_equal(found, expected) and np.array_equal(sample.image, image)


def whole_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    mean = int(cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0] + 0.5)
    levels = np.arange(256, dtype=np.float32)
    return cv2.LUT(image, np.clip(np.rint(mean + (levels - mean) * factor), 0, 255).astype(np.uint8))


def hue_by_table(image: np.ndarray, shift: float) -> np.ndarray:
    levels = np.arange(256)
    turned = np.stack([(levels + round(shift * 256)) % 256, levels, levels], axis=-1).astype(np.uint8)[None]
    hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL), turned)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)
