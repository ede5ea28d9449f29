"""The plain heads: two 3x3 convolutions and a classifier, or 1x1 convolutions alone."""

from __future__ import annotations

from torch import nn

from network.fused import Chain
from network.layers import Classifier, conv_bn_relu


def segmentation_head(inputs: int, num_classes: int, channels: int = 256) -> nn.Sequential:
    """Features (N, inputs, h, w) -> logits (N, num_classes, h, w)."""
    return Chain(
        *conv_bn_relu(inputs, channels),
        *conv_bn_relu(channels, channels),
        Classifier(channels, num_classes, bias=False),
    )


def pointwise_head(inputs: int, outputs: int) -> nn.Sequential:
    """HRNetV2's own: features (N, inputs, h, w) -> (N, outputs, h, w), each pixel for itself."""
    return Chain(*conv_bn_relu(inputs, inputs, kernel=1, bias=True), Classifier(inputs, outputs))
