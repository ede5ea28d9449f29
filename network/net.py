"""What every network is: parts under their published names, how they make maps, and the one forward call.

N batch, K classes, H x W image, h x w the head's resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from utils.contracts import Outputs
from utils.resize import resize

# maps(net, image) -> (outputs at the head's resolution, features that a scale attention may read). DeepLabV3+ takes a
# third argument, see `network.mscale.FusedPyramids`.
Maps = Callable[..., tuple[Outputs, Tensor]]


class Parts(NamedTuple):
    """A family, before it is decided whether one scale or several are seen.

    `modules`: in the order of the published state, under their published names; the trunk is called `trunk`. Where
    that is empty, the trunk's own children stand beside the heads, and the state has no word in front of their names.
    `maps`: what they do with an image (N, 3, H, W): {"pred": (N, K, h, w), ...} and features (N, channels, h, w).
    """

    modules: dict[str, nn.Module]
    maps: Maps
    channels: int
    trunk: str = "backbone"


class Net(nn.Module):
    """A network that sees the image at one scale. `net(image, size=None, keep=None) -> {name: map}`."""

    def __init__(self, parts: Parts, align_corners: bool = False, freeze_trunk: bool = False) -> None:
        super().__init__()
        # In a tuple, so that a trunk whose children are ours is not registered, and named, a second time.
        self._trunk: tuple[nn.Module, ...] = () if parts.trunk else (parts.modules[""],)
        for name, module in parts.modules.items():
            for own_name, own in [(name, module)] if name else module.named_children():
                self.add_module(own_name, own)
        self.maps = parts.maps
        self.trunk_name = parts.trunk
        self.align_corners = align_corners
        self.fix_bn = False  # batch norms keep to their running statistics in training, too
        self._frozen: tuple[nn.Module, ...] = ()
        if freeze_trunk:
            self.freeze([self.trunk_module])

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self._hand_down(name, value)

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """As ever, but a child that a trunk without a name shares with us is replaced in both."""
        super().add_module(name, module)
        self._hand_down(name, module)

    def _hand_down(self, name: str, value: Any) -> None:
        for trunk in getattr(self, "_trunk", ()):
            if isinstance(value, nn.Module) and name in trunk._modules:
                trunk.add_module(name, value)

    @property
    def trunk_module(self) -> nn.Module:
        """The trunk, whether it has a name of its own or not."""
        return self.get_submodule(self.trunk_name) if self.trunk_name else self._trunk[0]

    def parts(self) -> dict[str, nn.Module]:
        """Trunk and heads by name. These are the children, but a trunk without a name is one part, `trunk`."""
        if self.trunk_name:
            return dict(self.named_children())
        inner = {name for name, _ in self.trunk_module.named_children()}
        heads = {name: part for name, part in self.named_children() if name not in inner}
        return {"trunk": self.trunk_module} | heads

    def forward(self, image: Tensor, size: Sequence[int] | None = None, keep: Collection[str] | None = None) -> Outputs:
        """Normalised image (N, 3, H, W) -> `pred` (N, K, *size), by default H x W, and the other outputs at h x w.

        `keep`: the names wanted, None for all.
        """
        outputs, _ = self.maps(self, image)
        outputs = {name: x for name, x in outputs.items() if keep is None or name in keep}
        if "pred" in outputs:
            outputs["pred"] = resize(outputs["pred"], size or image.shape[-2:], self.align_corners)
        return outputs

    def start_epoch(self, epoch: int) -> None:
        """Before each epoch of training, for networks whose training has stages; this one has none."""

    def freeze(self, modules: Iterable[nn.Module]) -> None:
        """These stay as they are loaded: without gradient and, running statistics too, in evaluation mode for good."""
        self._frozen = (*self._frozen, *modules)
        for module in self._frozen:
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Net:
        """As ever, but what is frozen, and fixed batch norms, stay in evaluation mode."""
        super().train(mode)
        self.trunk_module.train(mode)  # no child where it has no name
        fixed = (part for part in self.modules() if self.fix_bn and isinstance(part, _BatchNorm))
        for module in (*self._frozen, *fixed):
            module.eval()
        return self
