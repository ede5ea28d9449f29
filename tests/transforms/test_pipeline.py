"""The pipelines that a config makes."""

import random

import numpy as np
import pytest
from yacs.config import CfgNode

import config
import transforms
from datasets.cityscapes import SPEC
from transforms.color import BILATERAL_BLUR, GAUSSIAN_BLUR, Blur, ColorJitter
from transforms.geometry import LabelStride, RandomFlip, RandomScaleCrop
from transforms.randaugment import RandAugment
from utils.contracts import Sample
from utils.errors import UserError


def make_cfg(*argv: str) -> CfgNode:
    return config.load(["--arch", "ocrnet.HRNet", *argv])


@pytest.mark.parametrize(
    ("argv", "kinds"),
    [
        ([], [RandomScaleCrop, RandomFlip, ColorJitter]),
        (["--color_aug", "0"], [RandomScaleCrop, RandomFlip]),
        (["--gblur"], [RandomScaleCrop, RandomFlip, ColorJitter, GAUSSIAN_BLUR]),
        (["--gblur", "--bblur"], [RandomScaleCrop, RandomFlip, ColorJitter, BILATERAL_BLUR]),
        (["--rand_augment", "2,9"], [RandomScaleCrop, RandomFlip, RandAugment, ColorJitter]),
        (["--label_stride", "2"], [RandomScaleCrop, RandomFlip, ColorJitter, LabelStride]),
    ],
)
def test_steps_in_published_order(argv: list[str], kinds: list[type | Blur]) -> None:
    steps = transforms.build_train(make_cfg(*argv), SPEC).steps
    assert [step if isinstance(step, Blur) else type(step) for step in steps] == kinds


def test_crop_takes_every_flag() -> None:
    scales = ["--scale_min", "0.75", "--scale_max", "1.5"]
    cfg = make_cfg("--crop_size", "32,48", "--pre_size", "99", "--translate_aug_fix", *scales)
    crop = transforms.build_train(cfg, SPEC).steps[0]
    assert crop == RandomScaleCrop((32, 48), 0.75, 1.5, 99, True, (124, 116, 104), 255)
    full = transforms.build_train(make_cfg("--full_crop_training"), SPEC).steps[0]
    assert isinstance(full, RandomScaleCrop) and full.size is None


def test_whole_pipeline_repeats_with_its_seed() -> None:
    pipeline = transforms.build_train(make_cfg("--crop_size", "32", "--rand_augment", "2,9", "--gblur"), SPEC)
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    label = np.zeros((40, 60), np.uint8)

    def run(seed: int) -> Sample:
        return pipeline(Sample(image, label, "x", (40, 60), (30, 20)), random.Random(seed))

    np.testing.assert_array_equal(run(1).image, run(1).image)
    assert (run(1).image != run(2).image).any()
    out = run(1)
    assert out.label is not None and set(np.unique(out.label)) <= {0, 255}
    assert out.image.flags["C_CONTIGUOUS"] and out.image.dtype == np.uint8


def test_validation_leaves_images_alone() -> None:
    sample = Sample(np.zeros((5, 7, 3), np.uint8), None, "x", (5, 7))
    assert transforms.build_val(make_cfg(), SPEC)(sample, random.Random(0)) is sample


@pytest.mark.parametrize("text", ["", "a", "1,2,3", "0", "-4"])
def test_bad_crop_size(text: str) -> None:
    with pytest.raises(UserError, match="crop_size"):
        make_cfg(f"--crop_size={text}")


@pytest.mark.parametrize("text", ["2", "a,b", "1,2,3"])
def test_bad_randaugment(text: str) -> None:
    with pytest.raises(UserError, match="rand_augment"):
        make_cfg("--rand_augment", text)
