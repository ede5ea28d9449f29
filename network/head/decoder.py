"""A step of a decoder: convolution, batch norm, ReLU."""

from __future__ import annotations

from torch import Tensor, nn

from network.layers import conv_bn


class ConvNormReLU(nn.Module):
    """Convolution `conv`, batch norm `bn`, ReLU: (N, inputs, h, w) -> (N, outputs, h, w)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv, self.bn = conv_bn(inputs, outputs, kernel)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))
