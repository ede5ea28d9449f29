"""A network of a few numbers, and a page that has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from served import colored, network

from serving import networks
from serving.app import Served, create
from serving.guard import Guard
from serving.networks import Networks


@pytest.fixture
def picture() -> np.ndarray:
    """(20, 30, 3): red, green and blue columns of ten pixels each."""
    return colored(np.arange(30) // 10)[None].repeat(20, 0)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Served]:
    """`served(root=...)`: what is served, with the network above for every checkpoint; `lines` has what is said."""
    torch.set_num_threads(1)
    monkeypatch.setattr(networks, "load", lambda checkpoint, argv, say: network(checkpoint))

    def make(**more: Any) -> Served:
        lines: list[str] = []
        found = Served(Networks((), lines.append), Guard("127.0.0.1"), say=lines.append, **more)
        found.lines = lines  # type: ignore[attr-defined]
        return found

    return make


@pytest.fixture
def client(served: Callable[..., Served]) -> Any:
    """A client of a page with one checkpoint."""
    return create(served(checkpoint="tiny.pth", most_bytes=100_000, most_pixels=10_000)).test_client()
