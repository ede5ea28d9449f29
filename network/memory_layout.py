"""Memory layouts that this build of torch cannot train in."""

from __future__ import annotations

from torch import nn

from network.net import published

NARROW = 8  # input channels up to which such a convolution is not trusted


def crashes_channels_last(net: nn.Module) -> str:
    """Name of a convolution whose backward pass on a CPU, in channels-last, writes outside its memory; or "".

    oneDNN's gradient of a strided 1x1 convolution with few input channels does so: the process dies, at once or later.
    """
    for name, part in net.named_modules():
        if isinstance(part, nn.Conv2d) and part.kernel_size == (1, 1) and max(part.stride) > 1:
            if part.in_channels <= NARROW and part.weight.requires_grad:
                return published(net, name)
    return ""
