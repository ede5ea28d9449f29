"""Optimizers against published trajectories."""

import importlib.util
import json

import numpy as np
import pytest
import torch
from golden.fill import fill, image
from torch import nn

import config
from engine.optimizer_state import take_over
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
    steps, lr = optimizer.build(options, net), schedule.rate_function(options)
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
    own = {"sgd": ["--momentum", "0.5"], "adam": ["--amsgrad"], "adamw": ["--amsgrad"], "radam": []}[name]
    args = ["--optimizer", name, "--lr", "0.3", "--weight_decay", "0.01", *own]
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


class Halves(nn.Module):
    """Encoder and decoder, with every kind of parameter."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.decoder = nn.Sequential(nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
        self.decoder.scale = nn.Parameter(torch.ones(1))


PARSING = ("--arch", "encoder_decoder")


def groups(net, *args):
    """{name: (factor of the rate, weight decay)} of every parameter."""
    names = {id(p): name for name, p in net.named_parameters()}
    made = optimizer.build(cfg(*PARSING, *args), net)
    found = [(names[id(p)], (g.get("lr_scale"), g["weight_decay"])) for g in made.param_groups for p in g["params"]]
    assert sorted(name for name, _ in found) == sorted(names.values())
    return dict(found)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "radam"])
def test_decay_on_weights_of_convolutions(name):
    found = groups(Halves(), "--optimizer", name, "--decay_on", "conv", "--weight_decay", "0.1")
    decaying = {"encoder.0.weight", "decoder.0.weight", "decoder.3.weight"}
    assert {key for key, (_, decay) in found.items() if decay == 0.1} == decaying
    assert {decay for _, decay in found.values()} == {0.1, 0.0} and {scale for scale, _ in found.values()} == {1.0}


def test_rate_of_the_decoder():
    found = groups(Halves(), "--lr", "0.02", "--lr_decoder", "0.1")
    assert {key for key, (scale, _) in found.items() if scale == 5} == {k for k in found if k.startswith("decoder.")}
    assert {decay for _, decay in found.values()} == {1e-4}
    with pytest.raises(UserError, match="--lr_decoder is of heads of scene parsing"):
        cfg("--lr_decoder", "0.1")


def test_rate_of_a_decoder_in_a_recipe_for_another_network(tmp_path):
    """It is said and not used."""
    (tmp_path / "recipe.yaml").write_text("OPTIM: {LR_DECODER: 0.1}")
    options = cfg("--cfg", str(tmp_path / "recipe.yaml"))
    assert options.WITHOUT_EFFECT == ["OPTIM.LR_DECODER 0.1 (not read by basic.HRNet)"]
    assert [group["lr"] for group in optimizer.build(options, Vector()).param_groups] == [options.OPTIM.LR]


def test_published_rates_and_decay(golden):
    """The whole table, at a rate of its own for the decoder, and what decays."""
    told = json.loads((golden / "csail/lr_schedule.json").read_text())
    iters = told["epoch_iters"]
    options = cfg(
        *PARSING,
        *("--lr_encoder", "0.02", "--lr_decoder", "0.05", "--lr_pow", str(told["lr_pow"]), "--decay_on", "conv"),
        *("--num_epoch", str(told["num_epoch"]), "--epoch_iters", str(iters)),
    )
    assert (options.TRAIN.MAX_ITERS, options.TRAIN.SAVE_INTERVAL, options.TRAIN.MAX_EPOCH) == (100_000, 5000, 20)
    net = Halves()
    steps, lr = optimizer.build(options, net), schedule.rate_function(options)
    assert len(steps.param_groups) == 4 and len(told["table"]) == 6
    assert {group["momentum"] for group in steps.param_groups} == {told["momentum"]}
    for i, expected in told["table"]:
        optimizer.set_rate(steps, lr(*divmod(i, iters), iters), 0)
        for group in steps.param_groups:
            own = any(p is q for p in group["params"] for q in net.decoder.parameters())
            assert group["lr"] == pytest.approx(expected * (2.5 if own else 1), rel=1e-12)


def step(net, made, scaler, lr):
    optimizer.set_rate(made, lr, 0)
    scaler.scale(sum(p.square().sum() for p in net.parameters())).backward()
    scaler.unscale_(made)
    scaler.step(made)
    scaler.update()
    made.zero_grad()


def test_several_groups_resume(tmp_path):
    """A state goes on where it stood; factors of the rate are those of the options, as the rate itself is."""
    torch.manual_seed(0)
    words = (*PARSING, "--decay_on", "conv", "--lr", "0.01", "--lr_decoder", "0.02")
    net, scaler = Halves(), torch.amp.GradScaler("cpu")
    made = optimizer.build(cfg(*words), net)
    step(net, made, scaler, 0.01)
    torch.save({"net": net.state_dict(), "optimizer": made.state_dict()}, tmp_path / "state.pth")
    step(net, made, scaler, 0.01)
    for rate in ("0.02", "0.04"):
        content, again = torch.load(tmp_path / "state.pth"), Halves()
        again.load_state_dict(content["net"])
        other = optimizer.build(cfg(*words[:-1], rate), again)
        assert take_over(other, again, content["optimizer"]) == ""
        step(again, other, torch.amp.GradScaler("cpu"), 0.01)
        same = [torch.equal(p, q) for p, q in zip(net.parameters(), again.parameters(), strict=True)]
        assert all(same) == (rate == "0.02") and all(same[:4])
    with pytest.raises(ValueError, match="groups of"):
        take_over(optimizer.build(cfg(), again), again, content["optimizer"])


def test_one_group_as_ever():
    (group,) = optimizer.build(cfg(), Halves()).state_dict()["param_groups"]
    assert "lr_scale" not in group


def test_mistakes():
    with pytest.raises(UserError, match="--optimizer takes one of .*, not 'sdg'; did you mean 'sgd'"):
        cfg("--optimizer", "sdg")
    with pytest.raises(UserError, match="every parameter of the network is frozen"):
        optimizer.build(cfg(), Vector().requires_grad_(False))
    with pytest.raises(UserError, match="--amsgrad is of --optimizer adam and adamw"):
        cfg("--optimizer", "apex_adam", "--amsgrad")


@pytest.mark.skipif(importlib.util.find_spec("apex") is not None, reason="apex is installed")
@pytest.mark.parametrize("name", ["apex_sgd", "apex_adam"])
def test_apex_that_is_not_there(name):
    with pytest.raises(UserError, match=f"--optimizer {name} needs NVIDIA apex.*use --optimizer {name[5:]}"):
        optimizer.build(cfg("--optimizer", name), Vector())


@pytest.mark.skipif(importlib.util.find_spec("apex") is None, reason="apex is not installed")
@pytest.mark.parametrize("name", ["apex_sgd", "apex_adam"])
def test_apex_that_is_there(name):
    assert type(optimizer.build(cfg("--optimizer", name), Vector())).__module__.startswith("apex")
