"""`--summary`: the counts by hand, and against what a real training step keeps."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from network.head.ocr import OCRHead
from network.summary import IMAGES, activations, multiply_adds, summary

pytestmark = pytest.mark.run

SIZE = (64, 96)


class Two(nn.Module):
    """Parts `a` and `b`, and a product between them."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.b = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.a(x)
        return self.b(y) * 2.0


def test_by_hand() -> None:
    net = Two().train()
    pixels = SIZE[0] * SIZE[1]
    assert multiply_adds(net, SIZE) == {"a": 3 * 9 * 4 * pixels, "b": 4 * 2 * pixels, "between": 0}
    # `a` keeps its input; in `b` the ReLU and the convolution keep the same tensor
    assert activations(net, SIZE) == {"a": IMAGES * 3 * pixels * 4, "b": IMAGES * 4 * pixels * 4}
    assert net.training and not net.a._forward_hooks


def really_kept(net: nn.Module) -> int:
    """Bytes of a real step's saved tensors, each storage once, without the weights'."""
    weights = {x.untyped_storage().data_ptr() for x in (*net.parameters(), *net.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(x: torch.Tensor) -> torch.Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        out = net.train()(torch.randn(IMAGES, 3, *SIZE))
    assert out["pred"].requires_grad
    return sum(storage.nbytes() for address, storage in kept.items() if address not in weights)


@pytest.mark.in_make_test("mscale2.DeepV3R50-True", "deepv3.DeepV3PlusR50-*")
@pytest.mark.parametrize("grad_ckpt", [False, True])
@pytest.mark.parametrize(
    "arch",
    ["ocrnet.HRNet_Mscale", "deepv3.DeepV3PlusR50", "deepv3.DeepV3PlusSRNX50", "mscale.DeeperX71", "mscale2.DeepV3R50"]
    + ["deepv3.DeepWV3Plus"],
)
def test_equals_a_real_step(narrow, arch: str, grad_ckpt: bool) -> None:
    net = narrow(arch, grad_ckpt=grad_ckpt)
    assert activations(net, SIZE).total() == pytest.approx(really_kept(net), rel=0.02)


@pytest.mark.slow
def test_the_published_recipe_has_its_published_size(full) -> None:
    """HRNetV2-W48 on Cityscapes, 1024x2048: 65.9 M parameters, 696.2 G (Wang et al., arXiv:1908.07919, the table of
    Cityscapes val). Their G is 2^30, and a multiply-add counts once.
    """
    net = full("seg_hrnet.HRNet")
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(65.9, abs=0.05)
    assert multiply_adds(net, (1024, 2048)).total() / 2**30 == pytest.approx(696.2, abs=0.05)


def test_a_published_head_has_its_published_size() -> None:
    """OCR on a map of 2048x128x128: 10.5 M parameters, 340 G (Yuan et al., arXiv:1909.11065, the table of
    complexities). There a multiply-add counts twice, and the regions are given.
    """
    with torch.device("meta"):
        head = OCRHead(2048, 19)
    counted = [p.numel() for name, p in head.named_parameters() if not name.startswith(("aux_head", "cls_head"))]
    assert sum(counted) / 1e6 == pytest.approx(10.5, rel=0.015)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        head.eval()(torch.empty(1, 2048, 128, 128, device="meta"))
    flops = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    assert (flops["OCRHead"] - flops["OCRHead.aux_head"]) / 1e9 == pytest.approx(340, rel=0.015)


@pytest.mark.slow
def test_recomputing_keeps_less(narrow) -> None:
    plain, less = (activations(narrow("mscale.DeepV3W38", grad_ckpt=on), SIZE) for on in (False, True))
    assert less["backbone"] < 0.5 * plain["backbone"]
    assert less["final"] == plain["final"]


@pytest.mark.slow
def test_table(narrow) -> None:
    net = narrow("attnscale.DeepV3R50").eval()
    lines = summary(net, SIZE).splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*net.parts(), "between", "in"]
    assert "64x96" in lines[0]
    assert not net.training
    assert {p.device.type for p in net.parameters()} == {"cpu"}
