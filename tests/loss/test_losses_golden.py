"""Losses against the numbers of the published code."""

import json

import numpy as np
import pytest
import torch
from golden.fill import image, labels

import config
from loss import build
from loss.cross_entropy import CrossEntropy, WeightedCrossEntropy
from loss.pixels import valid_pixels
from loss.relaxation import Relaxation, relaxed_target
from loss.rmi import RMI

STRICT = (0, 3, 11, 12)
VARIANTS = {"border1": {}, "border1_strict": {"strict": STRICT}, "border2": {"border": 2}}


def weighted(batch, bound):
    return WeightedCrossEntropy(19, bound=bound, batch=batch, published=True)


def relaxed(**options):
    return Relaxation(19, published=True, **options)


CASES = {
    "ce": CrossEntropy(19),
    **{
        f"img_wt.batch_weighting_{batch}.upper_bound_{bound}": weighted(batch, bound)
        for batch in (False, True)
        for bound in (1.0, 0.5, 4.0)
    },
    "img_wt.absent_classes": weighted(False, 1.0),
    "img_wt.absent_classes.first_image": weighted(False, 1.0),
    "rmi.do_rmi_True": RMI(19),
    "rmi.do_rmi_False": RMI(19, region=False),
    "relaxed.border1.first_image": relaxed(),
    "relaxed.border1.batch_weighting_False.upper_bound_1.0": relaxed(),
    "relaxed.border1.batch_weighting_True.upper_bound_1.0": relaxed(batch=True),
    "relaxed.border1.batch_weighting_False.upper_bound_2.0": relaxed(bound=2.0),
    "relaxed.border1_strict.batch_weighting_False.upper_bound_1.0": relaxed(strict=STRICT),
    "relaxed.border2.batch_weighting_False.upper_bound_1.0": relaxed(border=2),
}
# Of one image the published value is ours.
OURS = {
    "img_wt.absent_classes.first_image": WeightedCrossEntropy(19),
    "relaxed.border1.first_image": Relaxation(19),
}


@pytest.fixture(scope="module")
def published(golden):
    text = (golden / "nvidia/losses.json").read_text()
    with np.load(golden / "nvidia/losses.npz") as arrays:
        return json.loads(text)["losses"]["cases"], dict(arrays)


def inputs(case, dtype):
    logits = torch.from_numpy(image("losses", (2, 19, 64, 96)) * 3).to(dtype).requires_grad_()
    label = torch.from_numpy(labels("losses", (2, 64, 96), 19))
    if "absent_classes" in case:
        label = torch.where(label == 255, label, label % 7)
    return logits, label


def check(case, loss, dtype, published):
    numbers, arrays = published
    logits, label = inputs(case, dtype)
    images = 1 if case.endswith("first_image") else 2
    value = loss(logits[:images], label[:images])
    value.backward()
    suffix = "_float64_logits" if dtype == torch.float64 else ""
    assert value.item() == pytest.approx(numbers[case]["value" + suffix], rel=1e-5)
    # In double: the norm's own rounding in single is as large as the tolerance.
    norm = logits.grad.double().norm().item()
    expected = numbers[case]["grad_norm_float64_logits"]
    assert norm == pytest.approx(expected, rel=1e-5)
    grad = arrays[case + ".grad"]
    assert np.abs(logits.grad[:, :, ::8, ::8].numpy()[: len(grad)] - grad).max() <= 1e-4 * np.abs(grad).max()


def test_every_case_is_checked(published):
    assert set(CASES) == set(published[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES)
def test_published(case, dtype, published):
    check(case, CASES[case], dtype, published)


@pytest.mark.parametrize("case", OURS)
def test_one_image_is_the_same_in_ours(case, published):
    check(case, OURS[case], torch.float64, published)


def test_class_weights(published):
    _, label = inputs("", torch.float32)
    weights = CASES["img_wt.batch_weighting_False.upper_bound_1.0"].weights(label, valid_pixels(label, 19, 255))
    np.testing.assert_allclose(weights[0].numpy(), published[1]["img_wt.weights"], rtol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_packed_targets(variant, published):
    shape = published[1][f"relaxed.{variant}.target_shape"]
    packed = np.unpackbits(published[1][f"relaxed.{variant}.target_packed"])[: np.prod(shape)].reshape(shape)
    _, label = inputs("", torch.float32)
    assert np.array_equal(relaxed_target(label, 19, **VARIANTS[variant]).numpy(), packed)


@pytest.fixture(scope="module")
def earlier(golden):
    """The same losses in the earlier published code, which has single images and the phase without relaxation."""
    with np.load(golden / "sdcnet/relaxed_boundary_loss.npz") as arrays:
        arrays = dict(arrays)
    label = torch.from_numpy(arrays["labels"].astype(np.int64))
    own = label.unsqueeze(1) == torch.arange(19).view(-1, 1, 1)
    return 2 * torch.from_numpy(image("relaxed_boundary_loss", (2, 19, 40, 56))) + 2 * own, label, arrays


EARLIER_STRICT = (5, 6, 7, 11, 12, 17, 18)
EARLIER = {"plain": {}, "strict": {"strict": EARLIER_STRICT}, "off": {"strict": EARLIER_STRICT, "reduced": True}}


@pytest.mark.parametrize("case", EARLIER)
def test_earlier_relaxation(case, earlier):
    logits, label, arrays = earlier
    ours = Relaxation(19, **EARLIER[case])
    target, twice = ours.target(label)
    assert np.array_equal((target * (1 + twice.long().unsqueeze(1))).numpy(), arrays[case + "_target"])
    alone = [arrays[f"{case}_image{i}_loss"] for i in range(2)]
    assert ours(logits, label).item() == pytest.approx(sum(alone) / 2, rel=1e-5)
    for i, expected in enumerate(alone):
        assert ours(logits[i : i + 1], label[i : i + 1]).item() == pytest.approx(expected, rel=1e-5)
    assert relaxed(**EARLIER[case])(logits, label).item() == pytest.approx(arrays[case + "_batch2_loss"], rel=1e-5)
    shared = relaxed(batch=True, **EARLIER[case])(logits, label).item()
    assert shared == pytest.approx(arrays[case + "_batch2_batchweights_loss"], rel=1e-5)


def gradient_of(loss, logits, label):
    logits = logits.double().requires_grad_()
    loss(logits, label).backward()
    return logits.grad


def assert_gradient(grad, arrays, case):
    """Every fourth pixel, where the file has them, and the norm."""
    if case + "_grad" in arrays:
        expected = arrays[case + "_grad"]
        assert np.abs(grad[..., ::4, ::4].numpy() - expected).max() <= 1e-4 * np.abs(expected).max()
    assert grad.norm().item() == pytest.approx(arrays[case + "_grad_norm"], rel=1e-5)


@pytest.mark.parametrize("case", EARLIER)
def test_earlier_relaxation_gradient(case, earlier):
    logits, label, arrays = earlier
    grad = gradient_of(Relaxation(19, **EARLIER[case]), logits, label)
    for i in range(2):
        assert_gradient(2 * grad[i], arrays, f"{case}_image{i}")
        alone = gradient_of(Relaxation(19, **EARLIER[case]), logits[i : i + 1], label[i : i + 1])
        torch.testing.assert_close(alone[0], 2 * grad[i])
    assert_gradient(gradient_of(relaxed(**EARLIER[case]), logits, label), arrays, f"{case}_batch2")


@pytest.mark.parametrize("case", EARLIER)
def test_earlier_relaxation_weights(case, earlier):
    _, label, arrays = earlier
    loss = Relaxation(19, **EARLIER[case])
    np.testing.assert_allclose(
        loss.weights(*loss.target(label[:1]))[0].numpy(), arrays[case + "_class_weights_image0"], rtol=1e-6
    )


SHARED_OPTIONS = ["--arch", "deepv3.DeepWV3Plus", "--dataset", "cityscapes"]
RELAXED = [*SHARED_OPTIONS, "--jointwtborder", "-wb", "1.0"]


@pytest.mark.parametrize(
    ("case", "words", "epoch"),
    [
        ("plain", [], 0),
        ("strict", ["--strict_bdr_cls", "5,6,7,11,12,17,18", "--rlx_off_epoch", "100"], 0),
        ("strict", ["--strict_bdr_cls", "5,6,7,11,12,17,18", "--rlx_off_epoch", "100"], 100),
        ("off", ["--strict_bdr_cls", "5,6,7,11,12,17,18", "--rlx_off_epoch", "100"], 101),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_earlier_relaxation_by_its_flags(case, words, epoch, dtype, earlier):
    """Half types round the logits, and no more than that."""
    logits, label, arrays = earlier
    rounding = {torch.float32: 1e-5, torch.float16: 1e-4, torch.bfloat16: 1e-3}[dtype]

    def value(*more):
        criterion = build(config.load([*RELAXED, *words, *more]))
        return criterion({"pred": logits.to(dtype)}, label, epoch)[0].item()

    mean = (arrays[case + "_image0_loss"] + arrays[case + "_image1_loss"]) / 2
    assert value() == pytest.approx(mean, rel=rounding)
    batch2 = arrays[case + "_batch2_loss"]
    assert value("--published", "relaxation") == pytest.approx(batch2, rel=rounding)
    shared = arrays[case + "_batch2_batchweights_loss"]
    assert value("--published", "relaxation", "--batch_weighting") == pytest.approx(shared, rel=rounding)


WEIGHTED = {
    "imgwt_wb1": ["-wb", "1"],
    "imgwt_wb6": ["--wt_bound", "6.0"],
    "imgwt_batchweights_wb1": ["--batch_weighting"],
}


@pytest.mark.parametrize("case", WEIGHTED)
def test_earlier_class_weights(case, earlier):
    """The earlier code sums the images' values, but has each image's own weights: ours, times two."""
    logits, label, arrays = earlier
    # Class weights win over relaxation.
    criterion = build(config.load([*RELAXED, "--img_wt_loss", *WEIGHTED[case]]))
    (loss,) = criterion.losses
    assert 2 * criterion({"pred": logits}, label)[0].item() == pytest.approx(arrays[case + "_loss"], rel=1e-5)
    assert_gradient(2 * gradient_of(loss, logits, label), arrays, case)
    weights = WeightedCrossEntropy(19, bound=loss.bound).weights(label[:1], valid_pixels(label[:1], 19, 255))
    np.testing.assert_allclose(weights[0].numpy(), arrays[case + "_weights_image0"], rtol=1e-6)


def test_earlier_cross_entropy(earlier):
    logits, label, arrays = earlier
    criterion = build(config.load(SHARED_OPTIONS))
    assert criterion({"pred": logits}, label)[0].item() == pytest.approx(arrays["ce_loss"], rel=1e-5)
    assert_gradient(gradient_of(CrossEntropy(19), logits, label), arrays, "ce")
