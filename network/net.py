"""What every network is: an inner part and heads around it, the published names of its state, what stays frozen.

N batch, K classes, H x W image, h x w the head's resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from network.trunk import Trunk


class Net(nn.Module):
    """A trunk, or another network, with heads around it. `net(image, size=None, keep=None) -> {name: map}`.

    `inner`: the part inside, a child called `name`. Without a name its entries stand in the state as if they were this
    network's own, as published: `state_dict` leaves the child's name out, and `load_state_dict` puts it in.
    """

    def __init__(self, inner: nn.Module, name: str = "", align_corners: bool = False) -> None:
        super().__init__()
        self.inner_name = name or ("family" if isinstance(inner, Net) else "trunk")
        self.hidden = "" if name else self.inner_name  # the child whose name the state leaves out
        self.align_corners = align_corners
        self.fix_bn = False  # batch norms use their running statistics even in training
        self._frozen: tuple[nn.Module, ...] = ()
        self._waiting: dict[nn.Module, int] = {}  # batch norms, and the epoch from which they are trained
        self._epoch = 0
        self.add_module(self.inner_name, inner)
        self.register_state_dict_post_hook(_leave_names_out)
        self.register_load_state_dict_pre_hook(_put_names_in)

    @property
    def inner(self) -> Any:
        """The part that the heads stand around."""
        return self.get_submodule(self.inner_name)

    @property
    def trunk_module(self) -> Trunk:
        """The trunk, however deep inside."""
        return self.inner.trunk_module if isinstance(self.inner, Net) else self.inner

    @property
    def trunk_name(self) -> str:
        """What stands before the trunk's entries in the state, without the dot; perhaps nothing."""
        return self.inner.trunk_name if isinstance(self.inner, Net) else "" if self.hidden else self.inner_name

    def parts(self) -> dict[str, nn.Module]:
        """Trunk and heads by name."""
        found: dict[str, nn.Module] = {}
        for name, child in self.named_children():
            found |= child.parts() if isinstance(child, Net) else {name: child}
        return found

    @property
    def multiple(self) -> int:
        """What the trunk's sides are multiples of: other images are padded inside it."""
        return self.trunk_module.multiple

    def trunk_layers(self, stages: bool = False) -> dict[int, int]:
        """{id of a parameter that was published with the trunk: its layer, from 0, the image's side}, see `Trunk`."""
        trunk = self.trunk_module
        parameters = dict(trunk.pretrained.named_parameters())
        return {id(parameters[name]): layer for name, layer in trunk.layers(stages).items()}

    def start_epoch(self, epoch: int) -> None:
        """Before each epoch of training: parts that have waited for it are trained from now on."""
        self._epoch = epoch
        if self._waiting:
            self.train(self.training)

    def wait(self, groups: Iterable[Mapping[str, Any]]) -> None:
        """Batch norms whose weights an optimizer's `groups` train from a later epoch on keep their statistics, too."""
        late = {id(p): group.get("from_epoch", 0) for group in groups for p in group["params"]}
        norms = (part for part in self.modules() if isinstance(part, _BatchNorm) and part.weight is not None)
        self._waiting = {norm: late[id(norm.weight)] for norm in norms if late.get(id(norm.weight))}
        self.train(self.training)

    def freeze(self, modules: Iterable[nn.Module]) -> None:
        """These stay as they are loaded: without gradient and, running statistics too, in evaluation mode for good."""
        self._frozen = (*self._frozen, *modules)
        for module in self._frozen:
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Net:
        """Set the mode of all but what is frozen or waits, and fixed batch norms: these stay in evaluation mode."""
        super().train(mode)
        fixed = (part for part in self.modules() if self.fix_bn and isinstance(part, _BatchNorm))
        waiting = (part for part, epoch in self._waiting.items() if epoch > self._epoch)
        for module in (*self._frozen, *fixed, *waiting):
            module.eval()
        return self


def published(net: nn.Module, name: str) -> str:
    """Our name of an entry -> its name in the state."""
    hidden = net.hidden if isinstance(net, Net) else ""
    if not hidden or not name.startswith(f"{hidden}."):
        return name
    return published(net.get_submodule(hidden), name.removeprefix(f"{hidden}."))


def _own(net: nn.Module, name: str) -> str:
    """An entry's name in the state -> our name of it."""
    hidden = net.hidden if isinstance(net, Net) else ""
    if not hidden or name.partition(".")[0] in dict(net.named_children()):
        return name
    return f"{hidden}.{_own(net.get_submodule(hidden), name)}"


def _rename(state: dict[str, Tensor], prefix: str, rename: Callable[[str], str]) -> None:
    """Rename all entries in place and in order. Only the outermost module's state has published names."""
    if not prefix:
        entries = {rename(name): x for name, x in state.items()}
        state.clear()
        state.update(entries)


def _leave_names_out(net: nn.Module, state: dict[str, Tensor], prefix: str, metadata: Mapping[str, Any]) -> None:
    _rename(state, prefix, lambda name: published(net, name))


def _put_names_in(net: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    _rename(state, prefix, lambda name: _own(net, name))
