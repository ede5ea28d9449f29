"""A step of a decoder: convolution, batch norm, ReLU."""

from __future__ import annotations

from torch import Tensor, nn

from network.fused import normed
from network.layers import conv_bn


class ConvNormReLU(nn.Module):
    """Convolution `conv`, batch norm `bn`, ReLU: (N, inputs, h, w) -> (N, outputs, h, w)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv, self.bn = conv_bn(inputs, outputs, kernel)

    def forward(self, x: Tensor) -> Tensor:
        return normed(x, self.conv, self.bn, relu=True)
