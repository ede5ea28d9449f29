"""An optimizer's state from a file: its tensors are taken, its settings stay those of this run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from utils.errors import UserError

# A setting that only one kind of optimizer has.
_KINDS = {"momentum": "SGD", "betas": "Adam"}
_SHOWN = ("momentum", "weight_decay", "betas", "eps", "nesterov", "amsgrad")


def parameter_names(optimizer: Optimizer, net: nn.Module) -> list[str]:
    """Name the parameters that are trained, in the order by which an optimizer's state dict counts them."""
    names = {id(parameter): name for name, parameter in _parameters(net).items()}
    return [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]


def _parameters(net: nn.Module) -> dict[str, nn.Parameter]:
    """Give the parameters by their names in the state, which are the published ones, in the network's order."""
    return {name: x for name, x in net.state_dict(keep_vars=True).items() if isinstance(x, nn.Parameter)}


def take_over(optimizer: Optimizer, net: nn.Module, saved: Mapping[str, Any], names: Sequence[str] = ()) -> str:
    """Load the slots of the state dict `saved`; every setting of the groups stays as this run made it.

    `names`: of the file's parameters, in its order; so groups may differ. Without them parameters go by their places,
    in groups of the same sizes or in the order of the network. Gives a remark on parameters that start anew, or "".
    Raises UserError for the state of another kind of optimizer, ValueError for one that does not fit.
    """
    _check_kind(optimizer, saved)
    places = [place for group in saved["param_groups"] for place in group["params"]]
    own = parameter_names(optimizer, net)
    known = list(names) or _unnamed(optimizer, net, saved, own)
    if len(known) != len(places):
        raise ValueError(f"{len(places)} parameters there, {len(known)} here")
    there = dict(zip(known, places, strict=True))
    slots = {i: there[name] for i, name in enumerate(own) if name in there}
    state = {i: saved["state"][place] for i, place in slots.items() if place in saved["state"]}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    _complete(optimizer)
    new = len(own) - len(slots)
    return f"; the optimizer starts anew for {new} parameters that were not trained there" if new else ""


def take_rates(optimizer: Optimizer, saved: Mapping[str, Any]) -> None:
    """Take the rates of the last step over: each step sets its own, and a checkpoint before it has these."""
    there = saved["param_groups"]
    if _sizes(there) == _sizes(optimizer.param_groups):
        for group, other in zip(optimizer.param_groups, there, strict=True):
            group["lr"] = other["lr"]


def other_settings(optimizer: Optimizer, saved: Mapping[str, Any]) -> str:
    """Tell what the file's first group has otherwise than ours, as text: its values are not taken."""
    there, here = saved["param_groups"][0], optimizer.param_groups[0]
    odd = [key for key in _SHOWN if key in there and key in here and _plain(there[key]) != _plain(here[key])]
    return "".join(f"; {key} {there[key]} there, {here[key]} here" for key in odd)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _check_kind(optimizer: Optimizer, saved: Mapping[str, Any]) -> None:
    ours, theirs = _kind(optimizer.param_groups), _kind(saved["param_groups"])
    if ours and theirs and ours != theirs:
        raise UserError(f"its optimizer state is of {theirs}, not of {ours}")


def _kind(groups: Iterable[Mapping[str, Any]]) -> str:
    return next((kind for group in groups for key, kind in _KINDS.items() if key in group), "")


def _unnamed(optimizer: Optimizer, net: nn.Module, saved: Mapping[str, Any], own: list[str]) -> list[str]:
    """Name parameters that a file only counts: as ours, or in the network's order if it has one group."""
    there, here = _sizes(saved["param_groups"]), _sizes(optimizer.param_groups)
    if there == here:
        return own
    every = _parameters(net)
    for names in ([name for name, parameter in every.items() if parameter.requires_grad], list(every)):
        if there == [len(names)]:
            return names
    raise ValueError(f"groups of {there} parameters there, of {here} here")


def _sizes(groups: Iterable[Mapping[str, Any]]) -> list[int]:
    return [len(group["params"]) for group in groups]


def _complete(optimizer: Optimizer) -> None:
    """Give the slots that this run's settings ask for, no others: what AMSGrad and momentum remember begins here."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            slots = optimizer.state.get(parameter)
            if not slots:
                continue
            if group.get("amsgrad") and "max_exp_avg_sq" not in slots:
                slots["max_exp_avg_sq"] = torch.zeros_like(slots["exp_avg_sq"])
            if "amsgrad" in group and not group["amsgrad"]:
                slots.pop("max_exp_avg_sq", None)
            if group.get("momentum") == 0:
                slots.pop("momentum_buffer", None)


def differs(slot: Any, parameter: Tensor) -> bool:
    """Tell whether a slot is a map of another shape than its parameter."""
    return isinstance(slot, Tensor) and slot.dim() > 0 and slot.shape != parameter.shape
