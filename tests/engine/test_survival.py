"""Memory that runs out at any place of a step, on any rank, ends in the bits of the run that was split by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rank_survival as worker
import torch
from forked import ranks
from runs import finish

from engine.survival import survive_step
from utils.distributed import DistributedContext
from utils.errors import UserError


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Any]:
    opened = worker.run_in(tmp_path / "run", DistributedContext())
    yield opened
    opened.close()


@pytest.mark.parametrize("place", worker.PLACES)
def test_a_step_is_taken_back_and_done_in_parts(run: Any, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In the second batch of a step, so that the first one is done again as well."""
    _, wanted = worker.trained(run, worker.Fault(), split_at=1)
    capsys.readouterr()
    trainer, got = worker.trained(run, worker.Fault(place))
    assert worker.same(wanted, got) and trainer.state.parts == 2
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "out of memory" in line]
    assert "batches of 4 are done in 2 parts" in line and "batch norm sees 2 images at a time" in line


def test_one_rank_of_two_takes_all_along(tmp_path: Path) -> None:
    """Statistics and losses are summed over the ranks, which wait for each other at every place."""
    finish(*ranks(worker.main, [str(tmp_path)]))
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["all"] and len(found) == 2 * len(worker.PLACES) + 7, found
    assert "rank 1: RuntimeError: DefaultCPUAllocator" in (tmp_path / "train.log").read_text()


def test_parts_become_smaller_until_they_cannot(run: Any) -> None:
    trainer, _ = worker.trained(run, worker.Fault("loss", left=2))
    assert trainer.state.parts == 4
    with pytest.raises(UserError, match=r"out of memory with 1 image at once .* lower --crop_size"):
        worker.trained(run, worker.Fault("loss", left=3))


def test_parts_are_remembered_by_a_checkpoint(run: Any) -> None:
    trainer, _ = worker.trained(run, worker.Fault("loss"))
    packed = trainer.state.pack(run.ranks, {})
    fresh = worker.trainer_of(run, worker.Fault()).state
    assert "batches are done in 2 parts" in fresh.unpack(packed, run.ranks) and fresh.parts == 2
    del packed["parts"]  # as older ones
    assert fresh.unpack(packed, run.ranks) == "" and fresh.parts == 1


def test_other_errors_end_the_run(run: Any) -> None:
    def work(*_: object) -> torch.Tensor:
        raise RuntimeError("no memory of that")

    with pytest.raises(RuntimeError, match="no memory of that"):
        worker.trainer_of(run, worker.Fault()).open_step.add(run, work, worker.batch(0, 0), 1, last=True)


class Failing(torch.optim.SGD):
    """Runs out of memory once: before anything, or behind the first weight."""

    fails_at = -1

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        for number, p in enumerate(self.param_groups[0]["params"]):
            if number == self.fails_at:
                self.fails_at = -1
                raise torch.OutOfMemoryError("CUDA out of memory.")
            slot = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
            p.sub_(slot.mul_(0.9).add_(p.grad))


@pytest.mark.parametrize(("step", "fails_at"), [(0, 0), (0, 1), (1, 0)])
def test_a_step_of_the_optimizer_is_tried_again(step: int, fails_at: int) -> None:
    ends = []
    for fault in (-1, fails_at):
        weights = [torch.ones(2), torch.ones(3)]
        optimizer = Failing(weights, 0.1)
        survive_step(optimizer)
        for number in range(2):
            for p in weights:
                p.grad = torch.full_like(p, 0.5)
            optimizer.fails_at = fault if number == step else -1
            optimizer.step()
        ends.append(torch.cat(weights))
    assert torch.equal(*ends) and ends[0][0] < 0.1


def test_half_of_a_later_step_is_said() -> None:
    weights = [torch.ones(2), torch.ones(3)]
    optimizer = Failing(weights, 0.1)
    survive_step(optimizer)
    for p in weights:
        p.grad = torch.ones_like(p)
    optimizer.step()
    optimizer.fails_at = 1
    with pytest.raises(UserError, match="--resume auto goes on from the last checkpoint"):
        optimizer.step()
