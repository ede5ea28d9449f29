"""Bounds of numbers: `least` and `most` belong to what is allowed, `above` and `below` do not."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import config
from options.option import Option

KINDS = ("least", "most", "above", "below")
BOUNDED = [o for o in config.OPTIONS.values() if any(getattr(o, kind) is not None for kind in KINDS)]


# Numbers of any size, and those that are judged beside others.
UNBOUNDED = {
    *("DATASET.MEAN", "TRAIN.LOCAL_RANK", "TRAIN.GLOBAL_RANK"),  # any mean; what a launcher counts
    *("DATASET.NUM_CLASSES", "DATASET.IGNORE_LABEL", "EVAL.SPLIT_INDEX"),  # options.checks
}
STAGE = "MODEL.OCR_EXTRA."  # modules and blocks together: network.settings


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def test_every_number_has_a_bound() -> None:
    """A row that loses its bound lets a zero through to a division, or a negative one to a layer's width."""
    numbers = {
        option.key
        for option in config.OPTIONS.values()
        if is_number(option.default) or (isinstance(option.default, tuple) and any(map(is_number, option.default)))
    }
    free = numbers - {option.key for option in BOUNDED}
    assert {key for key in free if not key.startswith(STAGE)} == UNBOUNDED


def refused(option: Option, number: float) -> bool:
    """Whether such a number, or one of several, is none that the option takes."""
    several = isinstance(option.default, tuple)
    return bool(option.problem((number,) * max(1, len(option.default)) if several else number))


def test_there_are_bounds_of_each_kind() -> None:
    for kind in KINDS:
        assert any(getattr(option, kind) is not None for option in BOUNDED), kind


@pytest.mark.parametrize("option", BOUNDED, ids=lambda option: option.key)
def test_a_bound_is_where_it_is_said_to_be(option: Option) -> None:
    for inside, outward in ((option.least, -math.inf), (option.most, math.inf)):
        if inside is not None:
            assert not refused(option, inside) and refused(option, math.nextafter(inside, outward))
    for outside, inward in ((option.above, math.inf), (option.below, -math.inf)):
        if outside is not None:
            assert refused(option, outside) and not refused(option, math.nextafter(outside, inward))


def test_two_files_of_a_checkpoint_are_a_list_in_yaml(tmp_path: Path) -> None:
    (tmp_path / "pair.yaml").write_text("SNAPSHOT: [encoder.pth, decoder.pth]\n")
    cfg = config.load(["--cfg", str(tmp_path / "pair.yaml"), "--arch", "encoder_decoder", "--dataset", "ade20k"])
    assert cfg.SNAPSHOT == "encoder.pth,decoder.pth"
