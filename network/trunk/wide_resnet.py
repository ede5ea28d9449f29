"""Wide-ResNet-38 (Wu et al., "Wider or Deeper", arXiv:1611.10080) at output stride 8. N batch, H x W image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from network.layers import bn_relu, conv, kaiming, scaled
from network.trunk import Features, Level, OwnTrunk
from network.trunk.blocks import through


class Stage(NamedTuple):
    """Blocks of a stage, the outputs of their convolutions (two 3x3, or 1x1, 3x3, 1x1), and what these are like."""

    blocks: int
    channels: tuple[int, ...]
    stride: int = 1
    dilation: int = 1
    dropout: float = 0.0


STEM = 64
STAGES = (  # mod2 to mod7; the first two are preceded by pooling
    Stage(3, (128, 128)),
    Stage(3, (256, 256)),
    Stage(6, (512, 512), stride=2),
    Stage(3, (512, 1024), dilation=2),
    Stage(1, (512, 1024, 2048), dilation=4, dropout=0.3),
    Stage(1, (1024, 2048, 4096), dilation=4, dropout=0.5),
)


class PreActivation(nn.Module):
    """Norm and ReLU before each convolution (He et al., arXiv:1603.05027): (N, inputs, h, w) -> (N, outputs, ...).

    Dropout leaves out whole channels before the last convolution.
    """

    def __init__(
        self, inputs: int, channels: Sequence[int], stride: int = 1, dilation: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        kernels = (3, 3) if len(channels) == 2 else (1, 3, 1)
        self.bn1 = bn_relu(inputs)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        before = inputs
        for i, (kernel, outputs) in enumerate(zip(kernels, channels, strict=True), start=1):
            if i > 1:
                layers[f"bn{i}"] = bn_relu(before)
            if i == len(channels) and dropout:
                layers["dropout"] = nn.Dropout2d(dropout)
            layers[f"conv{i}"] = conv(before, outputs, kernel, stride if i == 1 else 1, dilation)
            before = outputs
        self.convs = nn.Sequential(layers)
        fits = stride == 1 and inputs == before
        self.proj_conv = None if fits else conv(inputs, before, kernel=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(x)
        return self.convs(y) + (x if self.proj_conv is None else self.proj_conv(y))


class WideResNet38(OwnTrunk):
    """Image (N, 3, H, W) -> (N, 128, ~H/2, ~W/2), (N, 256, ~H/4, ~W/4), (N, 4096, ~H/8, ~W/8).

    `width_mult` scales every channel count. `grad_ckpt`: recompute each block in the backward pass.
    """

    regions = (PreActivation,)

    def __init__(self, width_mult: float = 1.0, grad_ckpt: bool = False) -> None:
        super().__init__(grad_ckpt)
        inputs = scaled(STEM, width_mult)
        self.mod1 = nn.Sequential(OrderedDict(conv1=conv(3, inputs)))
        for number, stage in enumerate(STAGES, start=2):
            blocks: OrderedDict[str, nn.Module] = OrderedDict()
            channels = [scaled(c, width_mult) for c in stage.channels]
            for i in range(stage.blocks):
                stride = stage.stride if i == 0 else 1
                blocks[f"block{i + 1}"] = PreActivation(inputs, channels, stride, stage.dilation, stage.dropout)
                inputs = channels[-1]
            self.add_module(f"mod{number}", nn.Sequential(blocks))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        fine, middle, *_, out = (scaled(stage.channels[-1], width_mult) for stage in STAGES)
        self.levels = (Level(2, fine), Level(4, middle), Level(8, out))
        kaiming(self)

    def forward(self, image: Tensor) -> Features:
        x = self.mod1(image)  # (N, 64, H, W)
        fine = through(self.mod2, self.pool(x), self.grad_ckpt)  # type: ignore[arg-type]
        x = middle = through(self.mod3, self.pool(fine), self.grad_ckpt)  # type: ignore[arg-type]
        for stage in (self.mod4, self.mod5, self.mod6, self.mod7):
            x = through(stage, x, self.grad_ckpt)  # type: ignore[arg-type]
        return [fine, middle, x]
