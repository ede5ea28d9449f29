"""A network of a few numbers, and a page that has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from datasets import classes
from inference import Predictor
from serving import networks
from serving.app import Served, create
from serving.guard import Guard
from serving.networks import Network, Networks

NAMES = ("red", "green", "blue")


class Channels(nn.Module):
    """Takes the strongest channel for the class; with attention (N, 1, h, w): how red it is."""

    def forward(self, image: Tensor, size: Any = None, keep: Any = None) -> dict[str, Tensor]:
        return {"pred": 9 * image, "attn_05x": image[:, :1, ::2, ::2].sigmoid()}


def network(path: str = "logs/tiny/best_checkpoint_ep3.pth") -> Network:
    """The network, ready."""
    spec = classes.spec_of("channels", list(NAMES), [7, 8, 9])
    predictor = Predictor(Channels(), spec=spec)
    return Network(predictor, spec, "tiny.Channels", Path(path), "cpu", ("attn_05x", "attn_10x"), "")


@pytest.fixture
def picture() -> np.ndarray:
    """(20, 30, 3): red, green and blue columns of ten pixels each."""
    return (np.eye(3, dtype=np.uint8)[np.arange(30) // 10] * 200)[None].repeat(20, 0)


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
