"""Every network on a CUDA device that is not there: a pass in half types with its loss, and predictions."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from fake_cuda import CUDA, HALF, Copies, fake_cuda, moved
from narrow_nets import NARROW

import config
import inference
import loss
import network
from inference import rule
from network.families import Settings
from network.net import Net
from options import archs
from utils.contracts import Prediction

pytestmark = pytest.mark.run

CLASSES, SIZE = 19, (64, 96)
# Of each kind: convolutions, attention in windows and over all, state spaces' gates, shapes that depend on the image.
TIMM = [
    *("convnext_tiny", "efficientnet_b0", "hrnet_w18_small", "maxvit_rmlp_pico_rw_256", "mobilenetv3_small_050"),
    *("pvt_v2_b0", "resnet18", "swin_tiny_patch4_window7_224", "vit_small_patch16_dinov3", "vit_tiny_patch16_224"),
]
NETWORKS = [*sorted(archs.ARCHS), *(f"timm:{name}+ocr+hierarchical" for name in TIMM)]
# timm itself makes the positions of their rotary embedding anew on the host in every pass.
POSITIONED = ("timm:vit_small_patch16_dinov3+ocr+hierarchical",)
FEW = (
    *("deeper.DeeperW38", "encoder_decoder", "mscale.DeepV3W38Fuse", "mscale2.DeepV3R50", "ocrnet.HRNet_Mscale"),
    *("offset.DeepV3PlusR50", "timm:resnet18+*"),
)


@pytest.fixture(autouse=True)
def normalizations(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is kept: it would outlive its fake device."""
    monkeypatch.setattr(rule, "_normalization", rule._normalization.__wrapped__)


@pytest.fixture
def build(narrow: Callable[..., Net]) -> Callable[[str], Net]:
    """build(name): a network of few weights on the host, one of timm with its trunk's own width."""

    def make(name: str) -> Net:
        if name in archs.ARCHS:
            return narrow(name, CLASSES)
        pytest.importorskip("timm", reason="an extra: pip install timm")
        return network.compose(archs.find(name), Settings(CLASSES, **NARROW, neck_channels=8))  # type: ignore[arg-type]

    return make


def options(name: str, *argv: str) -> config.CfgNode:
    """The options of a network, with its own loss."""
    chosen = ["--arch_encoder", "resnet18dilated", "--arch_decoder", "c1"] if "encoder_decoder" in name else []
    return config.load(["--arch", name, *chosen, *argv])


@pytest.mark.in_make_test(*FEW)
@pytest.mark.parametrize("name", NETWORKS)
def test_pass_loss_and_predictions_in_half_types(build: Callable[[str], Net], name: str) -> None:
    """Nothing mixes devices or types, waits, or copies; the loss has what it needs; classes come from there."""
    net, cfg = build(name), options(name)
    with fake_cuda():
        net, criterion = moved(net).train(), loss.build(cfg)
        criterion.checked = True  # its first call looks at the label's values
        image, label = torch.empty(2, 3, *SIZE, device=CUDA), torch.empty(2, *SIZE, device=CUDA, dtype=torch.int64)
        for dtype in HALF:
            with Copies() as copies:
                with torch.autocast("cuda", dtype):
                    outputs = net(image, label.shape[-2:])
                total, _ = criterion(outputs, label)
            assert {x.device for x in outputs.values()} == {total.device} == {CUDA} and total.dtype == torch.float32
        own = [wait for wait in copies.waits if not (name in POSITIONED and "timm_nets.py" in wait)]
        assert own == []  # in a second step
        found, _ = predictions(net, rule.EvalRule(), 2, extras=("attn_05x", "aux"))
    assert (found.classes.device, found.classes.shape, found.max_prob.dtype) == (CUDA, SIZE, torch.float32)


RULES = [{"scales": (0.5, 1.0), "flip": True}, {"tile": 64}, {"window": 48}, {"average": "probabilities"}]


@pytest.mark.in_make_test("*tile*")
@pytest.mark.parametrize("given", RULES, ids=str)
def test_rules_of_evaluation(build: Callable[[str], Net], given: dict[str, Any]) -> None:
    with fake_cuda():
        (found,) = predictions(moved(build("seg_hrnet.HRNet")), rule.EvalRule(**given), 1, scores=True)
    assert (found.classes.device, found.classes.shape) == (CUDA, SIZE)
    assert found.scores is not None and found.scores.shape == (CLASSES, *SIZE)


def predictions(net: torch.nn.Module, given: rule.EvalRule, images: int, **asked: Any) -> list[Prediction]:
    """What a predictor gives of images in host memory."""
    predictor = inference.Predictor(net, given, memory_bytes=1 << 40, autocast=torch.float16)
    predictor.scores_checked = True  # the first ones are looked at
    return predictor([torch.empty(*SIZE, 3, dtype=torch.uint8)] * images, **asked)


def test_what_the_fake_device_finds() -> None:
    """Each kind of fault is an error there, or is noted."""
    with fake_cuda(), Copies() as copies:
        x = torch.empty(4, 4, device=CUDA)
        for fault in (lambda: x + torch.empty(4), lambda: x.sum().item(), lambda: x[x > 0], lambda: bool(x.any())):
            with pytest.raises(Exception, match=r"devices|local_scalar_dense|nonzero"):
                fault()
        with pytest.raises(RuntimeError, match="type|dtype"):
            torch.nn.functional.conv2d(x[None, None], torch.empty(1, 1, 1, 1, device=CUDA, dtype=torch.half))
        assert copies.waits == []
        for copy in (lambda: x.cpu(), lambda: x.new_tensor([1.0, 2.0]), lambda: x[torch.tensor([0, 1])]):
            copy()
        torch.empty(4).to(CUDA, non_blocking=True)
    assert [wait.split()[0] for wait in copies.waits] == ["_to_copy", "_to_copy", "index"]
    assert all("tests/network/test_fake_cuda.py" in wait for wait in copies.waits)
