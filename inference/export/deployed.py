"""What is exported: a network with the preparation of its input and the last step of its output.

N batch, K classes, H x W image.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from inference.passes import evaluating
from inference.rule import EvalRule, normalize
from network.weights import finite
from runtime.facts import LARGEST, SMALLEST
from utils.errors import UserError
from utils.normalization import Normalization

MOST_IMAGES = 1024


class Deployed(nn.Module):
    """Image -> class map (N, H, W) int32, or probabilities or logits (N, K, H, W) float32.

    The image is normalized float (N, 3, H, W); with `raw` it is uint8 RGB (N, H, W, 3), normalized by the rule. `half`:
    the network computes in float16, from its input to its scores; what is normalized, and a softmax, stays float32.
    """

    def __init__(
        self, net: nn.Module, rule: EvalRule, output: str = "argmax", raw: bool = False, half: bool = False
    ) -> None:
        super().__init__()
        self.net, self.output, self.raw, self.half_precision = net, output, raw, half
        self.normalize = Normalization(rule.mean, rule.std, torch.device("cpu"))

    def forward(self, image: Tensor) -> Tensor:
        """Predict (N, 3, H, W) or raw (N, H, W, 3) -> classes (N, H, W) int32, or scores (N, K, H, W)."""
        if self.raw:
            image = self.normalize(image.permute(0, 3, 1, 2))
        if self.half_precision:
            image = image.half()
        scores = self.net(image, keep=("pred",))["pred"].float()
        if self.output == "argmax":
            return scores.argmax(1).to(torch.int32)
        return scores.softmax(1) if self.output == "softmax" else scores

    def halved(self, rule: EvalRule) -> Deployed:
        """Copy it with the network's weights and computation in float16."""
        return Deployed(copy.deepcopy(self.net).half(), rule, self.output, self.raw, half=True)

    def example(self, size: Sequence[int], count: int = 2, seed: int = 0) -> Tensor:
        """Draw random input of `count` images of `size` (H, W)."""
        shape = (count, *size, 3) if self.raw else (count, 3, *size)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return (noise * 60 + 128).clamp(0, 255).to(torch.uint8) if self.raw else noise

    def dims(self, fixed: bool) -> dict[int, Any]:
        """Tell what may differ from the example: the number of images, and the size unless it is `fixed`."""
        sides = {} if fixed else {name: Dim(name, min=SMALLEST, max=LARGEST) for name in ("height", "width")}
        first = 1 if self.raw else 2
        return {0: Dim("images", max=MOST_IMAGES), **{first + i: dim for i, dim in enumerate(sides.values())}}

    def input(self, image: np.ndarray, rule: EvalRule) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> what the file takes of it: (1, H, W, 3) uint8, or (1, 3, H, W) float32."""
        tensor = torch.from_numpy(np.ascontiguousarray(image))[None]
        return (tensor if self.raw else normalize(tensor.permute(0, 3, 1, 2), rule)).numpy()


def check_scores(module: Deployed, rule: EvalRule, size: Sequence[int]) -> None:
    """Raise UserError where the network's scores on the example are not finite: no comparison would show it."""
    example = Deployed(module.net, rule).example(size, 1)
    with evaluating(module, rule), torch.inference_mode():
        again = partial(module.net, example, keep=("pred",))
        line = finite.complaint(again()["pred"], module.net, again, half=False)
    if line:
        raise UserError(line)
