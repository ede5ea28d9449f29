"""Hard pixels, class weights, confidence of seeds: the published numbers, small cases by hand, ranks, options."""

from math import log
from typing import Any

import numpy as np
import pytest
import torch
from golden.fill import image, labels
from torch import Tensor, nn

import config
import loss
from loss.criterion import Criterion, Term
from loss.cross_entropy import CITYSCAPES, CrossEntropy, HardPixelCrossEntropy
from loss.offset import SeedConfidence
from utils.distributed import DistributedContext
from utils.errors import UserError

LABEL = torch.from_numpy(labels("offset_losses", (2, 96, 160), 19))
IGN = 255


@pytest.fixture(scope="module")
def published(golden) -> dict[str, np.ndarray]:
    with np.load(golden / "offset/offset_losses.npz") as arrays:
        return dict(arrays)


def scores(dtype: torch.dtype = torch.float32) -> Tensor:
    """As the file says: the label's own channel stands out where the map's pixel has a class."""
    x = torch.from_numpy(3 * image("offset_losses:scores", (2, 19, 24, 40)))
    for k in range(19):
        x[:, k] += 4 * (LABEL[:, ::4, ::4] == k)
    return x.to(dtype).requires_grad_()


def backward(term: nn.Module, **outputs: Tensor) -> float:
    criterion = Criterion([Term("one", tuple(outputs), 1.0, term)], 19)
    total, _ = criterion(outputs, LABEL)
    total.backward()
    return total.item()


def close(file: dict[str, np.ndarray], key: str, value: float, grad: Tensor, step: int = 1) -> None:
    assert value == pytest.approx(float(file[f"{key}_loss"]), rel=1e-6)
    assert grad.norm().item() == pytest.approx(float(file[f"{key}_grad_norm"]), rel=1e-5)
    if f"{key}_grad" in file:
        want = file[f"{key}_grad"]
        assert np.abs(grad[..., ::step, ::step].numpy() - want).max() <= 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weighted_cross_entropy(published, dtype: torch.dtype) -> None:
    x = scores(dtype)
    value = backward(CrossEntropy(19, weight=CITYSCAPES), pred=x)
    assert x.grad is not None
    close(published, "ce", value, x.grad, 4)


@pytest.mark.parametrize("threshold, keep", [(0.9, 131072), (0.9, 2000), (0.3, 2000), (0.3, 20000)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hard_pixels(published, threshold: float, keep: int, dtype: torch.dtype) -> None:
    x = scores(dtype)
    value = backward(HardPixelCrossEntropy(19, threshold=threshold, keep=keep, weight=CITYSCAPES), pred=x)
    assert x.grad is not None
    close(published, f"ohem_t{threshold}_k{keep}", value, x.grad, 4)


def test_hard_pixels_of_probabilities(published) -> None:
    x = scores().detach().softmax(1).requires_grad_()
    term = HardPixelCrossEntropy(19, keep=2000, weight=CITYSCAPES, probabilities=True)
    value = backward(term, pred=x)
    assert x.grad is not None
    close(published, "ohem_prob_t0.9_k2000", value, x.grad)


@pytest.mark.parametrize("end, aligned", [("", True), ("_acF", False)])
def test_confidence(published, end: str, aligned: bool) -> None:
    offset = torch.from_numpy(0.5 * np.tanh(0.3 * image("offset_losses:offset", (2, 2, 24, 40)))).requires_grad_()
    confidence = torch.from_numpy(image("offset_losses:conf", (2, 1, 24, 40))).sigmoid().requires_grad_()
    term = SeedConfidence(19, align_corners=aligned, published=True)
    value = backward(term, offset=offset, confidence=confidence)
    assert value == pytest.approx(float(published[f"confidence_loss{end}"]), rel=1e-6)
    assert confidence.grad is not None and offset.grad is None
    assert float(published[f"confidence_offset_grad_norm{end}"]) == 0
    want = published[f"confidence_grad{end}"]
    assert np.abs(confidence.grad.numpy() - want).max() <= 1e-5 * np.abs(want).max()
    ours = SeedConfidence(19, align_corners=aligned)
    assert backward(ours, offset=offset, confidence=confidence) < value


# --- by hand: two classes, the probability of a pixel's own class is given ----------------------------------------


def logits(own: Tensor, label: Tensor) -> Tensor:
    first = torch.where(label == 0, own, 1 - own)
    return torch.stack([first, 1 - first], dim=1).log()


FEW = torch.tensor([[[0, 0, 0, 1]], [[1, IGN, IGN, IGN]]])
OWN = torch.tensor([[[0.5, 0.95, 0.92, 0.25]], [[0.97, 0.01, 0.01, 0.01]]], dtype=torch.float64)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, (log(2) + log(4)) / 2),  # below 0.9
        ({"keep": 3}, (log(2) + log(4) - log(0.92)) / 3),  # and the third
        ({"keep": 2, "threshold": 0.1}, (log(2) + log(4)) / 2),
        ({"keep": 100}, (log(2) + log(4) - log(0.92) - log(0.95)) / 4),  # never the easiest of all
        ({"threshold": 1.0}, (log(2) + log(4) - log(0.92) - log(0.95) - log(0.97)) / 5),
        ({"weight": (3.0, 0.5)}, (3 * log(2) + 0.5 * log(4)) / 2),  # divided by the number
    ],
)
def test_which_pixels_are_hard(options: dict[str, Any], expected: float) -> None:
    term = HardPixelCrossEntropy(2, **{"keep": 1, **options})
    assert term(logits(OWN, FEW), FEW).item() == pytest.approx(expected, rel=1e-12)
    assert term.skipped == 0


def test_nothing_hard_is_left_out_and_counted() -> None:
    """Where every pixel is equally sure, or none has a class; what is not finite shows."""
    term, x = HardPixelCrossEntropy(2, keep=10), logits(torch.full_like(OWN, 0.95), FEW).requires_grad_()
    value = term(x, FEW)
    value.backward()
    assert value == 0 and x.grad is not None and not x.grad.any()
    assert term.skipped == 1
    assert term(x, torch.full_like(FEW, IGN)) == 0
    assert term.skipped == 2
    assert Criterion([Term("a", ("pred",), 1.0, term)], 2).skipped == 2
    assert term(torch.full_like(x, torch.nan), FEW).isnan()


def test_weights_of_classes_divide_the_mean() -> None:
    own = torch.tensor([[[0.5, 0.25]]], dtype=torch.float64)
    label = torch.tensor([[[0, 1]]])
    value = CrossEntropy(2, weight=(0.3, 0.1))(logits(own, label), label)
    assert value.item() == pytest.approx((0.3 * log(2) + 0.1 * log(4)) / 0.4, rel=1e-12)
    assert CrossEntropy(2, weight=(1.0, 0.0))(logits(own, label), label.clamp(min=1)) == 0


def steps(columns: float, width: int = 4) -> Tensor:
    """An offset of so many columns: (1, 2, 1, width)."""
    return torch.tensor([2 * columns / (width - 1), 0.0], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 1, width)


def test_confidence_by_hand() -> None:
    """Each pixel's seed is its right neighbor, the last one's is itself; ignored pixels and seeds are left out."""
    label = torch.tensor([[[0, 1, 1, 0]]])
    f = torch.tensor([0.1, 0.8, 0.3, 0.6], dtype=torch.float64).view(1, 1, 1, 4)
    right = -log(0.9) - log(0.8) - log(0.7) - log(0.6)
    assert SeedConfidence(2)(steps(1), f, label).item() == pytest.approx(right / 4, rel=1e-5)
    label[..., 2] = IGN
    assert SeedConfidence(2)(steps(1), f, label).item() == pytest.approx((-log(0.9) - log(0.6)) / 4, rel=1e-5)
    as_class_0 = -log(0.9) - log(0.2) - log(0.3) - log(0.6)
    assert SeedConfidence(2, published=True)(steps(1), f, label).item() == pytest.approx(as_class_0 / 4, rel=1e-5)


def test_confidence_is_summed_over_images() -> None:
    label = torch.tensor([[[0, 1, 1, 0]]])
    f, term = torch.full((1, 1, 1, 4), 0.3, dtype=torch.float64), SeedConfidence(2)
    twice = term(steps(1).repeat(2, 1, 1, 1), f.repeat(2, 1, 1, 1), label.repeat(2, 1, 1))
    assert twice.item() == pytest.approx(2 * term(steps(1), f, label).item())


# --- ranks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ce", "ohem", "confidence"])
def test_two_ranks_equal_one(on_two_ranks, name: str) -> None:
    """With the threshold of hard pixels fixed; their hardest `keep` are taken by each rank."""
    torch.manual_seed(0)
    label = torch.randint(0, 3, (4, 6, 8))
    label[0, :4] = IGN
    x, confidence = torch.randn(4, 3, 6, 8, dtype=torch.float64), torch.rand(4, 1, 6, 8, dtype=torch.float64)
    offset = 0.3 * torch.randn(4, 2, 6, 8, dtype=torch.float64)

    def value(ranks, part: slice) -> Tensor:
        if name == "confidence":
            return SeedConfidence(3, ranks=ranks)(offset[part], confidence[part], label[part])
        term = CrossEntropy(3, ranks=ranks, weight=(1.0, 2.0, 0.5))
        if name == "ohem":
            term = HardPixelCrossEntropy(3, ranks=ranks, threshold=0.5, keep=1, weight=(1.0, 2.0, 0.5))
        return term(x[part], label[part])

    parts = on_two_ranks(lambda ranks: value(ranks, slice(2 * ranks.rank, 2 * ranks.rank + 2)))
    torch.testing.assert_close(sum(parts) / 2, value(DistributedContext(), slice(0, 4)))


# --- options ------------------------------------------------------------------------------------------------------


def build(arch: str, *words: str) -> Criterion:
    return loss.build(config.load(["--arch", arch, "--dataset", "cityscapes", *words]))


def table(criterion: Criterion) -> dict[str, tuple]:
    return {term.name: (term.outputs, term.weight, type(term.loss).__name__) for term in criterion.terms}


HARD = "HardPixelCrossEntropy"
SUM = {
    "main": (("pred",), 1.0, HARD),
    "initial": (("initial",), 0.5, HARD),
    "seed": (("seed",), 0.5, HARD),
    "confidence": (("offset", "confidence"), 1.0, "SeedConfidence"),
}


def test_terms_of_a_network_with_offsets() -> None:
    assert table(build("offset.HRNet")) == SUM
    assert table(build("offset.DeepV3PlusX71")) == SUM
    more = {"pred_05x": (("pred_05x",), 0.05, HARD), "pred_10x": (("pred_10x",), 0.05, HARD)}
    assert table(build("offset.HRNet_Mscale", "--supervised_mscale_loss_wt", "0.05")) == SUM | more
    aux = {name: ((name,), weight, HARD) for name, weight in (("aux", 0.4), ("initial_aux", 0.2), ("seed_aux", 0.2))}
    criterion = build("offset.HRNet_OCR")
    assert table(criterion) == SUM | aux
    assert criterion.align_corners and not build("offset.HRNet").align_corners
    assert "deepsup" in table(build("offset.encoder_decoder"))
    assert table(build("seg_hrnet.HRNet")) == {"main": (("pred",), 1.0, "CrossEntropy")}


def test_region_loss_of_a_network_with_offsets() -> None:
    terms = table(build("offset.HRNet", "--rmi_loss"))
    assert {name: kind for name, (_, _, kind) in terms.items()} == {
        "main": "RMI", "initial": "RMI", "seed": "RMI", "confidence": "SeedConfidence",
    }  # fmt: skip
    assert [t.loss.region for t in build("offset.HRNet", "--rmi_loss").terms[:3]] == [True, False, False]  # type: ignore[attr-defined]


def test_terms_that_are_listed() -> None:
    listed = "ohem:initial:0.5,ohem:seed:0.5,ohem:pred:1,confidence:offset+confidence:1"
    terms = build("offset.HRNet", "--loss_terms", listed).terms
    assert {(t.outputs, t.weight) for t in terms} == {(outputs, weight) for outputs, weight, _ in SUM.values()}
    assert [t.name for t in terms] == ["ohem_initial", "ohem_seed", "ohem_pred", "confidence_offset+confidence"]
    assert terms[0].loss is terms[2].loss


def test_the_first_call_looks_at_scores() -> None:
    """A term of several outputs has no classes to count."""
    criterion = build("offset.HRNet", "--loss_terms", "confidence:offset+confidence:1,ce:pred:1")
    f = torch.rand(1, 1, 4, 4)
    outputs = {"pred": torch.zeros(1, 19, 4, 4), "offset": torch.zeros(1, 2, 4, 4), "confidence": f}
    total, parts = criterion(outputs, torch.zeros(1, 4, 4, dtype=torch.int64))
    torch.testing.assert_close(total, -(f + 1e-7).log().mean() + log(19))
    assert len(parts) == 2


def option(criterion: Criterion, name: str) -> object:
    return getattr(criterion.terms[0].loss, name)


def test_options_reach_the_losses() -> None:
    plain = build("offset.HRNet")
    assert (option(plain, "threshold"), option(plain, "keep")) == (0.9, 131072)
    assert (option(plain, "weight"), option(plain, "probabilities")) == (CITYSCAPES, False)
    words = ["LOSS.OHEM_THRES", "0.7", "LOSS.OHEM_KEEP", "100", "LOSS.CLASS_WEIGHTS", "none", "MODEL.LOGITS", "false"]
    other = build("offset.HRNet", *words)
    assert (option(other, "threshold"), option(other, "keep")) == (0.7, 100)
    assert (option(other, "weight"), option(other, "probabilities")) == ((), True)
    assert option(build("seg_hrnet.HRNet"), "weight") == ()
    assert option(build("seg_hrnet.HRNet", "LOSS.CLASS_WEIGHTS", "cityscapes"), "weight") == CITYSCAPES
    numbers = build("basic.HRNet", "DATASET.NUM_CLASSES", "3", "LOSS.CLASS_WEIGHTS", "1,0.5,2")
    assert option(numbers, "weight") == (1.0, 0.5, 2.0)
    assert option(build("offset.HRNet", "DATASET.NUM_CLASSES", "7"), "weight") == ()
    published_bugs = build("offset.HRNet", "--published", "grid_false,confidence_ignored").terms[-1].loss
    assert isinstance(published_bugs, SeedConfidence) and published_bugs.published and not published_bugs.align_corners
    right = build("offset.HRNet").terms[-1].loss
    assert isinstance(right, SeedConfidence) and right.align_corners and not right.published


@pytest.mark.parametrize(
    "words, message",
    [
        (["--loss_terms", "confidence:offset:1"], r"give confidence as confidence:offset\+confidence:1, not"),
        (["--loss_terms", "ohem:pred+seed:0.5"], "give ohem as ohem:pred:0.5, not"),
        (["LOSS.CLASS_WEIGHTS", "1,2"], "LOSS.CLASS_WEIGHTS '1.0,2.0': give auto, none, cityscapes .* or 19 numbers"),
        (
            ["LOSS.CLASS_WEIGHTS", "citysapes"],
            "LOSS.CLASS_WEIGHTS takes auto, none, .*, not 'citysapes'",
        ),
        (["LOSS.CLASS_WEIGHTS", "cityscapes", "DATASET.NUM_CLASSES", "5"], "or 5 numbers"),
        (["LOSS.OHEM_THRES", "2"], "LOSS.OHEM_THRES lies between 0 and 1, not 2"),
        (["LOSS.OHEM_KEEP", "0"], "LOSS.OHEM_KEEP must be above 0"),
    ],
)
def test_mistakes(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build("offset.HRNet", *words)
    assert "\n" not in str(caught.value)
