"""Label relaxation by hand on a row of pixels."""

from math import log

import pytest
import torch

from loss.relaxation import Relaxation, boundaries, relaxed_target

IGN = 255
ROW = torch.tensor([[[0, 0, 1]]])
LONG = torch.tensor([[[0, 0, 0, 1, 1, IGN, IGN, IGN]]])


def classes(target):
    """Set classes of each pixel of the one row; the last channel is written as i."""
    names = [str(k) for k in range(target.shape[1] - 1)] + ["i"]
    return ["".join(n for n, here in zip(names, pixel, strict=True) if here) for pixel in target[0, :, 0].T]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # A single row: what is above and below is outside, so all have the ignore channel.
        ({}, ["0i", "0i", "01i", "01i", "1i", "1i", "i", "i"]),
        ({"border": 2}, ["0i", "01i", "01i", "01i", "01i", "1i", "1i", "i"]),
        ({"strict": (0,)}, ["0", "0", "0", "01i", "1i", "1i", "i", "i"]),
        ({"strict": (0, 1)}, ["0", "0", "0", "1", "1", "1i", "i", "i"]),
        ({"border": 0}, ["0", "0", "0", "1", "1", "i", "i", "i"]),
    ],
)
def test_target(options, expected):
    assert classes(relaxed_target(LONG, 2, **options)) == expected


def test_target_of_a_square_window():
    label = torch.zeros(1, 5, 5, dtype=torch.int64)
    label[0, 2, 2] = 1
    target = relaxed_target(label, 2)
    assert target[0, 1].nonzero().tolist() == [[y, x] for y in (1, 2, 3) for x in (1, 2, 3)]
    assert target[0, 2, 1:4, 1:4].sum() == 0  # only the rim sees the outside
    assert target[0, 2].sum() == 16


def test_boundaries():
    label = torch.tensor([[[0, 0, 1], [0, 0, 1], [0, 0, 0]]])
    assert boundaries(label)[0].long().tolist() == [[0, 1, 1], [0, 1, 1], [0, 0, 1]]


def test_by_hand():
    """Equal probabilities: log 2 at the first pixel, 0 where both classes are right. Shares: 3/8, 2/8, 3/8 ignored."""
    logits = torch.zeros(1, 2, 1, 3, dtype=torch.float64)
    assert Relaxation(2)(logits, ROW).item() == pytest.approx((1 + 5 / 8) * log(2) / (3 + 1))


def test_two_images_by_hand():
    """An image that is all class 1 and one that is all ignored beside the row; shares of class 1: 3/6 and none."""
    logits = torch.zeros(3, 2, 1, 3, dtype=torch.float64)
    label = torch.cat([ROW, torch.ones_like(ROW), torch.full_like(ROW, IGN)])
    row, ones = (1 + 5 / 8) * log(2) / 4, 3 * 1.5 * log(2) / 4
    assert Relaxation(2)(logits, label).item() == pytest.approx((row + ones) / 3)
    # Shares of the batch: 3, 5 and 9 of 17.
    row, ones = (1 + 14 / 17) * log(2) / 4, 3 * (1 + 12 / 17) * log(2) / 4
    assert Relaxation(2, batch=True)(logits, label).item() == pytest.approx((row + ones) / 3)


def test_vanishing_probabilities():
    """Of classes whose softmax is 0 in single precision the loss and its gradient are still right."""
    logits = torch.tensor([0.0, 0.0, 400.0]).view(1, 3, 1, 1).expand(1, 3, 1, 3).clone().requires_grad_()
    value = Relaxation(3)(logits, ROW)
    value.backward()
    # Shares 3/8 and 2/8; log 2 less where both classes are right.
    first, both = 1 + 5 / 8, 2 * 1 + 5 / 8 + 6 / 8
    assert value.item() == pytest.approx((first * 400 + both * (400 - log(2))) / 4)
    torch.testing.assert_close(logits.grad[0, :, 0, 0], torch.tensor([-first, 0.0, first]) / 4)
    torch.testing.assert_close(logits.grad[0, :, 0, 1], torch.tensor([-both / 4, -both / 4, both / 2]) / 4)


def test_published_factor_by_hand():
    """1 / (classes set) of both images meets each image: 1 + 1, 1/2 + 1, 1/2 + 1; images are summed."""
    logits = torch.zeros(2, 2, 1, 3, dtype=torch.float64)
    label = torch.cat([ROW, torch.ones_like(ROW)])
    weights = 1 + 11 / 14, 1 + 9 / 14  # shares of the batch: 3, 5 and 6 of 14
    expected = (2 * weights[0] * log(2) + (2 + 1.5 + 1.5) * weights[1] * log(2)) / 4
    assert Relaxation(2, batch=True, published=True)(logits, label).item() == pytest.approx(expected)


def test_reduced_by_hand():
    """Plain labels, the two pixels at the boundary twice: shares 3/5 and 2/5."""
    logits = torch.zeros(1, 2, 1, 3, dtype=torch.float64)
    expected = (1.4 * log(2) + 2 * 1.4 * log(2) + 2 * 1.6 * log(2)) / (3 + 1)
    assert Relaxation(2, reduced=True)(logits, ROW).item() == pytest.approx(expected)
