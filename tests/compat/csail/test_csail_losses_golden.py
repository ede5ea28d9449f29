"""Scene parsing's loss with deep supervision, its gradients and its counts, as published."""

import json

import numpy as np
import pytest
import torch
from golden.fill import image, labels
from shared import GOLDEN

import config
from evaluation.metrics import ConfusionMatrix
from loss import build

WORDS = ["--dataset", "ade20k", "--arch_encoder", "resnet50dilated", "--arch_decoder", "ppm_deepsup"]


@pytest.fixture(scope="module")
def published():
    with np.load(GOLDEN / "csail/csail_losses.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def label(published):
    """Where the published label is -1, ours is 255."""
    made = labels("csail_losses", (2, 144, 192), 150, ignore=-1)[:, ::8, ::8]
    assert (made == published["labels"]).all()
    return torch.from_numpy(np.where(made < 0, 255, made)).long()


@pytest.mark.parametrize("norm", ["global", "rank"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-6)])
def test_loss_and_gradients(published, label, norm, dtype, tolerance):
    told = json.loads(str(published["meta"]))
    assert told["logits"] == "2*image('csail_losses',(2,150,18,24))"
    outputs = {
        name: (2 * torch.from_numpy(image(seed, (2, 150, 18, 24)))).to(dtype).requires_grad_()
        for name, seed in (("pred", "csail_losses"), ("deepsup", "csail_losses:deepsup"))
    }
    total, parts = build(config.load([*WORDS, "--loss_norm", norm]))(outputs, label)
    total.backward()
    assert total.item() == pytest.approx(float(published["loss"]), rel=tolerance)
    assert [parts[name].item() for name in ("main", "deepsup")] == pytest.approx(published["parts"], rel=tolerance)
    for name, key in (("pred", "logits"), ("deepsup", "deepsup")):
        gradient, expected = outputs[name].grad, published[f"{key}_grad"]
        assert gradient.double().norm().item() == pytest.approx(float(published[f"{key}_grad_norm"]), rel=tolerance)
        step = [full // part for full, part in zip(gradient.shape[2:], expected.shape[2:], strict=True)]
        found = gradient[..., :: step[0], :: step[1]].numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_pixel_accuracy(published, label):
    confusion = ConfusionMatrix(150)
    classes = torch.from_numpy(image("csail_losses", (2, 150, 18, 24))).argmax(1)
    for pred, truth in zip(classes, label, strict=True):
        confusion.update(pred, truth)
    scores = confusion.scores()
    assert scores.pixels == int(published["valid"])
    assert scores.tp.sum() / scores.pixels == pytest.approx(float(published["acc"]), rel=1e-7)  # float32 there


def test_intersection_and_union(published, label):
    """Predictions where there is no label are in neither."""
    confusion = ConfusionMatrix(150)
    for pred, truth in zip(torch.from_numpy(published["metric_pred"]), label, strict=True):
        confusion.update(pred, truth)
    scores = confusion.scores()
    assert scores.pixels == int(published["metric_pix"])
    assert scores.tp.sum() / scores.pixels == pytest.approx(float(published["metric_acc"]), rel=1e-9)
    assert (scores.tp == published["metric_intersection"]).all()
    assert (scores.tp + scores.fn + scores.fp == published["metric_union"]).all()
