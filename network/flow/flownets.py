"""The networks that FlowNet2 is made of (Ilg et al. 2017, "FlowNet 2.0", arXiv:1612.01925, and Dosovitskiy et al. 2015,
arXiv:1504.06852). Parts have the published names. Level l is the size 1 / 2^l; a flow is in twentieths of a pixel.

`width` multiplies all channels but those of flows and images.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from network.flow.correlation import Correlation
from network.layers import conv, scaled

SLOPE = 0.1


def conv_act(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution with bias and leaky ReLU: (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride))."""
    return nn.Sequential(conv(inputs, outputs, kernel, stride, bias=True), nn.LeakyReLU(SLOPE, inplace=True))


def up(inputs: int, outputs: int, bias: bool = True) -> nn.ConvTranspose2d:
    """Transposed convolution to twice the size: (N, inputs, H, W) -> (N, outputs, 2H, 2W)."""
    return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=bias)


def up_act(inputs: int, outputs: int) -> nn.Sequential:
    """`up` and leaky ReLU."""
    return nn.Sequential(up(inputs, outputs), nn.LeakyReLU(SLOPE, inplace=True))


def initialize(net: nn.Module) -> None:
    """Kaiming-normal weights for leaky ReLU (He et al., arXiv:1502.01852), biases at 0."""
    for part in net.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(part.weight, SLOPE)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class Contracting(nn.Module):
    """What FlowNetC, S and SD share: convolutions down to level 6, and the refinement of a flow up to level 2."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self._width = width

    def _channels(self, count: int) -> int:
        return scaled(count, self._width)

    def _add_down(self, first: int = 4) -> None:
        """conv<l> (stride 2) and conv<l>_1 for levels `first` to 6."""
        outputs = {4: 512, 5: 512, 6: 1024}
        inputs = 256
        for level in range(first, 7):
            outs = self._channels(outputs[level])
            setattr(self, f"conv{level}", conv_act(self._channels(inputs), outs, stride=2))
            setattr(self, f"conv{level}_1", conv_act(outs, outs))
            inputs = outputs[level]

    def _add_refinement(self, flow_bias: bool, inter: bool = False) -> None:
        """Decoder: at each level the features, the upsampled features and the upsampled flow of the level below.

        `inter`: a convolution without activation between them and the flow.
        """
        skips, outputs = {5: 512, 4: 512, 3: 256, 2: 128}, {5: 512, 4: 256, 3: 128, 2: 64}
        below = self._channels(1024)
        self.predict_flow6 = conv(below, 2, bias=True)
        for level in (5, 4, 3, 2):
            outs = self._channels(outputs[level])
            setattr(self, f"deconv{level}", up_act(below, outs))
            setattr(self, f"upsampled_flow{level + 1}_to_{level}", up(2, 2, flow_bias))
            below = self._channels(skips[level]) + outs + 2
            if inter:
                setattr(self, f"inter_conv{level}", nn.Sequential(conv(below, outs, bias=True)))
            setattr(self, f"predict_flow{level}", conv(outs if inter else below, 2, bias=True))

    def _down(self, x: Tensor) -> dict[int, Tensor]:
        """Features of level 3 -> those of levels 4 to 6."""
        features = {}
        for level in (4, 5, 6):
            x = features[level] = self.get_submodule(f"conv{level}_1")(self.get_submodule(f"conv{level}")(x))
        return features

    def _refine(self, features: Mapping[int, Tensor]) -> Tensor:
        """Features of levels 2 to 6 -> flow of level 2 (N, 2, H/4, W/4)."""
        x = features[6]
        flow = self.predict_flow6(x)
        parts = dict(self.named_children())
        for level in (5, 4, 3, 2):
            flow_up = parts[f"upsampled_flow{level + 1}_to_{level}"](flow)
            x = torch.cat((features[level], parts[f"deconv{level}"](x), flow_up), 1)
            inter = parts.get(f"inter_conv{level}")
            flow = parts[f"predict_flow{level}"](inter(x) if inter else x)
        return flow


class FlowNetC(Contracting):
    """Two images, each with features of its own, which meet in a correlation: 2 x (N, 3, H, W) -> (N, 2, H/4, W/4)."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width)
        c = self._channels
        self.conv1 = conv_act(3, c(64), 7, 2)
        self.conv2 = conv_act(c(64), c(128), 5, 2)
        self.conv3 = conv_act(c(128), c(256), 5, 2)
        self.conv_redir = conv_act(c(256), c(32), 1)
        self.corr = Correlation()
        self.corr_activation = nn.LeakyReLU(SLOPE)
        self.conv3_1 = conv_act(c(32) + 441, c(256))
        self._add_down()
        self._add_refinement(flow_bias=True)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Flow from the first image to the second."""
        first2 = self.conv2(self.conv1(first))
        first3, second3 = self.conv3(first2), self.conv3(self.conv2(self.conv1(second)))
        matches = self.corr_activation(self.corr(first3, second3))
        x = self.conv3_1(torch.cat((self.conv_redir(first3), matches), 1))
        return self._refine({2: first2, 3: x, **self._down(x)})


class FlowNetS(Contracting):
    """All that is known in one stack: (N, inputs, H, W) -> (N, 2, H/4, W/4)."""

    def __init__(self, inputs: int = 12, width: float = 1.0) -> None:
        super().__init__(width)
        c = self._channels
        self.conv1 = conv_act(inputs, c(64), 7, 2)
        self.conv2 = conv_act(c(64), c(128), 5, 2)
        self.conv3 = conv_act(c(128), c(256), 5, 2)
        self.conv3_1 = conv_act(c(256), c(256))
        self._add_down()
        self._add_refinement(flow_bias=False)

    def forward(self, x: Tensor) -> Tensor:
        level2 = self.conv2(self.conv1(x))
        x = self.conv3_1(self.conv3(level2))
        return self._refine({2: level2, 3: x, **self._down(x)})


class FlowNetSD(Contracting):
    """For small displacements, with 3 x 3 convolutions alone: two images (N, 6, H, W) -> (N, 2, H/4, W/4)."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width)
        c = self._channels
        self.conv0 = conv_act(6, c(64))
        self.conv1, self.conv1_1 = conv_act(c(64), c(64), stride=2), conv_act(c(64), c(128))
        self.conv2, self.conv2_1 = conv_act(c(128), c(128), stride=2), conv_act(c(128), c(128))
        self.conv3, self.conv3_1 = conv_act(c(128), c(256), stride=2), conv_act(c(256), c(256))
        self._add_down()
        self._add_refinement(flow_bias=True, inter=True)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv1_1(self.conv1(self.conv0(images)))
        level2 = self.conv2_1(self.conv2(x))
        x = self.conv3_1(self.conv3(level2))
        return self._refine({2: level2, 3: x, **self._down(x)})


class FlowNetFusion(nn.Module):
    """Makes one flow of two: image, both flows, their lengths and what they leave unexplained -> flow in pixels.

    (N, 11, H, W) -> (N, 2, H, W).
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c64, c128, c32, c16 = (scaled(count, width) for count in (64, 128, 32, 16))
        self.conv0 = conv_act(11, c64)
        self.conv1, self.conv1_1 = conv_act(c64, c64, stride=2), conv_act(c64, c128)
        self.conv2, self.conv2_1 = conv_act(c128, c128, stride=2), conv_act(c128, c128)
        self.deconv1 = up_act(c128, c32)
        self.deconv0 = up_act(c128 + c32 + 2, c16)
        self.inter_conv1 = nn.Sequential(conv(c128 + c32 + 2, c32, bias=True))
        self.inter_conv0 = nn.Sequential(conv(c64 + c16 + 2, c16, bias=True))
        self.predict_flow2, self.predict_flow1 = conv(c128, 2, bias=True), conv(c32, 2, bias=True)
        self.predict_flow0 = conv(c16, 2, bias=True)
        self.upsampled_flow2_to_1, self.upsampled_flow1_to_0 = up(2, 2), up(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        level0 = self.conv0(x)
        level1 = self.conv1_1(self.conv1(level0))
        level2 = self.conv2_1(self.conv2(level1))
        flow = self.upsampled_flow2_to_1(self.predict_flow2(level2))
        x = torch.cat((level1, self.deconv1(level2), flow), 1)
        flow = self.upsampled_flow1_to_0(self.predict_flow1(self.inter_conv1(x)))
        x = torch.cat((level0, self.deconv0(x), flow), 1)
        return self.predict_flow0(self.inter_conv0(x))
