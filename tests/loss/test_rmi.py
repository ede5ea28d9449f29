"""Region mutual information by its definition, and where it has nothing to say."""

import pytest
import torch
import torch.nn.functional as F

from inference.memory import PeakTracker
from loss import rmi
from loss.rmi import RMI, log_det_given, regions

JITTER = 5e-4
GENERATOR = torch.Generator().manual_seed(0)


def points(*shape):
    return torch.randn(*shape, 9, 400, generator=GENERATOR, dtype=torch.float64)


def test_log_det_is_that_of_the_schur_complement():
    given = points(2, 3)
    target = 0.3 * points(2, 3) + given.roll(1, dims=-2)
    eye = JITTER * torch.eye(9, dtype=torch.float64)
    yy, yp, pp = target @ target.mT, target @ given.mT, given @ given.mT
    unexplained = yy - yp @ torch.linalg.inv(pp + eye) @ yp.mT + eye
    value, solved = log_det_given(target, given)
    torch.testing.assert_close(value, 0.5 * torch.logdet(unexplained), rtol=1e-9, atol=0)
    assert solved.all()


def test_log_det_of_a_target_that_is_the_prediction():
    """y = p leaves only jitter, times 1 + S_pp (S_pp + jitter)^-1, near 2: the subtraction itself would lose it."""
    given = points() * 3e3
    value, solved = log_det_given(given, given)
    assert solved
    assert value.item() == pytest.approx(0.5 * 9 * torch.tensor(2 * JITTER).log().item(), rel=1e-3)


def test_regions_are_neighborhoods():
    pooled = torch.arange(12.0).view(1, 1, 3, 4)
    got = regions(pooled)[0, 0]
    raw = F.unfold(pooled, 3)[0].double()  # (9, 2)
    assert torch.equal(got, raw - raw.mean(1, keepdim=True))


def batch(images=2, size=32):
    logits = torch.randn(images, 3, size, size, generator=GENERATOR, dtype=torch.float64)
    label = torch.randint(0, 3, (images, size, size), generator=GENERATOR)
    return logits, label


def test_region_off_is_the_full_cross_entropy():
    logits, label = batch()
    label[0, :5] = 255
    valid = label != 255
    onehot = torch.stack([label == k for k in range(3)], 1).double()
    each = F.binary_cross_entropy_with_logits(logits, onehot, reduction="none") * valid.unsqueeze(1)
    expected = each.sum() / (valid.sum() + 1)
    torch.testing.assert_close(RMI(3, region=False)(logits, label), expected)


def test_better_prediction_has_lower_loss():
    _, label = batch()
    label = label[:, ::8, ::8].repeat_interleave(8, 1).repeat_interleave(8, 2)
    right = torch.stack([label == k for k in range(3)], 1).double() * 8 - 4
    losses = [RMI(3)(q * right, label).item() for q in (-1, 0, 0.5, 1)]
    assert losses == sorted(losses, reverse=True)


def test_nothing_is_skipped_normally():
    loss = RMI(3)
    loss(*batch())
    assert loss.skipped.item() == 0


def test_ignored_images_are_skipped_and_counted():
    loss, (logits, label) = RMI(3), batch()
    label[1] = 255
    one = RMI(3)._region(logits[:1], *onehot_and_valid(label[:1]))
    two = loss._region(logits, *onehot_and_valid(label))
    assert loss.skipped.item() == 3
    torch.testing.assert_close(two, one / 2)
    loss(logits, torch.full_like(label, 255))
    assert loss.skipped.item() == 9


def onehot_and_valid(label):
    return torch.stack([label == k for k in range(3)], 1).double(), (label != 255).unsqueeze(1)


def test_crop_too_small_for_a_region_keeps_the_cross_entropy():
    loss, (logits, label) = RMI(3), batch(size=7)  # 2 x 2 after pooling
    logits.requires_grad_()
    value = loss(logits, label)
    value.backward()
    torch.testing.assert_close(value, 0.5 * RMI(3, region=False)(logits, label))
    assert loss.skipped.item() == 6
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_large_constant_crop():
    """Many equal regions: a covariance of rank one beside the jitter."""
    label = torch.zeros(1, 512, 512, dtype=torch.int64)
    logits = torch.zeros(1, 3, 512, 512).requires_grad_()
    loss = RMI(3)
    value = loss(logits, label)
    value.backward()
    assert value.isfinite() and logits.grad is not None and logits.grad.isfinite().all()
    assert loss.skipped.item() == 0


def test_nan_stays_visible():
    logits, label = batch()
    logits[0, 0, 3, 3] = torch.nan
    assert RMI(3)(logits, label).isnan()


def value_and_gradient(logits, label, at_once, monkeypatch):
    monkeypatch.setattr(rmi, "_AT_ONCE", at_once)
    logits = logits.clone(memory_format=torch.preserve_format).requires_grad_()
    with PeakTracker() as tracker:
        value = RMI(3)(logits, label)
        (0.37 * value).backward()
    return value.detach(), logits.grad, tracker.peak


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_parts_of_classes_and_rows_give_the_same_bits_in_less_memory(layout, monkeypatch):
    logits, label = batch(size=64)
    logits, label[0, :9] = logits.float().to(memory_format=layout), 255
    value, gradient, peak = value_and_gradient(logits, label, 1 << 30, monkeypatch)
    parts, of_parts, less = value_and_gradient(logits, label, 1, monkeypatch)
    assert torch.equal(parts, value) and torch.equal(of_parts, gradient)
    assert of_parts.stride() == gradient.stride()
    assert less < 0.8 * peak


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_binary_cross_entropy_has_the_bits_of_torch(layout):
    logits, label = batch()
    label[0, :5] = 255
    one, other = (logits.float().to(memory_format=layout).requires_grad_() for _ in range(2))
    onehot, valid = onehot_and_valid(label)
    value = RMI(3, region=False)(one, label)
    total = F.binary_cross_entropy_with_logits(other, onehot.float() * valid, valid.float(), reduction="sum")
    expected = total * 1 / (valid.sum() + 1)
    (0.37 * value).backward()
    (0.37 * expected).backward()
    assert torch.equal(value, expected) and torch.equal(one.grad, other.grad)
