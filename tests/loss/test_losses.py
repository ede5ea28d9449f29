"""What every loss must do, as a table over all of them."""

import pytest
import torch
from fake_cuda import CUDA, HALF, Copies, fake_cuda
from waits import Waits

import config
from loss import LOSSES
from utils.amp import upcast_to_float32
from utils.distributed import DistributedContext

K, IGNORE = 5, 255
# A new row joins by itself, as the options have it where nobody asks for anything; more cases of a row follow.
CASES = {name: (name, None) for name in LOSSES} | {
    "ce of classes": ("ce", {"weight": (0.1, 0, 3, 0.4, 0.5)}),
    "ohem": ("ohem", {"threshold": 0.4, "keep": 1}),  # `keep` counts the pixels of a process, as published
    "ohem of classes": ("ohem", {"threshold": 1.0, "weight": (1, 2, 3, 4, 5)}),
    "ohem of probabilities": ("ohem", {"threshold": 0.1, "keep": 1, "probabilities": True}),
    "confidence grid": ("confidence", {"align_corners": False}),
    "weighted batch": ("weighted", {"batch": True, "bound": 3.0}),
    "weighted published": ("weighted", {"published": True}),
    "bootstrapped above": ("bootstrapped", {"min_pixels": 20}),
    "bootstrapped largest": ("bootstrapped", {"min_pixels": 300, "threshold": 2.0}),
    "bootstrapped all": ("bootstrapped", {"threshold": 100.0, "weight": (1, 2, 3, 4, 5)}),
    "dice not smoothed": ("dice", {"smooth": 0.0, "weight": (1, 2, 3, 4, 5)}),
    "relaxation strict": ("relaxation", {"strict": (1, 3)}),
    "relaxation batch": ("relaxation", {"batch": True, "border": 2}),
    "relaxation reduced": ("relaxation", {"reduced": True}),
    "relaxation published": ("relaxation", {"published": True}),
    "relaxation reduced published": ("relaxation", {"reduced": True, "published": True}),
}
DEFAULTS = config.load(["--arch", "basic.HRNet", "--dataset", "cityscapes"])
every_loss = pytest.mark.parametrize("case", CASES)


def make(case, ranks=None, ignore=IGNORE):
    name, options = CASES[case]
    row = LOSSES[name]
    loss = row.loss(K, ignore, ranks or DistributedContext(), **(row.options(DEFAULTS) if options is None else options))
    if row.outputs == ("pred",):
        return loss
    if "teacher" in row.outputs:  # one that says something else of each pixel
        return lambda logits, label: loss(logits, logits.detach().roll(1, 1), label)
    # Offset and confidence are read from the logits here, as the network reads them from its head.
    return lambda logits, label: loss(*(f(upcast_to_float32(logits)) for f in (offset, confidence)), label)


def offset(logits):
    return logits[:, :2].tanh() / 2


def confidence(logits):
    return logits[:, 2:3].sigmoid()


def batch(images=4, size=(24, 32), dtype=torch.float64):
    """Logits and labels in blocks; the images' shares of ignored pixels are 0 %, 75 %, 97 % and 100 %."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(images, K, *size, generator=generator, dtype=dtype) * 2
    blocks = torch.randint(0, K, (images, size[0] // 4, size[1] // 4), generator=generator)
    label = blocks.repeat_interleave(4, 1).repeat_interleave(4, 2)
    rows = torch.arange(size[0]).view(1, -1, 1)
    kept = torch.tensor([1.0, 0.25, 1 / size[0], 0.0])[:images].view(-1, 1, 1) * size[0]
    return logits, torch.where(rows < kept, label, IGNORE)


def value_and_gradient(loss, logits, label):
    logits = logits.clone().requires_grad_()
    value = loss(logits, label)
    assert value.shape == ()
    value.backward()
    return value.detach(), logits.grad


@every_loss
def test_all_ignored_is_zero(case):
    logits, label = batch()
    value, grad = value_and_gradient(make(case), logits, torch.full_like(label, IGNORE))
    assert value == 0
    assert torch.equal(grad, torch.zeros_like(grad))


@every_loss
def test_ignored_image_gets_no_gradient(case):
    _, grad = value_and_gradient(make(case), *batch())
    assert grad.isfinite().all()
    assert grad[3].abs().max() == 0
    assert grad[0].abs().max() > 0


@every_loss
@pytest.mark.parametrize("stray", [K, 77, -1, -100, 254])
def test_stray_label_is_ignored(case, stray):
    logits, label = batch()
    value, grad = value_and_gradient(make(case), logits, label)
    again, grad_again = value_and_gradient(make(case), logits, label.masked_fill(label == IGNORE, stray))
    assert value == again
    assert torch.equal(grad, grad_again)


@every_loss
def test_ignore_label_inside_the_classes(case):
    """Data sets may ignore an id below the number of classes."""
    logits, label = batch()
    inside = make(case, ignore=2)
    expected = make(case)(logits, label.masked_fill(label == 2, IGNORE))
    assert torch.equal(inside(logits, label.masked_fill(label == IGNORE, 2)), expected)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_extreme_logits_and_constant_labels(case, dtype, scale):
    logits, label = batch(dtype=dtype)
    for logits_, label_ in (
        (logits * scale, label),
        (logits * scale, torch.ones_like(label)),
        (logits * 0 + scale, label),
    ):
        value, grad = value_and_gradient(make(case), logits_, label_)
        assert value.dtype == dtype
        assert value.isfinite()
        assert grad.isfinite().all()


@pytest.mark.in_make_test(
    "dtype0-rmi", "dtype0-relaxation*", "dtype0-dice*", "dtype0-ohem*", "dtype0-bootstrapped*", "dtype0-weighted*"
)
@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_raised(case, dtype):
    """Sums over the pixels would overflow in half: the value is that of the same logits in single precision."""
    logits, label = batch(size=(256, 512), dtype=dtype)
    value, grad = value_and_gradient(make(case), logits, label)
    single, expected = value_and_gradient(make(case), logits.float(), label)
    assert value.dtype == torch.float32 and grad.dtype == dtype
    assert value.isfinite() and value == single
    assert torch.equal(grad, expected.to(dtype))


@every_loss
def test_gradient_is_that_of_the_value(case):
    logits, label = batch(images=2, size=(12, 12))
    label[1, 3] = 4
    torch.autograd.gradcheck(lambda x: make(case)(x, label), logits.requires_grad_(), fast_mode=True)


@every_loss
@pytest.mark.parametrize("split", [1, 2, 3])
def test_two_ranks_equal_one_process(case, split, on_two_ranks):
    """Value and gradient, with unlike numbers of images and of ignored pixels; the last rank may be all ignored."""
    logits, label = batch()
    value, grad = value_and_gradient(make(case), logits, label)

    def work(ranks):
        part = slice(0, split) if ranks.rank == 0 else slice(split, None)
        return value_and_gradient(make(case, ranks), logits[part], label[part])

    (value0, grad0), (value1, grad1) = on_two_ranks(work)
    torch.testing.assert_close((value0 + value1) / 2, value, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.cat([grad0, grad1]) / 2, grad, rtol=1e-9, atol=1e-15)


@every_loss
def test_no_wait_for_the_device(case):
    """From the second call on: the first one may bring weights of classes there."""
    logits, label = batch()
    loss = make(case)
    loss(logits, label)
    with Waits() as waits:
        loss(logits.requires_grad_(), label).backward()
    assert waits.seen == []


def test_waits_are_seen():
    with Waits() as waits:
        one = torch.ones(3)
        one.sum().item()
        one[one > 0]
        one.new_tensor([1.0])
    assert waits.seen == ["_local_scalar_dense", "index", "lift_fresh"]


@every_loss
@pytest.mark.parametrize("dtype", [*HALF, torch.float32], ids=str)
def test_on_a_gpu(case, dtype):
    """Everything lies there, nothing is copied in a second step, and the value is in single precision."""
    with fake_cuda(), Copies() as copies:
        loss = make(case)
        logits = torch.empty(2, K, 24, 32, device=CUDA, dtype=dtype)
        label = torch.empty(2, 24, 32, device=CUDA, dtype=torch.int64)
        loss(logits, label)
        copies.waits.clear()
        value = loss(logits, label)
    assert (value.device, value.dtype, value.shape) == (CUDA, torch.float32, ())
    assert copies.waits == []


def test_two_ranks_differ_where_each_has_its_own_mean(on_two_ranks):
    logits, label = batch()
    value, _ = value_and_gradient(make("ce"), logits, label)
    parts = on_two_ranks(lambda r: make("ce", DistributedContext())(logits[2 * r.rank :][:2], label[2 * r.rank :][:2]))
    assert abs(sum(parts) / 2 - value) > 1e-2
