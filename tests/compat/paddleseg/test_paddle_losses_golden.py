"""Dice and bootstrapped cross entropy against PaddleSeg's numbers, alone and through the whole network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.fill import fill, image, labels
from shared import GOLDEN
from torch import nn

import config
import loss
import network
from loss.cross_entropy import BootstrappedCrossEntropy
from loss.dice import Dice
from network.net import published as published_name

slow = pytest.mark.slow
ROOT = Path(__file__).parents[3]
CLASSES, IGNORE = 19, 255
LEGACY = {"legacy_v2.0_dice": "dice_v2.0", "legacy_v2.1_dice": "dice_v2.1"}
# Logits of a case come from our net under these names.
OUTPUTS = {"joint_pred": "pred", "joint_aux": "aux", "scaled_pred_05x": "pred_05x", "pred_10x": "pred_10x"}
LOSSES = {"DiceLoss": "dice", "BootstrappedCrossEntropyLoss": "bootstrapped"}


@pytest.fixture(scope="module")
def published():
    with np.load(GOLDEN / "paddle/losses.npz") as arrays:
        return json.loads((GOLDEN / "paddle/losses.json").read_text()), dict(arrays)


def make(case):
    options = {"weight": case["weight"]} if "weight" in case else {}
    if case["loss"] == "BootstrappedCrossEntropyLoss":
        return BootstrappedCrossEntropy(CLASSES, min_pixels=case["min_K"], threshold=case["loss_th"], **options)
    return Dice(CLASSES, smooth=case.get("smooth", 1.0), published=LEGACY.get(case["loss"], ""), **options)


def inputs(case, dtype):
    logits = torch.from_numpy(3 * image("paddle_loss", (2, CLASSES, 64, 96)))
    label = torch.from_numpy(labels("paddle_loss", (2, 64, 96), CLASSES))
    own = label.unsqueeze(1) == torch.arange(CLASSES).view(-1, 1, 1)
    if case["logits"] == "easy":
        logits = logits + 15 * own
    if case["labels"] == "labels_255_to_0":
        label = label.masked_fill(label == IGNORE, 0)
    return logits.to(dtype).requires_grad_(), label


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [
    "dice_default", "dice_smooth0", "dice_weighted", "dice_easy", "dice_ignore_as_class0", "boot_K3000_th0.05",
    "boot_K500_th0.05", "boot_K500_th6", "boot_K500_th20_topk", "boot_K500_th0.05_easy", "boot_K3000_th0.05_easy_topk",
    "boot_Klast_th0.05_topk_with_ignored", "boot_K500_th6_weighted", "boot_K500_th6_ignore_as_class0",
    "legacy_v2.0_dice", "legacy_v2.1_dice",
])  # fmt: skip
def test_alone(name, dtype, published):
    told, arrays = published
    case = told["cases"][name]
    logits, label = inputs(case, dtype)
    before = label.clone()
    value = make(case)(logits, label)
    value.backward()
    close = {"abs": 2e-5} if name == "dice_easy" else {"rel": 1e-5}
    assert value.item() == pytest.approx(case["value"], **close)
    close = {"rel": 2e-5 / case["value"]} if name == "dice_easy" else {"rel": 1e-5}
    assert logits.grad.double().norm().item() == pytest.approx(case["grad_norm"], **close)
    assert logits.grad.abs().max().item() == pytest.approx(case["grad_max_abs"], **close)
    assert (logits.grad != 0).any(1).sum() == case["grad_nonzero_pixels"]
    expected = arrays[name + ".grad_strided"]
    assert np.abs(logits.grad[:, :, ::4, ::4].numpy() - expected).max() <= 1e-4 * np.abs(expected).max()
    if name + ".selected" in arrays:
        chosen = (logits.grad != 0).any(1).flatten().numpy()
        assert np.array_equal(chosen, np.unpackbits(arrays[name + ".selected"])[: chosen.size].astype(bool))
    assert torch.equal(label, before)


def test_every_case_is_checked(published):
    names = {mark.args[1][i] for mark in test_alone.pytestmark if mark.args[0] == "name" for i in range(16)}
    assert names == set(published[0]["cases"])


def test_labels_are_overwritten_where_asked(published):
    case = published[0]["cases"]["dice_default"]
    logits, label = inputs(case, torch.float32)
    assert (label == IGNORE).sum() == sum(published[0]["ignored_pixels_per_image"])
    value = Dice(CLASSES, published="dice_labels")(logits, label)
    assert value.item() == pytest.approx(case["value"], rel=1e-5)
    assert (label == IGNORE).sum() == case["labels_255_after"]


def criterion(told, published):
    terms = zip(told["loss_of_term"], told["logit_of_term"], told["coef"], strict=True)
    words = ",".join(f"{LOSSES[name]}:{OUTPUTS[logit]}:{coef}" for name, logit, coef in terms)
    options = ["--loss_terms", words, "--boot_min_pixels", str(told["min_K"]), "--boot_threshold", str(told["loss_th"])]
    options += ["--published", "dice_labels"] if published else []
    return loss.build(config.load(["--arch", "ocrnet.HRNet_Mscale", "--dataset", "cityscapes", *options]))


def net_of(dtype):
    """The network in training mode, without dropout, filled by Paddle's names; {Paddle's name: ours}."""
    names = json.loads((GOLDEN / "paddle/key_map.json").read_text())
    with torch.device("meta"):
        net = network.build(config.load(["--arch", "ocrnet.HRNet_Mscale", "--dataset", "cityscapes"]))
    ours = {mine: paddle for paddle, mine in names.items()}
    state = {n: torch.from_numpy(fill(ours.get(n, n), x.shape)) for n, x in net.state_dict().items()}
    net.load_state_dict(state, assign=True)
    for module in net.modules():
        if isinstance(module, (nn.Dropout, nn.Dropout2d)):
            module.p = 0.0
    return net.requires_grad_().to(dtype).train(), names


def biased_updates(net, names):
    """{name: running variance as Paddle moves it}, which divides by n: filled by every pass from now on."""
    moved = {}
    for name in names:
        module = {published_name(net, path): part for path, part in net.named_modules()}[name.rpartition(".")[0]]
        moved[name] = module.running_var.clone()

        def follow(module, args, name=name):
            moved[name] = 0.9 * moved[name] + 0.1 * args[0].detach().var((0, 2, 3), correction=0)

        module.register_forward_pre_hook(follow)
    return moved


def load(file):
    with np.load(GOLDEN / f"paddle/{file}.npz") as arrays:
        return dict(arrays)


def check_step(file, dtype, logit_tolerance, gradient_tolerance):
    """Gradients are compared with the exact ones, in double: those recorded in single are further off than ours."""
    precise = json.loads((GOLDEN / "paddle/train_mode_f64.json").read_text())
    told = json.loads((GOLDEN / f"paddle/{file}.json").read_text())
    arrays, exact = load(file), load("train_mode_f64")
    net, names = net_of(dtype)
    running = [key.removeprefix("running.") for key in arrays if key.startswith("running.")]
    variances = biased_updates(net, [names[key] for key in running if key.endswith("_variance")])
    picture, label = image("paddle_train", (2, 3, 128, 128)), labels("paddle_train", (2, 128, 128), CLASSES)
    outputs = net(torch.from_numpy(picture).to(dtype))
    for logit, name in OUTPUTS.items():
        ours = loss.criterion.resize(outputs[name], label.shape[-2:]).detach().numpy()
        limit = logit_tolerance * told["max_abs_logit"][logit]
        assert np.abs(ours[:, :, ::4, ::4] - arrays[logit + ".strided"]).max() <= limit, logit
        assert np.abs(ours.mean((0, 2, 3)) - arrays[logit + ".mean"]).max() <= limit, logit
    after = net.state_dict()
    for key in running:
        ours = variances[names[key]] if key.endswith("_variance") else after[names[key]]
        error = np.abs(ours.numpy() - arrays["running." + key]).max()
        assert error <= logit_tolerance * max(1, np.abs(arrays["running." + key]).max()), key
    for case, as_published in (("clean_labels", False), ("reference_inplace_labels", True)):
        net.zero_grad()
        total, parts = criterion(told, as_published)(outputs, torch.from_numpy(label.copy()))
        total.backward(retain_graph=True)
        check_loss(told[case], precise[case], total, parts, net, names, logit_tolerance, gradient_tolerance)
        state = net.state_dict(keep_vars=True)
        for key in [key for key in arrays if key.startswith(f"grad.{case}.")]:
            expected = exact[key]
            ours = state[names[key.removeprefix(f"grad.{case}.")]].grad.flatten()
            ours = ours[::7].numpy() if expected.size < ours.numel() else ours.numpy()
            assert np.abs(ours - expected).max() <= gradient_tolerance * np.abs(expected).max(), key


def check_loss(told, precise, total, parts, net, names, value_tolerance, gradient_tolerance):
    assert [part.item() for part in parts.values()] == pytest.approx(told["terms"], rel=value_tolerance)
    assert total.item() == pytest.approx(told["total"], rel=value_tolerance)
    state = net.state_dict(keep_vars=True)
    norms = {key: state[names[key]].grad.double().norm().item() for key in precise["grad_norms"]}
    assert norms == pytest.approx(precise["grad_norms"], rel=gradient_tolerance)
    every = torch.stack([p.grad.double().norm() for p in net.parameters() if p.grad is not None])
    assert every.norm().item() == pytest.approx(precise["global_grad_norm"], rel=gradient_tolerance)


@slow
def test_step_in_double():
    """Quick: each loss in test_alone, and a step of the same network in test_train_step.py."""
    check_step("train_mode_f64", torch.float64, 1e-6, 1e-6)


IN_SINGLE = """
import torch, test_paddle_losses_golden as golden
with torch.backends.mkldnn.flags(enabled=False):
    golden.check_step("train_mode", torch.float32, 1e-3, 3e-2)
"""


@slow
def test_step_in_single():
    """By one order of sums: oneDNN splits them as there are threads, and MKL has others for AVX-512 than for AVX2.

    The first convolution's gradient moves by 1 and by 2 % then. MKL reads its variable once a process.
    """
    places = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)])
    env = os.environ | {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "PYTHONPATH": places}
    done = subprocess.run([sys.executable, "-c", IN_SINGLE], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
