"""A teacher's term: nothing where both agree, towards the teacher where not, softened by the temperature."""

import torch
import torch.nn.functional as F

from loss.distillation import Distillation


def test_agreement_is_zero() -> None:
    logits = torch.randn(2, 4, 3, 5, requires_grad=True)
    label = torch.zeros(2, 3, 5, dtype=torch.int64)
    value = Distillation(4)(logits, logits.detach() + 7.0, label)  # scores are of a class more than another
    value.backward()
    assert abs(float(value)) < 1e-6 and logits.grad.abs().max() < 1e-6


def test_it_is_the_divergence_over_pixels_that_count() -> None:
    logits, teacher = torch.randn(2, 4, 3, 5), torch.randn(2, 4, 3, 5)
    label = torch.zeros(2, 3, 5, dtype=torch.int64)
    label[0, 0] = 255
    for t in (1.0, 3.0):
        value = Distillation(4, temperature=t)(logits, teacher, label)
        by_pixel = F.kl_div(
            F.log_softmax(logits / t, 1), F.log_softmax(teacher / t, 1), log_target=True, reduction="none"
        ).sum(1)
        torch.testing.assert_close(value, t * t * by_pixel[label == 0].mean())


def test_a_pupil_comes_to_its_teacher() -> None:
    logits, teacher = torch.zeros(1, 3, 2, 2, requires_grad=True), torch.randn(1, 3, 2, 2)
    label = torch.zeros(1, 2, 2, dtype=torch.int64)
    steps = torch.optim.Adam([logits], 0.1)
    for _ in range(300):
        steps.zero_grad()
        Distillation(3)(logits, teacher, label).backward()
        steps.step()
    torch.testing.assert_close(logits.softmax(1), teacher.softmax(1), atol=1e-2, rtol=0)
