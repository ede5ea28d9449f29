"""One training step of the full network against the published one: value of the loss, gradients, running statistics."""

import json

import pytest
import torch
from golden.fill import fill, image, labels
from torch import nn

import config
import loss
import network

slow = pytest.mark.slow
# Beside the recorded command line: what the published code does differently.
EXTRA = {"img_wt": ["--published", "img_wt"]}
CASES = ["ce", "img_wt", "rmi", "rmi_aux", "ce_single_scale"]


def step(case, dtype, golden):
    """Published numbers of a case, ours, and the net after the backward pass."""
    numbers = json.loads((golden / "nvidia/train_step.json").read_text())[case]
    cfg = config.load(["--arch", numbers["arch"], "--dataset", "cityscapes", *numbers["flags"], *EXTRA.get(case, [])])
    net = filled(cfg, dtype)
    shape = numbers["input_shape"]
    label = torch.from_numpy(labels(numbers["input_name"], (shape[0], *shape[2:]), cfg.DATASET.NUM_CLASSES))
    total, _ = loss.build(cfg)(net(torch.from_numpy(image(numbers["input_name"], shape)).to(dtype)), label)
    total.backward()
    return numbers, total.item(), net


def filled(cfg, dtype):
    """The net in training mode, without dropout, its weights made from their names."""
    with torch.device("meta"):
        net = network.build(cfg)
    state = {name: torch.from_numpy(fill(name, tensor.shape)) for name, tensor in net.state_dict().items()}
    net.load_state_dict(state, assign=True)
    for module in net.modules():
        if isinstance(module, (nn.Dropout, nn.Dropout2d)):
            module.p = 0.0
    return net.requires_grad_().to(dtype).train()


@slow
@pytest.mark.parametrize("case", CASES)
def test_in_double(case, golden):
    numbers, value, net = step(case, torch.float64, golden)
    check(numbers["float64"], value, net, 1e-4)


@slow
@pytest.mark.parametrize("case", ["ce", "rmi"])
def test_in_single(case, golden):
    numbers, value, net = step(case, torch.float32, golden)
    check(numbers, value, net, 5e-2)


def check(numbers, value, net, tolerance):
    assert value == pytest.approx(numbers["loss"], rel=1e-4)
    state = net.state_dict(keep_vars=True)
    every = {name: x for name, x in state.items() if isinstance(x, nn.Parameter)}
    norms = {name: p.grad.double().norm() for name, p in every.items() if p.grad is not None}
    assert [name for name in every if name not in norms] == numbers["parameters_without_gradient"]
    expected = numbers["grad_norm"]
    assert {name: norms[name].item() for name in expected} == pytest.approx(expected, rel=tolerance)
    total = torch.stack(list(norms.values())).norm().item()
    assert total == pytest.approx(numbers["total_grad_norm"], rel=tolerance)
    expected = numbers["buffer_norm_after"]
    assert {name: state[name].double().norm().item() for name in expected} == pytest.approx(expected, rel=1e-4)
