"""Published pairs of files, an encoder's and a decoder's, with the weights that their names give."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from golden.fill import fill
from shared import GOLDEN
from torch import Tensor

CSAIL = GOLDEN / "csail"
# The smallest of the published networks: encoder, decoder, and the manifests of both.
SMALL = ("mobilenetv2dilated", "c1_deepsup", "encoder_mobilenetv2dilated", "decoder_c1_deepsup_fc320")


def manifest(name: str) -> dict[str, list[int]]:
    """{entry: shape} of a published file, in its order, with the buffers of its batch norms."""
    return json.loads((CSAIL / f"{name}.json").read_text())


def state(name: str) -> dict[str, Tensor]:
    """Such a file's content."""
    return {key: torch.from_numpy(np.asarray(fill(key, shape))) for key, shape in manifest(name).items()}


def write(folder: Path, encoder: str = SMALL[2], decoder: str = SMALL[3], epoch: int = 20) -> Path:
    """`folder` with the two files of two manifests."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state(encoder), folder / f"encoder_epoch_{epoch}.pth")
    torch.save(state(decoder), folder / f"decoder_epoch_{epoch}.pth")
    return folder
