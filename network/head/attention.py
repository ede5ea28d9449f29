"""Scale attention: how much a pixel trusts the scale it is seen at (arXiv:2005.10821, section 3)."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from network.fused import Chain
from network.head.segmentation import segmentation_head
from network.layers import conv, conv_bn_relu


def attention_head(
    inputs: int, outputs: int = 1, channels: int = 256, inner_3x3: bool = True, dropout: bool = False
) -> nn.Sequential:
    """Features (N, inputs, h, w) -> attention (N, outputs, h, w) in [0, 1], near 0.5 at the start."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers.update(zip(("conv0", "bn0", "relu0"), conv_bn_relu(inputs, channels), strict=True))
    if inner_3x3:
        layers.update(zip(("conv1", "bn1", "relu1"), conv_bn_relu(channels, channels), strict=True))
    if dropout:
        layers["drop"] = nn.Dropout(0.5)
    layers["conv2"] = conv(channels, outputs, kernel=1)
    layers["sigmoid"] = nn.Sigmoid()
    head = Chain(layers)
    start_even(head)
    return head


def old_attention_head(inputs: int, outputs: int = 1, channels: int = 256, spread: float = 0.0) -> nn.Sequential:
    """The older head, same shapes and numbered layers; without `spread` exactly 0.5 everywhere at the start."""
    head = Chain(
        *conv_bn_relu(inputs, channels),
        *conv_bn_relu(channels, channels),
        conv(channels, outputs, kernel=1),
        nn.Sigmoid(),
    )
    start_even(head, spread)
    return head


def weights_head(inputs: int, outputs: int, channels: int = 256, norm: bool = False) -> nn.Sequential:
    """Features of all scales (N, inputs, h, w) -> their weights, of any size and sign, in `outputs` channels.

    Attention to scale (Chen et al., arXiv:1511.03339). Without `norm` the map grows by a border of zeros, to
    (h + 2) x (w + 2): so are the published weights used.
    """
    if norm:
        return segmentation_head(inputs, outputs, channels)
    return nn.Sequential(
        conv(inputs, 2 * channels), nn.ReLU(inplace=True), nn.Conv2d(2 * channels, outputs, 1, padding=1, bias=False)
    )


def start_even(head: nn.Sequential, spread: float = 0.01) -> None:
    """Draw the last convolution so small that both scales count alike at first: sigmoid(~0) = 0.5."""
    last = [layer for layer in head if isinstance(layer, nn.Conv2d)][-1]
    nn.init.normal_(last.weight, std=spread)
