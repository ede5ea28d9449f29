"""Object-contextual representations (Yuan et al., arXiv:1909.11065).

N batch, K classes (object regions), M mid channels, C key channels, h x w features, P = h * w pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from network.fused import Chain
from network.layers import Classifier, bn_relu, conv, in_rows


class OCRMaps(NamedTuple):
    """What the head makes: class logits and auxiliary logits (N, K, h, w), features (N, M, h, w)."""

    pred: Tensor
    aux: Tensor
    features: Tensor


def gather(features: Tensor, regions: Tensor) -> Tensor:
    """Object region representations, eq. 2: features (N, M, h, w), logits (N, K, h, w) -> (N, M, K, 1).

    A region is the softmax of its logits over all pixels; it is represented by the mean of the features under it.
    """
    weights = regions.flatten(2).softmax(dim=2)  # (N, K, P)
    pixels = features.flatten(2).transpose(1, 2)  # (N, P, M)
    return (weights @ pixels).transpose(1, 2).unsqueeze(3)  # (N, K, M) -> (N, M, K, 1)


def _project(inputs: int, outputs: int, layers: int) -> nn.Sequential:
    """`layers` times 1x1 convolution, batch norm, ReLU; the weights are 0, 1.0, 2, 3.0, ..."""
    parts: list[nn.Module] = []
    for i in range(layers):
        parts += [conv(outputs if i else inputs, outputs, kernel=1), bn_relu(outputs)]
    return Chain(*parts)


class ObjectAttention(nn.Module):
    """Each pixel's context: attention of pixels over object regions, eq. 3 and 4 of the paper."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.scale = key_channels**-0.5
        self.f_pixel = _project(channels, key_channels, 2)
        self.f_object = _project(channels, key_channels, 2)
        self.f_down = _project(channels, key_channels, 1)
        self.f_up = _project(key_channels, channels, 1)

    def forward(self, x: Tensor, objects: Tensor) -> Tensor:
        """Pixels (N, M, h, w), objects (N, M, K, 1) -> context (N, M, h, w)."""
        n, _, height, width = x.shape
        query = self.f_pixel(x).flatten(2).transpose(1, 2)  # (N, P, C)
        key = self.f_object(objects).flatten(2)  # (N, C, K)
        value = self.f_down(objects).flatten(2).transpose(1, 2)  # (N, K, C)
        relation = (query @ key * self.scale).softmax(dim=2)  # (N, P, K)
        context = (relation @ value).transpose(1, 2).reshape(n, -1, height, width)  # (N, C, h, w)
        return self.f_up(context)


class Distribute(nn.Module):
    """Pixels with their context, eq. 5: (N, M, h, w), (N, M, K, 1) -> (N, M, h, w)."""

    def __init__(self, channels: int, key_channels: int, dropout: float) -> None:
        super().__init__()
        self.object_context_block = ObjectAttention(channels, key_channels)
        self.conv_bn_dropout = Chain(conv(2 * channels, channels, kernel=1), bn_relu(channels), nn.Dropout2d(dropout))

    def forward(self, x: Tensor, objects: Tensor) -> Tensor:
        context = self.object_context_block(x, objects)
        return self.conv_bn_dropout(torch.cat([context, x], dim=1))


class OCRHead(nn.Module):
    """Trunk features (N, inputs, h, w) -> OCRMaps. The auxiliary logits are the soft object regions.

    `grad_ckpt`: recompute in the backward pass what lies between its 1x1 convolutions; the 3x3 one is done once.
    """

    def __init__(
        self,
        inputs: int,
        num_classes: int,
        mid_channels: int = 512,
        key_channels: int = 256,
        dropout: float = 0.05,
        grad_ckpt: bool = False,
    ) -> None:
        super().__init__()
        self.recompute = grad_ckpt
        self.conv3x3_ocr = Chain(conv(inputs, mid_channels, bias=True), bn_relu(mid_channels))
        self.ocr_distri_head = Distribute(mid_channels, key_channels, dropout)
        self.cls_head = Classifier(mid_channels, num_classes)
        self.aux_head = Chain(
            conv(inputs, inputs, kernel=1, bias=True), bn_relu(inputs), Classifier(inputs, num_classes)
        )

    def forward(self, x: Tensor) -> OCRMaps:
        aux = in_rows(self.aux_head, x, grad_ckpt=self.recompute)
        pixels = self.conv3x3_ocr(x)
        features = in_rows(self.ocr_distri_head, pixels, gather(pixels, aux), over=True, grad_ckpt=self.recompute)
        return OCRMaps(self.cls_head(features), aux, features)
