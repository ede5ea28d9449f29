"""Groups of parameters that are trained alike: the rate of a part and of a layer, what decays, the first epoch.

One group, in the order of the network, where nothing of this is asked for, so that a published state fits by position.
A group's rate is that of the schedule times its `lr_scale`, from epoch `from_epoch` on, and 0 before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import nn
from torch.nn.modules.conv import _ConvNd

Params = list[nn.Parameter] | list[dict[str, Any]]


@dataclass(frozen=True)
class Grouping:
    """What parameters differ in.

    `decoder`: factor on the rate of parameters inside `decoder`. `trunk`: factor on that of a trunk. `layer_decay`: the
    last layer of a trunk has this share of the rate, each layer before it this share of that (Clark et al.,
    arXiv:2003.10555; Bao et al., arXiv:2106.08254). `decay_on`: "all", or "conv": weights of convolutions and linear
    layers, neither biases nor norms nor what stands alone. `unfreeze`: epochs from which parts of a trunk are trained,
    the last part first (Howard and Ruder, arXiv:1801.06146, section 3.3). `layers`: {id of a parameter: its
    layer, from 0} of what a trunk was published with.
    """

    weight_decay: float = 0.0
    decoder: float = 1.0
    trunk: float = 1.0
    layer_decay: float = 1.0
    decay_on: str = "all"
    unfreeze: Sequence[int] = ()
    layers: Mapping[int, int] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether all parameters are trained alike."""
        alike = self.decoder == self.trunk == self.layer_decay == 1 and self.decay_on == "all"
        return alike and not self.unfreeze


class _Kind(NamedTuple):
    """What the parameters of a group have in common."""

    lr_scale: float
    weight_decay: float
    from_epoch: int


def of(net: nn.Module, asked: Grouping) -> Params:
    """What is trained: one list, or groups with an `lr_scale`, a `weight_decay` and a `from_epoch` of their own."""
    every = {name: p for name, p in net.state_dict(keep_vars=True).items() if isinstance(p, nn.Parameter)}
    trained = [(name, p) for name, p in every.items() if p.requires_grad]
    if asked.plain:
        return [p for _, p in trained]
    weights = {id(part.weight) for part in net.modules() if isinstance(part, (_ConvNd, nn.Linear))}
    last = max(asked.layers.values(), default=0)
    groups: dict[_Kind, list[nn.Parameter]] = {}
    for name, p in trained:
        decay = asked.weight_decay if asked.decay_on == "all" or id(p) in weights else 0.0
        groups.setdefault(_kind(name, asked.layers.get(id(p)), last, decay, asked), []).append(p)
    return [{"params": params, **kind._asdict()} for kind, params in groups.items()]


def _kind(name: str, layer: int | None, last: int, decay: float, asked: Grouping) -> _Kind:
    """`layer`: of a trunk's parameter, None outside of it."""
    if layer is None:
        return _Kind(1.0 if name.startswith("encoder.") else asked.decoder, decay, 0)
    scale = asked.trunk * asked.layer_decay ** (last + 1 - layer)
    return _Kind(scale, decay, _first_epoch(layer, last, asked.unfreeze))


def _first_epoch(layer: int, last: int, unfreeze: Sequence[int]) -> int:
    """The trunk has as many parts as there are epochs; the last part is trained from the first of them on."""
    if not unfreeze:
        return 0
    return unfreeze[(last - layer) * len(unfreeze) // (last + 1)]
