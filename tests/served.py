"""A page with a network of a few numbers: the class of a pixel is its strongest channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from datasets import classes
from inference import Predictor
from serving.networks import Network

NAMES = ("red", "green", "blue")


class Channels(nn.Module):
    """Takes the strongest channel for the class; with attention (N, 1, h, w): how red it is."""

    def forward(self, image: Tensor, size: Any = None, keep: Any = None) -> dict[str, Tensor]:
        return {"pred": 9 * image, "attn_05x": image[:, :1, ::2, ::2].sigmoid()}


def network(path: str = "logs/tiny/best_checkpoint_ep3.pth") -> Network:
    """The network, ready; the ids of its classes are 7, 8, 9."""
    spec = classes.spec_of("channels", list(NAMES), [7, 8, 9])
    predictor = Predictor(Channels(), spec=spec)
    return Network(predictor, spec, "tiny.Channels", Path(path), "cpu", ("attn_05x", "attn_10x"), "")


def colored(kinds: np.ndarray) -> np.ndarray:
    """(H, W) classes -> a picture (H, W, 3) in which they are seen."""
    return np.eye(3, dtype=np.uint8)[kinds] * 200
