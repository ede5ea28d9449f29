"""The batch of each process where a run goes on with another number of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import config
from engine import checkpoint, elastic
from engine.session import Start
from utils.distributed import DistributedContext
from utils.errors import UserError

WORDS = ["--arch", "basic.HRNet", "--bs_trn", "2"]


def batch(
    folder: Path, world: int, words: list[str] = WORDS, resumes: bool = True, was: int = 2, **content: Any
) -> int:
    """--bs_trn of a run on so many processes that goes on from one of two with two images each."""
    cfg, path = config.load(words), folder / "last_checkpoint_ep0.pth"
    facts = {"world": was, "config": {"TRAIN.BATCH_SIZE": 2}, "net": {"x": torch.zeros(1)}}
    checkpoint.save(facts | content, path)
    found = elastic.followed(words, cfg, DistributedContext(world=world), Start(path, resumes))
    return config.load(found).TRAIN.BATCH_SIZE


@pytest.mark.parametrize(("world", "expected"), [(1, 4), (2, 2), (4, 1)])
def test_a_step_keeps_its_images(tmp_path: Path, world: int, expected: int) -> None:
    assert batch(tmp_path, world) == expected


def test_the_same_command_means_the_same_after_any_number_of_starts(tmp_path: Path) -> None:
    """Behind a start on one process, whose batch was 4 though the command asks for 2."""
    once = {"was": 1, "config": {"TRAIN.BATCH_SIZE": 4}, "bs_trn": 2}
    assert [batch(tmp_path, world, **once) for world in (1, 2, 4)] == [4, 2, 1]


def test_another_batch_is_somebody_s_wish(tmp_path: Path) -> None:
    assert batch(tmp_path, 1, [*WORDS, "--bs_trn", "3"]) == 3
    assert batch(tmp_path, 1, resumes=False) == 2
    assert batch(tmp_path, 1, [*WORDS, "--eval", "val", "--snapshot", "x.pth"]) == 2


def test_processes_that_cannot_share_a_step(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        batch(tmp_path, 3)
    assert "batches of 4 images (2 processes with 2 each), which 3 processes cannot share" in str(caught.value)
    assert str(caught.value).endswith("start 1, 2 or 4 of them")


@pytest.mark.parametrize(
    ("world", "size", "flags", "expected"),
    [
        (2, 2, "", ""),
        (
            1,
            4,
            "--syncbn",
            "1 process with --bs_trn 4 in place of 2 processes with 2: a step keeps its images and their",
        ),
        (1, 4, "", "and their order; batch norm without --syncbn sees 4 at a time in place of 2; dropout is drawn by"),
        (1, 3, "--syncbn", "batches of 3 images in place of 4; dropout"),
    ],
)
def test_what_is_said(world: int, size: int, flags: str, expected: str) -> None:
    options = config.flat(config.load([*WORDS, "--bs_trn", str(size), *flags.split()]))
    net = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.1))
    said = elastic.remark({"world": 2}, {"TRAIN.BATCH_SIZE": 2}, options, world, net)
    assert expected in said and bool(said) == bool(expected) and said.count("\n") == bool(said)


@pytest.mark.parametrize(("parts", "size", "expected"), [(1, 4, 1), (2, 4, 4), (2, 1, 1), (3, 1, 2)])
def test_as_many_images_at_once_as_before(parts: int, size: int, expected: int) -> None:
    options = {"TRAIN.BATCH_SIZE": size}
    assert elastic.parts({"parts": parts}, {"TRAIN.BATCH_SIZE": 2}, options) == expected
