"""What tests export: a network of three layers, as it is deployed, and targets that are wrong on purpose."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference import RULES
from inference.export import Deployed, Runner, Target, torchfile

RULE = RULES["nvidia"]


class ThreeLayers(nn.Module):
    """Three convolutions at half the size, and back."""

    def __init__(self, classes: int = 19) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
        self.second, self.act = nn.Conv2d(8, 8, 3, padding=1), nn.Hardswish()
        self.last = nn.Conv2d(8, classes, 1)

    def forward(self, image: Tensor, keep: Collection[str] = ()) -> dict[str, Tensor]:
        x = self.act(self.second(F.relu(self.norm(self.first(image)))))
        return {"pred": F.interpolate(self.last(x), size=image.shape[-2:], mode="bilinear")}


def deployed(output: str = "logits", raw: bool = False) -> Deployed:
    """The network of three layers, in evaluation."""
    return Deployed(ThreeLayers(), RULE, output, raw).eval()


def broken(target: Target, operator: object, by: object) -> Target:
    """A target of programs whose runtime computes another operator in place of one."""

    def open_wrong(path: Path, precision: str) -> Runner:
        program = torch.export.load(str(path)).module()
        for node in program.graph.nodes:  # type: ignore[union-attr]
            node.target = by if node.target is operator else node.target
        program.recompile()  # type: ignore[operator]
        return torchfile.runner_of(program)

    return target._replace(open=open_wrong)
