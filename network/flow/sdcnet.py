"""SDCNet: the next frame of a video by a predicted flow (Reda et al. 2018, "SDC-Net", arXiv:1811.00684, without the
kernels of its sampling; reconstruction as in Zhu et al. 2019, arXiv:1812.01593, section 3.1).

Frames are BGR, 0 to 255, as the published networks have them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from network.flow.flownet2 import INSIDE, FlowNet2
from network.flow.flownets import conv_act, initialize, up_act
from network.flow.padding import padded
from network.flow.warp import warp
from network.layers import conv, scaled
from network.weights import LoadReport, Weights, read_file, take
from utils.errors import UserError

STRIDE = 64
GRAIN = 128  # widths are multiples of 1/128: the deepest layer of 512 channels, in steps of 4, tells which
# Means and deviations of flow (dx, dy) and mean of images (B, G, R) over the published training frames.
FLOW_MEAN, FLOW_STD = (-0.94427323, -1.23077035), (13.77204132, 7.47463894)
RGB_MEAN = (106.7747911, 96.13649598, 76.61428884)
# Where each pixel of the first image lies in the second: 2 x (N, 3, H, W) -> (N, 2, H, W).
Flow = Callable[[Tensor, Tensor], Tensor]
# The frame before, the source and the target -> backward flow of the target.
Prediction = Callable[[Tensor, Tensor, Tensor], Tensor]


class Predicted(NamedTuple):
    """The frame that was predicted (N, 3, H, W), the flow (N, 2, H, W) by which, and a label moved along with it."""

    image: Tensor
    flow: Tensor
    label: Tensor | None


class SDCNet2D(nn.Module):
    """Predicts the frame after `sequence_length` ones by moving the last of them.

    `flow` gives the flows between the frames; a FlowNet2 becomes part of the network (its weights are called
    `flownet2.`) and is not trained. With None, flows are handed in. `width` multiplies the channels; it is rounded to
    1/128, so that weights tell it.
    """

    moved = -1  # which of its frames is moved
    extra = 0  # frames that it is given beyond `sequence_length`

    flow_mean: Tensor
    flow_std: Tensor

    def __init__(self, flow: Flow | None = None, sequence_length: int = 2, width: float = 1.0) -> None:
        super().__init__()
        self.inputs = sequence_length + self.extra
        if self.inputs < 2:
            raise ValueError(f"sequence_length {sequence_length}: there is no flow without two frames")
        for name, values in (("flow_mean", FLOW_MEAN), ("flow_std", FLOW_STD), ("rgb_mean", RGB_MEAN)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1))
        self.sequence_length, self.width = sequence_length, max(1, round(GRAIN * width)) / GRAIN
        self._add_layers(3 * self.inputs + 2 * (self.inputs - 1), self.width)
        initialize(self)
        nn.init.zeros_(self.final_flow.weight)  # training begins with the mean flow everywhere
        self.flownet2 = flow.requires_grad_(False).eval() if isinstance(flow, FlowNet2) else None
        self._source = None if isinstance(flow, FlowNet2) else flow

    def _add_layers(self, inputs: int, width: float) -> None:
        c32, c64, c128, c256, c512, c16, c8 = (scaled(count, width) for count in (32, 64, 128, 256, 512, 16, 8))
        self.conv1, self.conv2 = conv_act(inputs, c32, 7, 2), conv_act(c32, c64, 5, 2)
        self.conv3, self.conv3_1 = conv_act(c64, c128, 5, 2), conv_act(c128, c128)
        self.conv4, self.conv4_1 = conv_act(c128, c256, stride=2), conv_act(c256, c256)
        self.conv5, self.conv5_1 = conv_act(c256, c256, stride=2), conv_act(c256, c256)
        self.conv6, self.conv6_1 = conv_act(c256, c512, stride=2), conv_act(c512, c512)
        self.deconv5, self.deconv4 = up_act(c512, c256), up_act(2 * c256, c128)
        self.deconv3, self.deconv2 = up_act(c256 + c128, c64), up_act(c128 + c64, c32)
        self.deconv1, self.deconv0 = up_act(c64 + c32, c16), up_act(c32 + c16, c8)
        self.final_flow = conv(inputs + c8, 2, bias=True)

    def train(self, mode: bool = True) -> SDCNet2D:
        """Set the mode of all but FlowNet2, which stays in evaluation mode."""
        super().train(mode)
        if self.flownet2 is not None:
            self.flownet2.eval()
        return self

    def forward(
        self, frames: Sequence[Tensor], label: Tensor | None = None, flows: Sequence[Tensor] | None = None
    ) -> Predicted:
        """Consecutive frames (N, 3, H, W) of any size, a label (N, 1, H, W) of the moved one -> what is predicted.

        `flows`: from each frame but the first to the one before; else they are looked for. Sides that are no multiples
        of 64 are padded inside. ValueError for another number of frames or flows.
        """
        flows = self.flows(frames) if flows is None else flows
        if len(frames) != self.inputs or len(flows) != self.inputs - 1:
            raise ValueError(f"{len(frames)} frames and {len(flows)} flows: {self.inputs} and one less are needed")
        flow = self._predict(self._normalized(frames, flows))
        image = warp(frames[self.moved], flow)
        return Predicted(image, flow, None if label is None else warp(label, flow, "nearest"))

    @torch.no_grad()
    def flows(self, frames: Sequence[Tensor]) -> list[Tensor]:
        """Backward flows between neighbors: where each pixel of frame i + 1 lies in frame i.

        FlowNet2 inside sees the frames as they are, BGR, as it did when the published networks were trained; any
        other source sees RGB.
        """
        if self.flownet2 is not None:
            return [self.flownet2(after, before) for before, after in pairwise(frames)]
        if self._source is None:
            raise ValueError("no source of flow was given: hand flows in")
        return [self._source(after, before) for before, after in pairwise([frame.flip(1) for frame in frames])]

    def _normalized(self, frames: Sequence[Tensor], flows: Sequence[Tensor]) -> Tensor:
        """Flows, then images, each with all of a channel side by side: (N, 3 n + 2 (n - 1), H, W)."""
        flow = (torch.stack(list(flows), 2) - self.flow_mean[:, :, None]) / (3 * self.flow_std[:, :, None])
        image = torch.stack(list(frames), 2)  # (N, 3, n, H, W)
        image = (image - image.mean((2, 3, 4), keepdim=True)) / 255
        return torch.cat((flow.flatten(1, 2), image.flatten(1, 2)), 1)

    def _predict(self, x: Tensor) -> Tensor:
        """What `_normalized` gives -> flow in pixels."""
        height, width = x.shape[-2:]
        x0 = padded(x, STRIDE)
        x1 = self.conv1(x0)
        x2 = self.conv2(x1)
        x3 = self.conv3_1(self.conv3(x2))
        x4 = self.conv4_1(self.conv4(x3))
        x5 = self.conv5_1(self.conv5(x4))
        x = self.deconv5(self.conv6_1(self.conv6(x5)))
        for skip, layer in ((x5, self.deconv4), (x4, self.deconv3), (x3, self.deconv2), (x2, self.deconv1)):
            x = layer(torch.cat((skip, x), 1))
        x = self.deconv0(torch.cat((x1, x), 1))
        out = self.final_flow(torch.cat((x0, x), 1))[..., :height, :width]
        return 3 * self.flow_std * out + self.flow_mean


class SDCNet2DRecon(SDCNet2D):
    """Reconstructs the last of `sequence_length` + 1 frames, which it sees, by moving the one before it."""

    moved, extra = -2, 1


MODELS = {"SDCNet2D": SDCNet2D, "SDCNet2DRecon": SDCNet2DRecon}


def load(net: SDCNet2D, path: str) -> LoadReport:
    """Weights of a file, published or of our training; those of FlowNet2 only where it is inside.

    Raises UserError, and leaves the network as it is, for a file of another width, and if less than a tenth fits.
    """
    return _take(net, read_file(path), path)


def _take(net: SDCNet2D, weights: Weights, path: str) -> LoadReport:
    state, hint = weights.state, f"give a file of {type(net).__name__} and of its width"
    second = state.get("conv2.0.weight")
    if second is None or second.shape != net.conv2[0].weight.shape:
        # A layer decides: the three buffers, which fit any width, are a tenth of the entries already.
        raise UserError(f"checkpoint {path} ({weights.source}) does not fit the network; {hint}")
    if net.flownet2 is None:
        state = {name: x for name, x in state.items() if not name.startswith(INSIDE)}
    return take(net, replace(weights, state=state), path, hint)


def from_file(path: str, flow: Flow | None = None) -> SDCNet2D:
    """The network whose weights a file holds, narrow ones too, with `flow` for the flows between frames.

    Which it is follows from the file's record of it; without one, from the number of its inputs: 8 are SDCNet2D of two
    frames, more are SDCNet2DRecon. UserError for what holds no whole SDCNet.
    """
    weights = read_file(path)
    name, length, width = _described(weights)
    if not length:
        raise UserError(f"checkpoint {path} ({weights.source}) holds no SDCNet; give a file of SDCNet")
    net = MODELS[name](flow, length, width)
    _take(net, weights, path).require_complete(name, f"give a whole file of {name}")
    return net


def _described(weights: Weights) -> tuple[str, int, float]:
    """Model, sequence length and width of a file; a length of 0 if it has no SDCNet."""
    first, deepest = (weights.state.get(f"{name}.0.weight") for name in ("conv1", "conv6_1"))
    if first is None or deepest is None or "final_flow.weight" not in weights.state or first.ndim != 4:
        return "", 0, 0
    frames, odd = divmod(first.shape[1] + 2, 5)  # 3 n + 2 (n - 1) inputs
    name = weights.arch if weights.arch in MODELS else "SDCNet2DRecon" if frames > 2 else "SDCNet2D"
    return name, 0 if odd else frames - MODELS[name].extra, len(deepest) / 512


def prediction(weights: str, between: Flow, device: torch.device | str = "cpu") -> Prediction:
    """The flow of SDCNet with the weights of a file, from RGB frames, with `between` (also of RGB) for its inputs.

    Raises UserError for no file, one without SDCNet, and a network that takes another number of frames.
    """
    if not weights:
        raise UserError("SDCNet needs a file of weights: give its path")
    net = from_file(weights, between).requires_grad_(False).eval().to(device)
    if net.inputs not in (2, 3):
        raise UserError(f"checkpoint {weights}: {type(net).__name__} of {net.inputs} frames; give one of 2 or 3")

    @torch.no_grad()
    def flow(first: Tensor, source: Tensor, target: Tensor) -> Tensor:
        frames = (first, source, target) if isinstance(net, SDCNet2DRecon) else (first, source)
        return net([frame.flip(1).to(device) for frame in frames[-net.inputs :]]).flow

    return flow
