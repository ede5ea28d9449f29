"""Ranks, and batch norm over two gloo processes against plain batch norm on the joint batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import forked
import pytest
import torch
from runs import finish
from torch import Tensor, nn

from utils import distributed
from utils.distributed import DistributedContext, SyncBatchNorm, sync_batchnorm

SIZES = 3, 1  # images of each rank


def make_net(momentum: float | None = 0.1) -> nn.Sequential:
    torch.manual_seed(1)
    bn = nn.BatchNorm2d(4, momentum=momentum)
    nn.init.normal_(bn.weight)
    nn.init.normal_(bn.bias)
    assert bn.running_mean is not None
    bn.running_mean.normal_()
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(bn, nn.ReLU())).double()


def make_data() -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    # The mean lies far from 0 and from the running mean, where E[x^2] - E[x]^2 would cancel.
    return 5 * torch.randn(4, 3, 7, 6).double() + 50, torch.randn(4, 4, 5, 4).double()


def step(net: nn.Module, image: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Two passes with gradients; everything that has to agree."""
    image = image.clone().requires_grad_()
    out = net(image)
    out = net(image)
    (out * weight).sum().backward()
    assert image.grad is not None
    found = {"out": out.detach(), "image": image.grad}
    found |= {f"grad.{k}": p.grad for k, p in net.named_parameters() if p.grad is not None}
    found |= {f"state.{k}": v.clone() for k, v in net.state_dict().items()}
    return found | {"eval": net.eval()(image.detach()).detach()}


def worker(words: list[str]) -> int:
    """What one of two processes finds goes into the folder words[0]."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(1)
    ranks = distributed.init()
    rank = ranks.rank
    part = slice(0, SIZES[0]) if rank == 0 else slice(SIZES[0], None)
    image, weight = make_data()
    found: dict[str, object] = {}
    for name, momentum in (("usual", 0.1), ("cumulative", None)):
        net = sync_batchnorm(make_net(momentum), ranks)
        found[name] = step(net, image[part], weight[part])
    net = sync_batchnorm(nn.Sequential(nn.BatchNorm2d(3)), ranks)
    found["half"] = net(image[part].bfloat16())
    value = torch.tensor([1.0 + rank], requires_grad=True)
    found["ranks"] = {
        "rank": ranks.rank,
        "world": ranks.world,
        "main": ranks.is_main,
        "sum": ranks.sum(value),
        "value": value.detach(),
        "any": [ranks.any(False), ranks.any(rank == 1)],
        "gather": ranks.gather({"rank": rank}),
    }
    ranks.barrier()
    torch.save(found, Path(words[0]) / f"{rank}.pt")
    distributed.close()
    return 0


@pytest.fixture(scope="module")
def both(once: Callable[..., Path]) -> list[dict]:
    """What each of the two processes found."""
    folder = once("ranks", lambda folder: finish(*forked.ranks(worker, [str(folder)])))
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize(("name", "momentum"), [("usual", 0.1), ("cumulative", None)])
def test_batch_norm_equals_one_process(both: list[dict], name: str, momentum: float | None) -> None:
    image, weight = make_data()
    expected = step(make_net(momentum), image, weight)
    first, second = (rank[name] for rank in both)
    for key in ("out", "image", "eval"):
        torch.testing.assert_close(torch.cat([first[key], second[key]]), expected[key], rtol=1e-9, atol=1e-9)
    for key in [k for k in expected if k.startswith("grad.")]:
        torch.testing.assert_close(first[key] + second[key], expected[key], rtol=1e-8, atol=1e-8)
    for key in [k for k in expected if k.startswith("state.")]:
        torch.testing.assert_close(first[key], expected[key], rtol=1e-12, atol=1e-12)
        assert torch.equal(first[key], second[key])
    assert list(first) == list(expected)


def test_batch_norm_keeps_half_types(both: list[dict]) -> None:
    image, _ = make_data()
    expected = nn.BatchNorm2d(3)(image.bfloat16().float())
    found = torch.cat([rank["half"] for rank in both])
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=1e-2, atol=1e-2)


def test_ranks_of_two(both: list[dict]) -> None:
    first, second = (rank["ranks"] for rank in both)
    assert (first["rank"], second["rank"], first["world"]) == (0, 1, 2)
    assert first["main"] and not second["main"]
    assert first["sum"].item() == second["sum"].item() == 3.0 and not first["sum"].requires_grad
    assert (first["value"].item(), second["value"].item()) == (1.0, 2.0)  # the argument is left alone
    assert first["any"] == second["any"] == [False, True]
    assert first["gather"] == second["gather"] == [{"rank": 0}, {"rank": 1}]


def test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    ranks = distributed.init()
    assert (ranks.rank, ranks.world, ranks.is_main) == (0, 1, True)
    value = torch.ones(2)
    assert ranks.sum(value) is value and ranks.gather("x") == ["x"] and not ranks.any(False)
    ranks.barrier()
    distributed.close()


def test_srun_without_a_master_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interactive `srun` shell sets the task variables, but nobody listens."""
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "2")
    ranks = distributed.init()
    assert (ranks.rank, ranks.world) == (0, 1)


def test_conversion_keeps_the_state() -> None:
    net = make_net()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    weights = [id(p) for p in net.parameters()]
    assert sync_batchnorm(net, DistributedContext()) is net and type(net[1][0]) is nn.BatchNorm2d
    net.eval()
    converted = sync_batchnorm(net, DistributedContext(0, 2))
    assert type(converted[1][0]) is SyncBatchNorm and not converted[1][0].training
    assert list(converted.state_dict()) == list(before)
    assert all(torch.equal(v, before[k]) for k, v in converted.state_dict().items())
    assert [id(p) for p in converted.parameters()] == weights
