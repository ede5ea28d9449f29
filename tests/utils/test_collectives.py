"""What is counted, left out, sent in place of a loss. Several ranks: tests/engine/test_survival.py, test_finite.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from utils.collectives import catching_up, counted


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collective calls that send nothing, by what reaches them; a value below 0 has no memory."""
    found: list[Any] = []

    def fake(name: str) -> Callable[..., str]:
        def call(out: Any, *args: Any, **kwargs: Any) -> str:  # noqa: ARG001
            value = args[0] if args else out
            if float(value.sum()) < 0:
                raise MemoryError
            found.append((name, value.clone()))
            return "work"

        return call

    for name in ("all_reduce", "all_gather", "all_gather_into_tensor", "all_gather_single"):
        monkeypatch.setattr(dist, name, fake(name), raising=False)
    return found


def step(last: float = 1.0) -> list[Tensor]:
    """Send what a step sends: statistics are gathered, a vector, a count and a loss added; gives what has come."""
    places = [torch.zeros(2), torch.zeros(2)]
    flat, pairs = torch.zeros(1, 4), torch.zeros(2, 2)
    values = [torch.ones(2), torch.tensor(3), torch.tensor(0.5), torch.full((2,), last)]
    dist.all_gather(places, torch.tensor([1.0, 2.0]))
    dist.all_gather_into_tensor(flat, torch.tensor([3.0, 4.0]))
    dist.all_gather_single(pairs, torch.tensor([5.0, 6.0]))
    for value in values:
        dist.all_reduce(value, async_op=True)
    return [*places, flat, pairs, *values]


def test_what_was_sent_is_left_out_and_the_rest_is_sent(arrived: list[Any]) -> None:
    sent: list[str] = []
    before = dist.all_reduce
    with pytest.raises(MemoryError), counted(sent):
        step(last=-1.0)
    assert sent == ["all_gather", "all_gather_into_tensor", "all_gather_single", *["all_reduce"] * 3]
    assert dist.all_reduce is before
    arrived.clear()
    with catching_up(sent):
        found = step()
    assert [name for name, _ in arrived] == ["all_reduce"] and arrived[0][1].tolist() == [1, 1]
    assert [value.tolist() for value in found[:4]] == [[1, 2], [1, 2], [[3, 4, 3, 4]], [[5, 6], [5, 6]]]
    assert dist.all_reduce is before


def test_a_loss_that_is_still_sent_is_none(arrived: list[Any]) -> None:
    """Counts and vectors stay: a kernel of another rank may go by them."""
    with catching_up([]):
        step()
    assert [value.isnan().any().item() for _, value in arrived] == [False] * 5 + [True, False]
