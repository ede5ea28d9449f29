"""A checkpoint's copy in memory: the same bytes in a file, whatever becomes of the tensors meanwhile."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import nn

from engine import hostcopy
from engine.hostcopy import HostCopy


def trained(seed: int = 0) -> tuple[nn.Module, dict[str, Any]]:
    """A network whose weights lie in all ways, and its state as a checkpoint has it."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1).bfloat16())
    net.to(memory_format=torch.channels_last)
    net.register_buffer("part", torch.arange(12.0).view(3, 4).t()[1:, ::2])
    net.register_buffer("empty", torch.zeros(0, 3))
    net.tied = net[0]
    optimizer = torch.optim.AdamW(net.parameters())
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    rest = {"rng": [{"torch": torch.get_rng_state()}], "ema": None, "names": ["a"], "size": (1, 2.5)}
    return net, {"net": net.state_dict(), "optimizer": optimizer.state_dict(), **rest}


def file_of(state: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def change(net: nn.Module) -> None:
    with torch.no_grad():
        for tensor in net.state_dict().values():
            tensor.fill_(7)


def test_a_copy_is_written_as_its_original_was() -> None:
    copy = HostCopy()
    for seed in (0, 1):
        net, state = trained(seed)
        wanted = file_of(state)
        copied, wait = copy.take(state)
        change(net)
        wait()
        assert file_of(copied) == wanted != file_of(state)


def test_one_room_for_all_of_them() -> None:
    copy, (_, state) = HostCopy(), trained()
    size = copy.lacks(state)
    assert size >= sum(x.untyped_storage().nbytes() for x in {id(x): x for x in hostcopy._tensors(state)}.values()) // 2
    copied, _ = copy.take(state)
    assert copy.lacks(state) == 0
    again, _ = copy.take(state)
    assert again["net"]["1.weight"].data_ptr() == copied["net"]["1.weight"].data_ptr()
    assert copy.lacks({**state, "more": torch.zeros(9)}) == size + 64


@pytest.mark.parametrize(("size", "room"), [(0, 0), (1, 1), (5, 8), (8, 8), ((1 << 30) + 1, 1 << 31)])
def test_page_locked_memory_comes_in_powers_of_two(size: int, room: int) -> None:
    assert hostcopy.room_for(size, cuda=True) == room and hostcopy.room_for(size, cuda=False) == size
