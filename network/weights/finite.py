"""Numbers that are none: weights and scores that are infinite or NaN, said before anybody relies on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from network.net import published
from utils.errors import UserError


def is_finite(x: Tensor) -> bool:
    """Whether all numbers of a tensor are."""
    if not x.is_floating_point():
        return True
    return bool((x.float() if x.element_size() < 2 else x).isfinite().all())


def odd(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the entries of a state dict that are not finite."""
    return [name for name, x in state.items() if not is_finite(x)]


def check(state: Mapping[str, Tensor], whose: str) -> None:
    """UserError that names the first entry of a state dict that is not finite."""
    if names := odd(state):
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise UserError(
            f"{whose}: weights that are no finite numbers, {names[0]}{others}: its training went astray, or the file "
            "is damaged; take an earlier one"
        )


def complaint(scores: Tensor, net: object, again: Callable[[], object], half: bool) -> str:
    """One line where a network's first scores (N, K, h, w) are not finite: from which layer on, what to do; else empty.

    `again`: the same pass once more. `half`: it computes in half precision.
    """
    if is_finite(scores):
        return ""
    layer = _first_layer(net, again) if isinstance(net, nn.Module) else ""
    advice = "half precision overflows: leave --fp16 out, or take bfloat16, --amp_opt_level O2"
    if not half:
        advice = "check the file of the weights, and DATASET.MEAN and DATASET.STD"
    return f"the network's first scores are no finite numbers{f', from {layer} on' if layer else ''}: {advice}"


def _first_layer(net: nn.Module, again: Callable[[], object]) -> str:
    """The first layer whose output is not finite."""
    names, found = {layer: name for name, layer in net.named_modules() if name}, list[str]()

    def look(layer: nn.Module, given: Any, out: Any) -> None:
        if layer in names and isinstance(out, Tensor) and not is_finite(out):
            found.append(names[layer])

    hook = register_module_forward_hook(look)
    try:
        again()
    finally:
        hook.remove()
    return published(net, found[0]) if found else ""
