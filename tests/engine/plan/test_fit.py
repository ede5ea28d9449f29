"""What fits is chosen, the fastest first, and a step keeps its images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

import config
from engine.plan import estimate, fit, trace
from engine.plan.rules import Choice
from engine.plan.trace import Peak
from utils.errors import UserError

WORDS = ["--dataset", "cityscapes", "--arch", "ocrnet.HRNet_Mscale", "--bs_trn", "4", "--accum", "2"]
CUDA, GIB = torch.device("cuda"), 1 << 30


@pytest.fixture(autouse=True)
def traced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """4 GiB an image, half of it where activations are computed again; a validation of 8 GiB, tiles of 1 GiB."""
    seen: list[tuple[int, bool]] = []

    def training(cfg: Any, *_: object) -> Peak:
        seen.append((cfg.TRAIN.BATCH_SIZE, cfg.MODEL.GRAD_CKPT))
        if cfg.TRAIN.BATCH_SIZE == 1 and cfg.DATASET.CROP_SIZE[0] < 64:
            raise ValueError("Expected more than 1 value per channel when training")
        size = cfg.TRAIN.BATCH_SIZE * (2 if cfg.MODEL.GRAD_CKPT else 4) * GIB
        return Peak(size, "the backward pass", weights=GIB // 4, stays=GIB // 4)

    def validation(cfg: Any, device: object, size: object, limit: int = 0) -> tuple[Peak, str]:
        return Peak(GIB if limit else 8 * GIB, "a pass", weights=GIB // 4), "tiles of 512x512" if limit else ""

    monkeypatch.setattr(trace, "training", training)
    monkeypatch.setattr(trace, "validation", validation)
    monkeypatch.setattr(estimate, "data_of", lambda cfg: estimate.Data(10, 5, (1024, 2048)))
    return seen


def chosen(memory: str, *more: str, device: torch.device = CUDA) -> tuple[dict[str, Any], list[str]]:
    words = [*WORDS, "--max_memory", memory, *more]

    def change(choices: Sequence[Choice]) -> Any:
        return config.load([*words, *(str(word) for choice in choices for word in (choice.key, choice.value))])

    found, lines = fit.choices(config.load(words), device, 1, change)
    return {choice.key: choice.value for choice in found}, lines


def test_what_fits_stays() -> None:
    found, lines = chosen("24GiB")
    assert found == {} and "a step takes 16.00 GiB at its peak" in lines[-1]


def test_activations_are_computed_again_before_batches_get_smaller(traced: list[tuple[int, bool]]) -> None:
    found, lines = chosen("12GiB", "--do_eval", "false")
    assert found == {"MODEL.GRAD_CKPT": True} and traced[-1] == (4, True)
    assert "  4 images at once: 16.00 GiB" in lines


def test_a_step_keeps_its_images_and_a_validation_is_tiled(traced: list[tuple[int, bool]]) -> None:
    found, lines = chosen("6G")
    assert (found["TRAIN.BATCH_SIZE"], found["TRAIN.ACCUM"], found["MODEL.GRAD_CKPT"]) == (2, 4, True)
    assert traced[-1] == (2, True) and 4 < found["EVAL.MEMORY_GB"] < 5
    assert any("it is done in tiles of 512x512" in line for line in lines)


@pytest.mark.parametrize(("memory", "copied"), [("17.7GiB", False), ("17.9GiB", True)])
def test_a_copy_of_a_checkpoint_has_to_fit(memory: str, copied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of 16 GiB with a copy of 0.25: rather than taking a smaller batch, training waits for its checkpoints."""
    monkeypatch.setattr(fit, "beside", lambda device: 0)
    words = ("--do_eval", "false")
    found, lines = chosen(memory, *words, device=torch.device("cpu"))
    assert found == ({} if copied else {"TRAIN.ASYNC_SAVE": False})
    assert copied or any("a copy of a checkpoint, 0.25 GiB, does not fit beside a step" in line for line in lines)
    assert chosen(memory, *words, "--async_save", "false", device=torch.device("cpu"))[0] == {}


def test_what_the_user_does_not_have_is_not_chosen() -> None:
    found, _ = chosen("12GiB", "--do_eval", "false", "--freeze_trunk")
    assert found == {"TRAIN.BATCH_SIZE": 2, "TRAIN.ACCUM": 4}


def test_nothing_fits() -> None:
    with pytest.raises(UserError, match=r"--max_memory 2.00 GiB is too little: .* 1 images at once with --grad_ckpt"):
        chosen("2GiB")
    with pytest.raises(UserError, match="1 images at once: too few for batch norm"):
        chosen("4GiB", "--crop_size", "32", "--class_uniform_tile", "32")


@pytest.mark.parametrize(
    ("text", "count"), [("24GiB", 24 * GIB), ("24g", 24 * GIB), ("512 MB", 512 << 20), ("1.5k", 1536), ("77", 77)]
)
def test_amounts_of_memory(text: str, count: int) -> None:
    assert config.OPTIONS["OPTIONS.MAX_MEMORY"].coerce(text, "--max_memory") == count


@pytest.mark.parametrize("text", ["much", "24 GiB free", "-1GiB"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(UserError, match="--max_memory takes an amount of memory like 24GiB"):
        config.OPTIONS["OPTIONS.MAX_MEMORY"].coerce(text, "--max_memory")


def test_a_plan_needs_a_network_and_is_of_a_training() -> None:
    with pytest.raises(UserError, match="--plan and --max_memory plan a training"):
        config.load([*WORDS, "--plan", "--summary"])
