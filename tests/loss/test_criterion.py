"""The weighted sum of terms."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from inference.memory import PeakTracker
from loss.criterion import Criterion, Term
from loss.cross_entropy import CrossEntropy
from loss.dice import Dice
from loss.rmi import RMI
from utils.errors import UserError

K = 3


def mean_of(logits, label):
    return logits.mean()


def outputs(dtype=torch.float32, **sizes):
    generator = torch.Generator().manual_seed(1)
    sizes = sizes or {"pred": 8, "aux": 4}
    made = {name: torch.randn(2, K, n, n, generator=generator, dtype=torch.float64) for name, n in sizes.items()}
    return {name: x.to(dtype).requires_grad_() for name, x in made.items()}


def label(size=8):
    return torch.arange(2 * size * size).view(2, size, size) % K


def test_weighted_sum_of_resized_outputs():
    out = outputs()
    criterion = Criterion(
        [Term("main", ("pred",), 1.0, CrossEntropy(K)), Term("aux", ("aux",), 0.4, CrossEntropy(K))], K
    )
    total, parts = criterion(out, label())
    main = F.cross_entropy(out["pred"], label())
    aux = F.cross_entropy(F.interpolate(out["aux"], size=(8, 8), mode="bilinear"), label())
    torch.testing.assert_close(total, main + 0.4 * aux)
    assert list(parts) == ["main", "aux"]
    torch.testing.assert_close(parts["aux"], aux.detach())
    assert not parts["aux"].requires_grad
    total.backward()
    assert all(x.grad is not None and x.grad.abs().max() > 0 for x in out.values())


def test_corners_are_aligned_if_asked():
    out = outputs(pred=4)
    total, _ = Criterion([Term("main", ("pred",), 1.0, CrossEntropy(K))], K, align_corners=True)(out, label())
    aligned = F.interpolate(out["pred"], size=(8, 8), mode="bilinear", align_corners=True)
    torch.testing.assert_close(total, F.cross_entropy(aligned, label()))


@pytest.mark.parametrize(
    ("dtype", "inside"),
    [(torch.float16, torch.float32), (torch.bfloat16, torch.float32), (torch.float64, torch.float64)],
)
def test_half_is_raised_and_double_stays(dtype, inside):
    seen = []

    def loss(logits, label):
        seen.append(logits.dtype)
        return (logits @ logits.mT).mean()  # autocast would compute this in bf16

    with torch.autocast("cpu", torch.bfloat16):
        total, _ = Criterion([Term("main", ("pred",), 1.0, loss)], K)(outputs(dtype), label())
    assert seen == [inside]
    assert total.dtype == inside


def test_loss_of_several_outputs():
    out = outputs(pred=8, aux=8)
    total, _ = Criterion([Term("pair", ("pred", "aux"), 2.0, lambda a, b, label: (a - b).sum())], K)(out, label())
    torch.testing.assert_close(total, 2 * (out["pred"] - out["aux"]).sum())


def test_terms_come_and_go_with_the_epoch():
    terms = [Term("main", ("pred",), 1.0, mean_of, stop=3), Term("main", ("pred",), 10.0, mean_of, start=3)]
    criterion, out = Criterion(terms, K), outputs()
    totals = [criterion(out, label(), epoch)[0] / out["pred"].mean() for epoch in (0, 2, 3, 100)]
    assert [round(t.item(), 4) for t in totals] == [1, 1, 10, 10]


@pytest.mark.parametrize("term", [{"weight": 1.0, "start": 5}, {"weight": 1.0, "stop": 0}, {"weight": 0.0}, None])
@pytest.mark.parametrize("bad", [torch.inf, -torch.inf, torch.nan, 1.0])
def test_outputs_of_a_resting_term_or_of_none_take_part(term, bad):
    head = nn.Conv2d(K, K, 1)
    out = outputs()
    with torch.no_grad():
        out["aux"][0, 0, 0, 0] = bad
    rest = [] if term is None else [Term("aux", ("aux",), loss=CrossEntropy(K), **term)]
    criterion = Criterion([Term("main", ("pred",), 1.0, CrossEntropy(K)), *rest], K)
    total, parts = criterion({"pred": out["pred"], "aux": head(out["aux"].detach())}, label())
    assert list(parts) == ["main"]
    torch.testing.assert_close(total, parts["main"])
    total.backward()
    assert head.bias.grad is not None and torch.equal(head.bias.grad, torch.zeros(K))


def test_skipped_terms_of_all_losses():
    rmi, weightless = RMI(K), CrossEntropy(K)
    terms = [Term("main", ("pred",), 1.0, rmi), Term("aux", ("aux",), 1.0, rmi), Term("ce", ("pred",), 1.0, weightless)]
    criterion = Criterion(terms, K)
    assert criterion.skipped == 0
    criterion(outputs(pred=16, aux=16), torch.full((2, 16, 16), 255))
    assert criterion.skipped == 2 * 2 * K
    assert not criterion.state_dict()
    assert Criterion([terms[2]], K).skipped == 0


@pytest.mark.parametrize(
    ("out", "target", "message"),
    [
        (outputs(), label().masked_fill(label() == 2, 7), r"label values \[7\] \(\d+ pixels\).* 3 classes"),
        (outputs(), label() - 1, r"label values \[-1\]"),
        ({"pred": torch.zeros(2, 4, 8, 8)}, label(), "network has 4 classes, the loss expects 3"),
        ({"pred_10x": torch.zeros(2, 3, 8, 8)}, label(), "reads the output 'pred'; the network gives pred_10x"),
    ],
)
def test_first_call_checks(out, target, message):
    with pytest.raises(UserError, match=message):
        Criterion([Term("main", ("pred",), 1.0, CrossEntropy(K))], K)(out, target)


def test_later_calls_do_not_look_at_the_label():
    criterion = Criterion([Term("main", ("pred",), 1.0, CrossEntropy(K))], K)
    criterion(outputs(), label())
    stray = criterion(outputs(), label().masked_fill(label() == 2, 7))[0]
    torch.testing.assert_close(stray, criterion(outputs(), label().masked_fill(label() == 2, 255))[0])


def plain(terms, out, target):
    """The sum of the terms as one graph of everything."""
    total = torch.zeros(())
    maps = {name: F.interpolate(x, size=target.shape[-2:], mode="bilinear") for name, x in out.items()}
    for term in terms:
        total = total + term.weight * term.loss(*(maps[name] for name in term.outputs), target)
    return total


def gradients(out, total):
    total.backward()
    return {name: x.grad for name, x in out.items()}


def test_gradients_are_those_of_one_graph_to_the_last_bit():
    """Also where several terms read one output, and one term reads several."""
    ce, dice = CrossEntropy(K), Dice(K)
    terms = [
        Term("a", ("pred",), 1.0, ce),
        Term("b", ("aux",), 0.4, dice),
        Term("c", ("pred",), 0.3, dice),
        Term("d", ("pred_05x",), 0.05, ce),
        Term("e", ("seed", "confidence"), 0.7, lambda a, b, label: (a * b.sigmoid()).sum(1).mean()),
        Term("f", ("aux",), 0.1, ce),
    ]
    sizes = {"pred": 16, "aux": 4, "pred_05x": 8, "seed": 16, "confidence": 4}
    one, other = outputs(**sizes), outputs(**sizes)
    total, parts = Criterion(terms, K)(one, label(16))
    expected = plain(terms, other, label(16))
    assert torch.equal(total, expected)
    assert list(parts) == ["a", "b", "c", "d", "e", "f"]
    got, wanted = gradients(one, total), gradients(other, expected)
    assert all(torch.equal(got[name], wanted[name]) for name in sizes)


def test_gradients_of_half_types_are_scaled_before_they_are_rounded():
    """As a scaler needs it: 1e-8 is 0 in half precision, 65536 times as much is not."""
    out = outputs(torch.float16)
    total, _ = Criterion([Term("main", ("pred",), 1.0, lambda logits, label: (1e-8 * logits).sum())], K)(out, label())
    (65536 * total).backward()
    torch.testing.assert_close(out["pred"].grad, torch.full_like(out["pred"], 65536e-8))


def test_gradients_are_handed_on_once():
    total, _ = Criterion([Term("main", ("pred",), 1.0, CrossEntropy(K))], K)(outputs(), label())
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="compute it again"):
        total.backward()


def test_without_gradients_the_value_is_the_same():
    criterion = Criterion([Term("main", ("pred",), 1.0, CrossEntropy(K))], K)
    with torch.no_grad():
        total, _ = criterion(outputs(), label())
    assert not total.requires_grad
    assert torch.equal(total, criterion(outputs(), label())[0].detach())


def test_a_loss_that_writes_on_the_label_keeps_its_place():
    """The variant of Dice after which ignored pixels are road to every later term, whatever output that reads."""
    dice, ce = Dice(K, published="dice_labels"), CrossEntropy(K)
    terms = [Term("a", ("pred",), 1.0, ce), Term("b", ("aux",), 1.0, dice), Term("c", ("pred",), 1.0, ce)]
    target = label().masked_fill(label() == 1, 255)
    _, parts = Criterion(terms, K)(outputs(), target)
    assert parts["a"] != parts["c"]


def test_full_size_maps_of_several_outputs_do_not_stand_side_by_side():
    def peak(names):
        terms = [Term(name, (name,), 1.0, CrossEntropy(K)) for name in names]
        criterion, out, target = Criterion(terms, K), outputs(**dict.fromkeys(names, 16)), label(128)
        with PeakTracker() as tracker:
            criterion(out, target)[0].backward()
        return tracker.peak

    assert peak("abcdef") < 1.2 * peak("a")
