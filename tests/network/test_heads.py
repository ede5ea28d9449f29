"""Heads on cases that can be worked out by hand."""

import pytest
import torch

from inference.memory import PeakTracker
from network import layers
from network.head.aspp import ASPP
from network.head.ocr import ObjectAttention, OCRHead, gather
from network.head.segmentation import segmentation_head
from network.layers import bn_relu, in_rows


def test_gather_averages_over_a_region() -> None:
    """Region 0 covers the left pixel alone, region 1 both alike."""
    features = torch.tensor([[[[2.0, 4.0]], [[-1.0, 5.0]]]])  # (1, 2, 1, 2)
    regions = torch.tensor([[[[50.0, -50.0]], [[7.0, 7.0]]]])
    objects = gather(features, regions)
    assert objects.shape == (1, 2, 2, 1)
    torch.testing.assert_close(objects[0, :, :, 0], torch.tensor([[2.0, 3.0], [-1.0, 2.0]]))


def test_object_attention_with_one_object_gives_every_pixel_its_context() -> None:
    torch.manual_seed(0)
    attention = ObjectAttention(6, 4).eval()
    objects = torch.randn(2, 6, 1, 1)
    context = attention(torch.randn(2, 6, 3, 5), objects)
    expected = attention.f_up(attention.f_down(objects)).expand(2, 6, 3, 5)
    torch.testing.assert_close(context, expected)


def test_ocr_shapes() -> None:
    maps = OCRHead(10, 7, mid_channels=12, key_channels=4)(torch.randn(2, 10, 5, 9))
    assert [tuple(x.shape) for x in maps] == [(2, 7, 5, 9), (2, 7, 5, 9), (2, 12, 5, 9)]


def test_aspp_stacks_the_mean_first() -> None:
    torch.manual_seed(0)
    aspp = ASPP(6, 4).eval()
    x = torch.randn(2, 6, 5, 9)
    out = aspp(x)
    assert out.shape == (2, aspp.out_channels, 5, 9) == (2, 20, 5, 9)
    mean = aspp.img_conv(x.mean(dim=(2, 3), keepdim=True))
    torch.testing.assert_close(out[:, :4], mean.expand(2, 4, 5, 9))
    torch.testing.assert_close(out[:, 4:8], aspp.features[0](x))
    assert [branch[0].dilation for branch in aspp.features][1:] == [(12, 12), (24, 24), (36, 36)]


def test_segmentation_head() -> None:
    assert segmentation_head(6, 3, 8)(torch.randn(2, 6, 5, 9)).shape == (2, 3, 5, 9)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_ocr_in_rows_is_ocr_at_once_in_less_memory(layout: torch.memory_format, monkeypatch) -> None:
    torch.manual_seed(0)
    head = OCRHead(20, 5, mid_channels=24, key_channels=8).double().eval()
    for variance in (x for name, x in head.named_buffers() if name.endswith("running_var")):
        variance.uniform_(0.5, 2)
    x = torch.randn(2, 20, 32, 24, dtype=torch.float64).to(memory_format=layout)
    peaks, found = [], []
    for at_once in (1 << 30, 1):
        monkeypatch.setattr(layers, "_AT_ONCE", at_once)
        with torch.inference_mode(), PeakTracker() as tracker:
            found.append(head(x))
        peaks.append(tracker.peak)
    for whole, rows in zip(*found, strict=True):
        torch.testing.assert_close(rows, whole, rtol=1e-12, atol=1e-12)
    assert peaks[1] < 0.6 * peaks[0]


def test_rows_are_for_evaluation_without_gradients_alone(monkeypatch) -> None:
    """In training a batch norm sees the whole map; a gradient needs what lies between."""
    monkeypatch.setattr(layers, "_AT_ONCE", 1)
    torch.manual_seed(0)
    head, x = bn_relu(3), torch.randn(2, 3, 4, 5)
    with torch.no_grad():
        assert torch.equal(in_rows(head, x), head(x))
        kept = x.clone()
        in_rows(head.eval(), x, over=True)
        torch.testing.assert_close(x, head(kept))
    x = kept.requires_grad_()
    in_rows(head, x, over=True).sum().backward()
    assert x.grad is not None


def test_ocr_recomputed_keeps_less_and_has_the_same_bits() -> None:
    """With dropout: what is drawn is drawn the same again."""
    found, kept = [], []
    for grad_ckpt in (False, True):
        torch.manual_seed(0)
        head = OCRHead(20, 5, mid_channels=24, key_channels=8, dropout=0.5, grad_ckpt=grad_ckpt).train()
        x = torch.randn(2, 20, 16, 12, requires_grad=True)
        with PeakTracker() as tracker:
            maps = head(x)
            kept.append(tracker.now)
        sum(part.square().mean() for part in maps).backward()
        found.append([x.grad, *(p.grad for p in head.parameters()), *head.buffers()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    assert kept[1] < 0.6 * kept[0]
