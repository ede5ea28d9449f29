"""Dice and bootstrapped cross entropy by hand, the published variants of Dice over ranks, and terms from options."""

from math import log

import pytest
import torch

import config
import loss
from loss.cross_entropy import BootstrappedCrossEntropy
from loss.dice import Dice
from utils.distributed import DistributedContext
from utils.errors import UserError

IGN = 255
LABEL = torch.tensor([[[0, 0, 1, IGN]], [[IGN, IGN, IGN, IGN]]])
# Probability of class 0 of two.
ZERO = torch.tensor([[[0.75, 0.5, 0.25, 0.9]], [[0.1, 0.2, 0.3, 0.4]]], dtype=torch.float64)
LOGITS = torch.stack([ZERO, 1 - ZERO], dim=1).log()
# I, P, T of the first image: 1.25, 1.5, 2 and 0.75, 1.5, 1.
SMOOTHED = ((1 - 3.5 / 4.5) + (1 - 2.5 / 3.5)) / 2


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        (Dice(2), SMOOTHED / 2),
        (Dice(2, smooth=0.0), ((1 - 2.5 / 3.5) + (1 - 1.5 / 2.5)) / 4),
        (Dice(2, weight=(3, 1)), (3 * (1 - 3.5 / 4.5) + (1 - 2.5 / 3.5)) / 4),
        (Dice(2, published="dice_v2.1"), ((1 - 2.5 / 3.5) + (1 - 1.5 / 2.5)) / 2),
        # Five ignored pixels of probability 1/2.
        (Dice(2, published="dice_v2.0"), ((1 - 2.5 / 6) + (1 - 1.5 / 5)) / 2),
        # Losses log 4/3, log 2, log 4/3 and 0.
        (BootstrappedCrossEntropy(2, threshold=0.1, min_pixels=2), (log(2) + 2 * log(4 / 3)) / 6),
        (BootstrappedCrossEntropy(2, threshold=0.1, min_pixels=3), (log(2) + 2 * log(4 / 3)) / 6),
        (BootstrappedCrossEntropy(2, threshold=0.5, min_pixels=1), log(2) / 2),
        (BootstrappedCrossEntropy(2, threshold=0.5, min_pixels=2), (log(2) + log(4 / 3)) / 4),
        (BootstrappedCrossEntropy(2), (log(2) + 2 * log(4 / 3)) / 8),
        (BootstrappedCrossEntropy(2, weight=(1, 10), min_pixels=1, threshold=99), 10 * log(4 / 3) / 2),
    ],
)
def test_by_hand(criterion, expected):
    assert criterion(LOGITS, LABEL).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("published", ["dice_v2.0", "dice_v2.1", "dice_labels"])
def test_published_variants_over_two_ranks(published, on_two_ranks):
    def work(ranks, part=None):
        part = slice(ranks.rank, ranks.rank + 1) if part is None else part
        logits = LOGITS[part].clone().requires_grad_()
        value = Dice(2, IGN, ranks, published=published)(logits, LABEL[part].clone())
        value.backward()
        return value.detach(), logits.grad

    value, grad = work(DistributedContext(), slice(None))
    (value0, grad0), (value1, grad1) = on_two_ranks(work)
    torch.testing.assert_close((value0 + value1) / 2, value)
    torch.testing.assert_close(torch.cat([grad0, grad1]) / 2, grad)


def test_unknown_variant():
    with pytest.raises(UserError, match="dice_v2.1"):
        Dice(2, published="dice_v3")


EIGHT = ",".join(
    f"{name}:{output}:{weight}"
    for name in ("dice", "bootstrapped")
    for output, weight in (("pred", 1), ("aux", 0.4), ("pred_05x", 0.05), ("pred_10x", 0.05))
)


def build(*args):
    return loss.build(config.load(["--arch", "ocrnet.HRNet_Mscale", "--dataset", "cityscapes", *args]))


def test_terms_from_options():
    terms = build("--loss_terms", EIGHT, "--boot_min_pixels", "7", "--published", "dice_v2.0").terms
    assert ",".join(f"{t.name.split('_')[0]}:{t.outputs[0]}:{t.weight:g}" for t in terms) == EIGHT
    assert [type(t.loss).__name__ for t in terms] == ["Dice"] * 4 + ["BootstrappedCrossEntropy"] * 4
    assert getattr(terms[0].loss, "published") == "dice_v2.0"  # noqa: B009
    assert getattr(terms[7].loss, "min_pixels") == 7  # noqa: B009


def test_terms_from_yaml(tmp_path):
    file = tmp_path / "terms.yaml"
    file.write_text("LOSS:\n  TERMS: ['dice:pred:1', 'rmi:aux:0.5', 'relaxation:pred_05x:0.1']\n")
    assert [t.name for t in build("--cfg", str(file)).terms] == ["dice_pred", "rmi_aux", "relaxation_pred_05x"]


def test_labels_that_are_overwritten_reach_later_terms():
    outputs = {"pred": LOGITS, "aux": LOGITS}
    words = ["DATASET.NUM_CLASSES", "2", "--loss_terms", "ce:pred:1,dice:pred:1,ce:aux:1"]
    _, clean = build(*words)(outputs, LABEL)
    label = LABEL.clone()
    _, parts = build(*words, "--published", "dice_labels")(outputs, label)
    assert clean["ce_pred"] == clean["ce_aux"] == parts["ce_pred"]
    assert parts["ce_aux"] != clean["ce_aux"]
    assert LABEL.max() == IGN and label.max() == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--loss_terms", "dice"], "loss:output:weight"),
        (["--loss_terms", "dice:pred:-1"], "loss:output:weight"),
        (["--loss_terms", "dice:pred:nan"], "loss:output:weight"),
        (["--loss_terms", "dice:pred:1,"], "loss:output:weight"),
        (["--loss_terms", "dize:pred:1"], "unknown loss 'dize'.*dice"),
        (["--loss_terms", "dice:pred:1,dice:pred:1"], "dice:pred twice"),
        (["--loss_terms", "dice:pred:1", "--rmi_loss"], "--rmi_loss is of a loss without --loss_terms"),
        (["--published", "dice_v2.0,dice_labels"], "one of dice_v2.0"),
        (["--loss_terms", "bootstrapped:pred:1", "--boot_min_pixels", "0"], "--boot_min_pixels must be above 0"),
    ],
)
def test_mistakes(words, message):
    with pytest.raises(UserError, match=message) as error:
        build(*words)
    assert "\n" not in str(error.value)


def test_an_output_that_is_not_there():
    criterion = build("--loss_terms", "dice:main:1", "DATASET.NUM_CLASSES", "2")
    with pytest.raises(UserError, match="reads the output 'main'; the network gives pred"):
        criterion({"pred": LOGITS}, LABEL)
