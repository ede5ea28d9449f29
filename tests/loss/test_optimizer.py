"""Optimizers against published trajectories."""

import importlib.util
import json

import numpy as np
import pytest
import torch
from golden.fill import fill, image
from torch import nn

import config
from loss import optimizer, schedule
from utils.errors import UserError


def cfg(*args):
    return config.load(["--arch", "basic.HRNet", "--dataset", "cityscapes", *args])


class Vector(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.from_numpy(image("optim.w", (8,))))


@pytest.mark.parametrize("name", ["sgd", "adam", "radam"])
def test_published_trajectory(name, golden):
    case = json.loads((golden / "nvidia/optimizers.json").read_text())["cases"][name]
    options, net, target = cfg(*case["flags"]), Vector(), torch.from_numpy(image("optim.t", (8,)))
    steps, factor = optimizer.build(options, net), schedule.build(options)
    for epoch, expected in enumerate(case["trajectory"]):
        steps.param_groups[0]["lr"] = options.OPTIM.LR * factor(epoch)
        steps.zero_grad()
        (0.5 * (net.w - target).pow(2).sum()).backward()
        steps.step()
        np.testing.assert_allclose(net.w.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_published_momentum(golden):
    """Four steps of PaddleSeg's optimizer at its rates: weight decay on weights and biases alike."""
    net = nn.Linear(5, 3)
    net.weight.data, net.bias.data = (
        torch.from_numpy(fill("opt.weight", (5, 3)).T.copy()),
        torch.from_numpy(fill("opt.bias", (3,))),
    )
    options = cfg("--lr", "0.5", "--poly_exp", "2", "--weight_decay", "0.1", "--max_iters", "4")
    steps, lr = optimizer.build(options, net), schedule.rate(options)
    with np.load(golden / "paddle/optimizer_momentum.npz") as expected:
        for i in range(4):
            steps.param_groups[0]["lr"] = lr(0, i, 4)
            steps.zero_grad()
            net(torch.from_numpy(image("paddle_opt", (4, 5)))).pow(2).mean().backward()
            steps.step()
            np.testing.assert_allclose(net.weight.detach().T.numpy(), expected["weight"][i], rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(net.bias.detach().numpy(), expected["bias"][i], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "kind", "settings"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0.5, "nesterov": False}),
        ("adam", torch.optim.Adam, {"amsgrad": True, "decoupled_weight_decay": False}),
        ("adamw", torch.optim.AdamW, {"amsgrad": True, "decoupled_weight_decay": True}),
        ("radam", torch.optim.RAdam, {"decoupled_weight_decay": True}),
    ],
)
def test_settings(name, kind, settings):
    args = ["--optimizer", name, "--lr", "0.3", "--weight_decay", "0.01", "--momentum", "0.5", "--amsgrad"]
    made = optimizer.build(cfg(*args), Vector())
    assert type(made) is kind
    (group,) = made.param_groups
    settings = {"lr": 0.3, "weight_decay": 0.01, **settings}
    assert {key: group.get(key) for key in settings} == settings


def test_only_trained_parameters_in_the_order_of_the_net():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    net[0].requires_grad_(False)
    (group,) = optimizer.build(cfg(), net).param_groups
    expected = [net[1].weight, net[1].bias, net[2].weight, net[2].bias]
    assert [id(p) for p in group["params"]] == [id(p) for p in expected]


def test_mistakes():
    with pytest.raises(UserError, match="'sdg' is unknown; did you mean 'sgd'"):
        optimizer.make("sdg", Vector(), optimizer.Settings(0.1))
    with pytest.raises(UserError, match="every parameter of the network is frozen"):
        optimizer.build(cfg(), Vector().requires_grad_(False))
    with pytest.raises(UserError, match="no --amsgrad"):
        optimizer.build(cfg("--optimizer", "apex_adam", "--amsgrad"), Vector())


@pytest.mark.skipif(importlib.util.find_spec("apex") is not None, reason="apex is installed")
@pytest.mark.parametrize("name", ["apex_sgd", "apex_adam"])
def test_apex_that_is_not_there(name):
    with pytest.raises(UserError, match=f"--optimizer {name} needs NVIDIA apex.*use --optimizer {name[5:]}"):
        optimizer.build(cfg("--optimizer", name), Vector())


@pytest.mark.skipif(importlib.util.find_spec("apex") is None, reason="apex is not installed")
@pytest.mark.parametrize("name", ["apex_sgd", "apex_adam"])
def test_apex_that_is_there(name):
    assert type(optimizer.build(cfg("--optimizer", name), Vector())).__module__.startswith("apex")
