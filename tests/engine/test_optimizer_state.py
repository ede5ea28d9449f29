"""An optimizer's state from a file: tensors of the file, settings of this run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from engine.optimizer_state import other_settings, parameter_names, take_over, take_rates
from loss import optimizer
from loss.groups import Grouping
from loss.optimizer import Settings
from utils.errors import UserError

Asked = tuple[Settings, Grouping]


class Halves(nn.Module):
    """Encoder and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.decoder = nn.Conv2d(4, 2, 1)


def trained(name: str, asked: Asked, steps: int = 2) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A network and its optimizer after some steps."""
    torch.manual_seed(0)
    net = Halves()
    made = optimizer.make(name, net, *asked)
    for _ in range(steps):
        step(net, made)
    return net, made


def step(net: nn.Module, made: torch.optim.Optimizer) -> None:
    sum(p.square().sum() for p in net.parameters() if p.requires_grad).backward()  # type: ignore[union-attr]
    made.step()
    made.zero_grad()


def asked(weight_decay: float = 0.0, decay_on: str = "all", decoder: float = 1.0, **more: Any) -> Asked:
    """What an optimizer is made with."""
    return Settings(0.1, weight_decay, **more), Grouping(weight_decay, decoder, decay_on=decay_on)


BASE = asked()


@pytest.mark.parametrize(
    ("name", "was", "now", "expected"),
    [
        ("sgd", BASE, asked(weight_decay=0.5), {"weight_decay": 0.5}),
        ("sgd", BASE, asked(momentum=0.5), {"momentum": 0.5}),
        ("sgd", asked(momentum=0.0), asked(momentum=0.9), {"momentum": 0.9}),
        ("sgd", BASE, asked(momentum=0.0), {"momentum": 0.0}),
        ("adam", BASE, asked(amsgrad=True), {"amsgrad": True}),
        ("adamw", asked(amsgrad=True), BASE, {"amsgrad": False}),
        ("radam", BASE, asked(weight_decay=0.5), {"weight_decay": 0.5}),
        ("adamw", BASE, asked(0.5, "conv", 3.0), {"lr_scale": 1.0}),
        ("sgd", asked(0.5, "conv"), asked(0.0, "conv"), {"weight_decay": 0.0}),
        ("sgd", asked(0.5, "conv", 3.0), BASE, {"weight_decay": 0.0}),
    ],
)
def test_settings_are_those_of_this_run(name: str, was: Asked, now: Asked, expected: dict[str, Any]) -> None:
    """The groups are as if newly made; every parameter keeps its own slots, whatever group it is in; steps go on."""
    net, made = trained(name, was)
    names, saved = parameter_names(made, net), made.state_dict()
    other = optimizer.make(name, net, *now)
    assert take_over(other, net, saved, names) == ""
    fresh = optimizer.make(name, net, *now)
    plain = [[{k: v for k, v in g.items() if k != "params"} for g in x.param_groups] for x in (other, fresh)]
    assert plain[0] == plain[1] and {key: other.param_groups[0][key] for key in expected} == expected
    slot = "momentum_buffer" if name == "sgd" else "exp_avg"
    for parameter in net.parameters():
        mine, theirs = other.state[parameter].get(slot), made.state[parameter].get(slot)
        if theirs is None or now[0].momentum == 0:
            assert mine is None
        else:
            assert mine is not None and torch.equal(mine, theirs)
        assert ("max_exp_avg_sq" in other.state[parameter]) == (now[0].amsgrad and name != "sgd")
    step(net, other)


def test_the_rate_of_the_last_step_comes_back() -> None:
    """A checkpoint that is written before the next step has it: as without the stop."""
    net, made = trained("adamw", BASE)
    optimizer.set_rate(made, 0.125, 0)
    other = optimizer.make("adamw", net, *BASE)
    take_rates(other, made.state_dict())
    assert [group["lr"] for group in other.param_groups] == [0.125]
    in_two = optimizer.make("adamw", net, *asked(0.5, "conv"))
    rates = [group["lr"] for group in in_two.param_groups]
    take_rates(in_two, made.state_dict())
    assert len(rates) > 1 and [group["lr"] for group in in_two.param_groups] == rates


def test_what_was_frozen_starts_anew() -> None:
    net, made = trained("adamw", BASE)
    net.requires_grad_(False)
    net.get_submodule("decoder").requires_grad_(True)
    part = optimizer.make("adamw", net, *BASE)
    assert take_over(part, net, made.state_dict(), parameter_names(made, net)) == ""
    net.requires_grad_(True)
    whole = optimizer.make("adamw", net, *BASE)
    remark = take_over(whole, net, part.state_dict(), parameter_names(part, net))
    assert remark == "; the optimizer starts anew for 4 parameters that were not trained there"
    step(net, whole)


def test_a_file_that_only_counts() -> None:
    """One group in the order of the network, as NVIDIA's files have it, fits groups of ours; others need ours."""
    net, made = trained("sgd", BASE)
    parts = optimizer.make("sgd", net, *asked(0.5, "conv"))
    assert take_over(parts, net, made.state_dict()) == ""
    assert all(
        torch.equal(parts.state[p]["momentum_buffer"], made.state[p]["momentum_buffer"]) for p in net.parameters()
    )
    assert other_settings(parts, made.state_dict()) == "; weight_decay 0.0 there, 0.5 here"
    with pytest.raises(ValueError, match="groups of"):
        take_over(made, net, parts.state_dict())


@pytest.mark.parametrize(("name", "other"), [("sgd", "adamw"), ("adam", "sgd"), ("radam", "sgd")])
def test_another_kind_is_one_line(name: str, other: str) -> None:
    net, made = trained(name, BASE)
    with pytest.raises(UserError, match="its optimizer state is of (SGD|Adam), not of (SGD|Adam)"):
        take_over(optimizer.make(other, net, *BASE), net, made.state_dict(), parameter_names(made, net))
