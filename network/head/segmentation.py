"""The plain head: two 3x3 convolutions and a classifier."""

from __future__ import annotations

from torch import nn

from network.layers import conv, conv_bn_relu


def segmentation_head(inputs: int, num_classes: int, channels: int = 256) -> nn.Sequential:
    """Features (N, inputs, h, w) -> logits (N, num_classes, h, w)."""
    return nn.Sequential(
        *conv_bn_relu(inputs, channels),
        *conv_bn_relu(channels, channels),
        conv(channels, num_classes, kernel=1),
    )
