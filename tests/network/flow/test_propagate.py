"""Moving an image and its label on: once by the flows put together, or as published step by step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from network.flow.propagate import Moved, advance
from network.flow.warp import consistent, warp

IGNORE = 200


def shift(dx: float, dy: float) -> Tensor:
    return torch.tensor([dx, dy], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, 12, 16).clone()


@pytest.fixture
def start() -> Moved:
    torch.manual_seed(0)
    return Moved.start(torch.rand(1, 3, 12, 16) * 255, torch.randint(0, 19, (1, 1, 12, 16), dtype=torch.uint8))


def test_half_steps_add_up(start: Moved) -> None:
    """Three steps of 2/3 of a pixel are 2 pixels: exact where flows are put together, not where each is rounded."""
    together = stepwise = start
    for _ in range(3):
        together = advance(start, together, shift(2 / 3, 0), IGNORE)
        stepwise = advance(start, stepwise, shift(2 / 3, 0), IGNORE, again=True)
    assert torch.equal(together.label[..., :-2], start.label[..., 2:])
    torch.testing.assert_close(together.image[..., :-2], start.image[..., 2:], rtol=0, atol=1e-3)
    assert torch.equal(stepwise.label[..., :-3], start.label[..., 3:])  # each step rounds to one pixel
    torch.testing.assert_close(stepwise.flow, shift(2, 0))


def test_published_steps(start: Moved) -> None:
    """The first moves the image bilinearly, later ones move the last image to the nearest pixel."""
    one, two = shift(0.3, -1.2), shift(1.4, 0.6)
    first = advance(start, start, one, IGNORE, again=True)
    second = advance(start, first, two, IGNORE, again=True)
    assert torch.equal(first.image, warp(start.image, one))
    assert torch.equal(second.image, warp(first.image, two, "nearest"))
    assert torch.equal(second.label, warp(warp(start.label, one, "nearest"), two, "nearest"))


@pytest.mark.parametrize("again", [False, True])
def test_trust_is_lost_for_good(start: Moved, again: bool) -> None:
    wrong = shift(-1, 0)
    wrong[:, :, 4:6, 4:6] = 7.0
    first = advance(start, start, shift(1, 0), IGNORE, wrong, drop=True, again=again)
    assert torch.equal(first.trusted, consistent(shift(1, 0), wrong)) and 0.5 < first.trusted.float().mean() < 1
    assert torch.equal(first.label == IGNORE, ~first.trusted[:, None])
    second = advance(start, first, shift(0, 1), IGNORE, shift(0, -1), drop=True, again=again)
    assert torch.equal(second.trusted[:, :-1], first.trusted[:, 1:]) and not second.trusted[:, -1].any()
    assert torch.equal(second.label == IGNORE, ~second.trusted[:, None])
    kept = advance(start, start, shift(1, 0), IGNORE, wrong, again=again)
    assert torch.equal(kept.trusted, first.trusted) and not (kept.label == IGNORE).any()


def test_unknown_flow_is_never_labeled(start: Moved) -> None:
    flow = shift(0, 0)
    flow[:, 0, 3, 5] = float("nan")
    moved = advance(start, start, flow, IGNORE)
    assert (moved.label == IGNORE).nonzero().tolist() == [[0, 0, 3, 5]] and not moved.trusted[0, 3, 5]
    assert moved.image.isfinite().all()
