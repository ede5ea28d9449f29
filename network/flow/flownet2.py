"""FlowNet2: optical flow by a stack of networks (Ilg et al. 2017, "FlowNet 2.0", arXiv:1612.01925, figure 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from network.flow.flownets import FlowNetC, FlowNetFusion, FlowNetS, FlowNetSD, initialize
from network.flow.padding import padded
from network.flow.warp import warp
from network.weights import LoadReport, read_file, take
from network.weights.formats import below
from utils.errors import UserError

STRIDE = 64
INSIDE = "flownet2."  # in front of its weights' names in a file of SDCNet
SCALE = 20.0  # the parts but the last give twentieths of a pixel


def length(x: Tensor) -> Tensor:
    """Euclidean length over the channels: (N, C, H, W) -> (N, 1, H, W)."""
    return x.square().sum(1, keepdim=True).sqrt()


def enlarged(flow: Tensor, mode: str) -> Tensor:
    """Four times the size: (N, 2, H, W) -> (N, 2, 4H, 4W)."""
    if mode == "nearest":
        return F.interpolate(flow, scale_factor=4, mode=mode)
    return F.interpolate(flow, scale_factor=4, mode=mode, align_corners=False)


class FlowNet2(nn.Module):
    """Where each pixel of `first` lies in `second`: 2 x (N, 3, H, W), 0 to 255 -> (N, 2, H, W) in pixels.

    Any size: sides that are no multiples of 64 are padded by their border inside, and the flow is cut to size.
    `width` below 1 makes a narrower network, for which there are no published weights.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.flownetc = FlowNetC(width)
        self.flownets_1, self.flownets_2 = FlowNetS(12, width), FlowNetS(12, width)
        self.flownets_d = FlowNetSD(width)
        self.flownetfusion = FlowNetFusion(width)
        initialize(self)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        height, width = first.shape[-2:]
        mean = (first.mean((2, 3), keepdim=True) + second.mean((2, 3), keepdim=True)) / 2  # (N, 3, 1, 1)
        first, second = (padded((x - mean) / 255, STRIDE) for x in (first, second))
        flow = enlarged(self.flownetc(first, second) * SCALE, "bilinear")
        flow = enlarged(self.flownets_1(self._evidence(first, second, flow)) * SCALE, "bilinear")
        large = enlarged(self.flownets_2(self._evidence(first, second, flow)) * SCALE, "nearest")
        small = enlarged(self.flownets_d(torch.cat((first, second), 1)) / SCALE, "nearest")
        errors = [length(first - warp(second, flow)) for flow in (small, large)]
        flow = self.flownetfusion(torch.cat((first, small, large, length(small), length(large), *errors), 1))
        return flow[..., :height, :width]

    @staticmethod
    def _evidence(first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
        """What the next network sees: images, the second one warped, the flow, the error it leaves: (N, 12, H, W)."""
        warped = warp(second, flow)
        return torch.cat((first, second, warped, flow / SCALE, length(first - warped)), 1)


def load(net: FlowNet2, path: str) -> LoadReport:
    """Weights of a file, the published one ({"state_dict": ...}), a bare state dict, or SDCNet's with FlowNet2 in it.

    Raises UserError, and leaves the network as it is, if less than a tenth of the file's weights fits.
    """
    weights = read_file(path)
    return take(
        net, replace(weights, state=below(weights.state, INSIDE) or weights.state), path, "give a file of FlowNet2"
    )


def source(weights: str, device: torch.device | str = "cpu") -> Callable[[Tensor, Tensor], Tensor]:
    """FlowNet2 with the weights of a file, as a source of flow: target and source image -> flow of the target.

    Raises UserError for no file, and for one that does not hold all of the weights.
    """
    if not weights:
        raise UserError("FlowNet2 needs a file of weights: give its path")
    net = FlowNet2()
    load(net, weights).require_complete("FlowNet2", "give a whole file of FlowNet2")
    net.requires_grad_(False).eval().to(device)

    @torch.no_grad()
    def flow(target: Tensor, source: Tensor) -> Tensor:
        return net(target.to(device), source.to(device))

    return flow
