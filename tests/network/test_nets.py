"""Every network in the table: shapes, gradients, state round trip, odd sizes, and what build(cfg) refuses."""

import pytest
import torch
from narrow_nets import FEW, one_of_each
from yacs.config import CfgNode

import network
from network.layers import set_bn_momentum
from options import archs
from utils.distributed import DistributedContext, sync_batchnorm
from utils.errors import UserError

pytestmark = pytest.mark.run

ARCHS = sorted(archs.ARCHS)


def image(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.in_make_test(*FEW)
@pytest.mark.parametrize("arch", ARCHS)
def test_forward_and_backward(narrow, arch: str) -> None:
    net = narrow(arch).train()
    out = net(image(2, 3, 64, 128))
    assert out["pred"].shape == (2, 5, 64, 128)
    sum(x.square().mean() for x in out.values()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.in_make_test("basic.HRNet", "encoder_decoder", "deepv3.DeepR50V3PlusD_m1", "mscale.DeepV3W38Fuse")
@pytest.mark.parametrize("arch", one_of_each())
def test_state_round_trip(narrow, arch: str) -> None:
    net, other = narrow(arch).train(), narrow(arch)
    net(image(2, 3, 64, 64))  # moves the running statistics
    for p in net.parameters():
        p.data.add_(0.001)
    other.load_state_dict(net.state_dict())
    x = image(1, 3, 64, 64)
    torch.testing.assert_close(other.eval()(x)["pred"], net.eval()(x)["pred"], rtol=0, atol=0)


@pytest.mark.in_make_test(
    "train-ocrnet.HRNet",
    "eval-ocrnet.HRNet",
    "eval-encoder_decoder",
    "eval-deeper.DeeperW38",
    "eval-mscale.DeepV3W38Fuse",
    "eval-attnscale.DeepV3R50BP",
)
@pytest.mark.parametrize("arch", one_of_each())
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_odd_sizes_and_size(narrow, arch: str, mode: str) -> None:
    net = narrow(arch).train(mode == "train")
    assert net(image(2, 3, 65, 97))["pred"].shape == (2, 5, 65, 97)
    assert net(image(2, 3, 65, 97), size=(33, 49))["pred"].shape == (2, 5, 33, 49)
    assert net(image(2, 3, 65, 97), torch.Size((130, 200)))["pred"].shape == (2, 5, 130, 200)


@pytest.mark.in_make_test(
    "attnscale.DeepV3R50",
    "basic.HRNet",
    "deeper.DeeperW38",
    "encoder_decoder",
    "mscale.DeepV3W38Fuse",
    "mscale2.DeepV3R50",
    "ocrnet.HRNet",
    "offset.DeepV3PlusR50",
    "offset.HRNet_OCR",
)
@pytest.mark.parametrize("arch", one_of_each())
def test_keep(narrow, arch: str) -> None:
    net = narrow(arch).eval()
    x = image(1, 3, 64, 96)
    assert list(net(x, keep=("pred",))) == ["pred"]
    torch.testing.assert_close(net(x, keep=("pred",))["pred"], net(x)["pred"])
    assert set(net(x, keep=set(net(x)))) == set(net(x))


def test_single_outputs_stay_at_the_heads_resolution(narrow) -> None:
    net = narrow("ocrnet.HRNet").eval()
    out = net(image(1, 3, 64, 96))
    assert {name: tuple(x.shape) for name, x in out.items()} == {"pred": (1, 5, 64, 96), "aux": (1, 5, 16, 24)}
    native = net(image(1, 3, 64, 96), size=(16, 24))["pred"]
    torch.testing.assert_close(native, net.maps(image(1, 3, 64, 96)).outputs["pred"], rtol=0, atol=0)


def test_align_corners_reaches_trunk_and_output(narrow) -> None:
    net, other = narrow("ocrnet.HRNet").eval(), narrow("ocrnet.HRNet", align_corners=True).eval()
    x = image(1, 3, 64, 96)
    assert not torch.allclose(net.joined(x), other.joined(x), atol=1e-4)
    assert not torch.allclose(net(x)["pred"], other(x)["pred"], atol=1e-4)


def test_freeze_trunk(narrow) -> None:
    net = narrow("ocrnet.HRNet_Mscale", freeze_trunk=True)
    trunk = net.trunk_module
    before = {k: v.clone() for k, v in trunk.state_dict().items()}
    net.train()
    out = net(image(2, 3, 64, 64))
    (out["pred"].square().mean() + out["aux"].square().mean()).backward()
    assert not any(m.training for m in trunk.modules())
    assert net.family.ocr.training
    assert all(p.grad is None for p in trunk.parameters())
    assert all(p.grad is not None for p in net.family.ocr.parameters())
    assert all(torch.equal(v, before[k]) for k, v in trunk.state_dict().items())


def test_bn_momentum(narrow) -> None:
    net = narrow("ocrnet.HRNet")
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {m.momentum for m in norms} == {0.1}
    set_bn_momentum(net, 0.01)
    assert {m.momentum for m in norms} == {0.01}


def tree(**model: object) -> CfgNode:
    """The keys that build reads, narrow, with changes."""
    names = {"STAGE1": 1, "STAGE2": 2, "STAGE3": 3, "STAGE4": 4, "STAGE2_2": 2, "STAGE3_2": 3, "STAGE4_2": 4}
    stages = {name: {"NUM_MODULES": 1, "NUM_BLOCKS": [1] * n} for name, n in names.items()}
    base = {
        "ARCH": "ocrnet.HRNet_Mscale", "HRNET_WIDTH": 4, "WIDTH_MULT": 1.0, "N_SCALES": (), "MSCALE_LO_SCALE": 0.5,
        "SECOND_SCALE_FROM": 0, "ENCODER": "resnet18", "DECODER": "c1", "FC_DIM": 0,
        "ALIGN_CORNERS": False, "OCR_ASPP": False, "SEGATTN_BOT_CH": 8, "ASPP_BOT_CH": 8, "MSCALE_INNER_3x3": True,
        "MSCALE_DROPOUT": False, "MSCALE_OLDARCH": False, "ATTNSCALE_BN_HEAD": False,
        "BN_MOMENTUM": -1.0, "GRAD_CKPT": False, "DROP_PATH": 0.0, "NECK": {"CHANNELS": 0, "STRIDE": 0},
        "INIT_DECODER": False, "INIT_CLASSIFIERS": "auto", "FREEZE_TRUNK": False, "FREEZE_STAGES": 0, "FIX_BN": False,
        "OCR_EXTRA": stages,
        "OCR": {"MID_CHANNELS": 16, "KEY_CHANNELS": 8, "DROPOUT": 0.05},
        "OFFSET_BRANCH": 4, "OFFSET_THRESHOLD": -1.0, "ITERATIVE_REFINEMENT": 0, "LOGITS": True, "FREEZED_PAR": False,
    }  # fmt: skip
    return CfgNode({"MODEL": base | model, "DATASET": {"NUM_CLASSES": 7}, "PUBLISHED": ()})


def test_build_reads_the_tree() -> None:
    net = network.build(tree(N_SCALES=(0.25, 1.0), BN_MOMENTUM=0.02, MSCALE_LO_SCALE=0.75))
    assert net.eval()(image(1, 3, 64, 64))["pred"].shape == (1, 7, 64, 64)
    assert (net.scales, net.lo_scale) == ((0.25, 1.0), 0.75)
    assert {m.momentum for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {0.02}
    assert {type(m).__name__ for m in network.build(tree(OCR_ASPP=True)).parts().values()} >= {"ASPP", "OCRHead"}


@pytest.mark.parametrize("grad_ckpt", [False, True])
def test_fixed_batch_norm_keeps_its_statistics_and_learns(grad_ckpt: bool) -> None:
    """In training a map is what evaluation gives (no dropout here); weights and biases of norms get gradients."""
    net = network.build(tree(FIX_BN=True, ARCH="encoder_decoder", WIDTH_MULT=0.125, GRAD_CKPT=grad_ckpt))
    before = {name: x.clone() for name, x in net.named_buffers()}
    x = image(2, 3, 64, 64)
    expected = net.eval()(x)["pred"]
    found = net.train()(x)["pred"]
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    found.square().mean().backward()
    assert before and all(torch.equal(x, before[name]) for name, x in net.named_buffers())
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(m.weight.grad is not None and m.bias.grad is not None and not m.training for m in norms)
    assert net.training and net.decoder.training
    assert not torch.equal(network.build(tree(ARCH="encoder_decoder", WIDTH_MULT=0.125))(x)["pred"], expected)


def test_fixed_batch_norm_over_ranks_stays_fixed() -> None:
    net = network.build(tree(FIX_BN=True))
    for converted in (
        sync_batchnorm(net, DistributedContext(0, 2)),
        torch.nn.SyncBatchNorm.convert_sync_batchnorm(net),
    ):
        norms = [m for m in converted.train().modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
        assert norms and not any(m.training for m in norms)
        assert {type(m) for m in norms} != {torch.nn.BatchNorm2d}
    ddp = torch.nn.Sequential(net).train()  # as it is called by a wrapper
    assert ddp.training and not any(m.training for m in net.modules() if isinstance(m, torch.nn.SyncBatchNorm))


def test_init_decoder_leaves_the_attention_even() -> None:
    torch.manual_seed(0)
    plain, decoder = network.build(tree()), network.build(tree(INIT_DECODER=True))
    assert decoder.family.ocr.cls_head.weight.std() > 1.5 * plain.family.ocr.cls_head.weight.std()
    old = network.build(tree(INIT_DECODER=True, MSCALE_OLDARCH=True)).eval()(image(1, 3, 64, 64))
    assert (old["attn_05x"] == 0.5).all()
    assert (decoder.eval()(image(1, 3, 64, 64))["attn_05x"] - 0.5).abs().max() < 0.05


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ARCH": ""}, ["no default", "ocrnet.HRNet_Mscale", "basic.HRNet"]),
        ({"ARCH": "ocrnet.HRNet_Msclae"}, ["did you mean 'ocrnet.HRNet_Mscale'", "basic.HRNet_ASP"]),
        (
            {"OCR_EXTRA": {f"STAGE{n}": {"NUM_MODULES": 1, "NUM_BLOCKS": [1]} for n in (1, 2, 3, 4)}},
            ["STAGE2", "2 num"],
        ),
    ],
)
def test_build_refuses(change: dict, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        network.build(tree(**change))
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)
