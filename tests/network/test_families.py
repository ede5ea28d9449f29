"""Every name, by table: trunk and head, options, terms of the loss, and files of its weights."""

import math

import pytest
import torch
from narrow_nets import one_of_each
from torch import nn

import config
import loss
import network
from compat.nvidia import weights as nvidia
from network import weights
from network.attnscale import PairwiseAttentionToScale
from network.batchnorm_check import single_value
from network.layers import Classifier
from network.mscale import MultiScale, fuse
from network.trunk.hrnet import HRNet
from network.trunk.resnet import DeepStemResNet, ResNet, SEResNeXt
from network.trunk.wide_resnet import WideResNet38
from network.trunk.xception import Xception71
from options.archs import ANY, ARCHS
from utils.errors import UserError

pytestmark = pytest.mark.run

TRUNKS = {
    "hrnet": HRNet,
    "resnet50": ResNet,
    "se_resnext50": SEResNeXt,
    "se_resnext101": SEResNeXt,
    "wide_resnet38": WideResNet38,
    "xception71": Xception71,
    ANY: DeepStemResNet,  # of the settings' default
}
SEVERAL = sorted(name for name, row in ARCHS.items() if row.scales)
JOINT = sorted(name for name, row in ARCHS.items() if row.scales == "all")
HEADS = sorted(name for name, row in ARCHS.items() if row.scales in ("hierarchical", "fused"))


def image(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("arch", ARCHS)
def test_trunk(narrow, arch: str) -> None:
    net = narrow(arch)
    assert type(net.trunk_module) is TRUNKS[ARCHS[arch].trunk]
    assert isinstance(net, MultiScale) == (arch in SEVERAL)


@pytest.mark.in_make_test("basic.HRNet", "deepv3.DeepR50V3PlusD_m1", "offset.DeepV3PlusR50")
@pytest.mark.parametrize("arch", one_of_each())
def test_checkpoint_round_trip(narrow, arch: str, tmp_path) -> None:
    """What is saved in the published layout fills another network entirely."""
    net, other = narrow(arch), narrow(arch)
    for p in net.parameters():
        p.data.add_(0.01)
    content = nvidia.write(weights.Weights(net.state_dict(), "nvidia", arch, 5))[""]
    torch.save(content, tmp_path / "last.pth")
    report = weights.load(other, tmp_path / "last.pth")
    assert report.complete and report.weights.arch == arch and not report.unexpected
    saved = net.state_dict()
    assert all(torch.equal(x, saved[k]) for k, x in other.state_dict().items())


@pytest.mark.in_make_test(
    "attnscale.DeepV3R50", "attnscale.DeepV3R50BP", "mscale.DeepV3W38Fuse", "mscale2.DeepV3R50", "ocrnet.HRNet_Mscale"
)
@pytest.mark.parametrize("arch", SEVERAL)
def test_supervision_of_single_scales(narrow, arch: str) -> None:
    """--supervised_mscale_loss_wt finds the outputs of every network of several scales, and all weights learn."""
    lower = [] if arch in JOINT else ["--mscale_lo_scale", "0.25"]
    words = ["--arch", arch, "--supervised_mscale_loss_wt", "0.05", *lower, "--n_scales", "0.5,1.0,1.5"]
    cfg = config.load([*words, "DATASET.NUM_CLASSES", "5"])
    scales = ("pred_05x", "pred_10x", "pred_15x") if arch in JOINT else ("pred_025x", "pred_10x")
    criterion = loss.build(cfg)
    assert [term.name for term in criterion.terms if term.name.startswith("pred")] == list(scales)
    net = narrow(arch, lo_scale=0.25, scales=(0.5, 1.0, 1.5)).train()
    label = torch.randint(0, 5, (2, 64, 128), generator=torch.Generator().manual_seed(1))
    total, parts = criterion(net(image(2, 3, 64, 128), label.shape[-2:]), label)
    single = sum(0.05 * parts[name] for name in scales)
    rest = parts["main"] + (0.4 * parts["aux"] if "aux" in parts else 0)
    if ARCHS[arch].offsets:
        rest += parts["confidence"] + sum(0.5 * parts[name] for name in ("initial", "seed"))
        rest += sum(0.2 * parts[name] for name in ("initial_aux", "seed_aux") if name in parts)
    torch.testing.assert_close(total.detach(), rest + single)
    total.backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


@pytest.mark.in_make_test(
    "attnscale.DeepV3R50", "attnscale.DeepV3R50BP", "mscale.DeepV3W38Fuse", "mscale2.DeepV3R50", "ocrnet.HRNet_Mscale"
)
@pytest.mark.parametrize("arch", SEVERAL)
def test_outputs_have_their_scales_size(narrow, arch: str) -> None:
    net = narrow(arch, scales=(0.5, 1.0, 2.0)).eval()
    out = net(image(1, 3, 64, 96))
    sizes = {name: tuple(x.shape[-2:]) for name, x in out.items() if name.startswith("pred_")}
    assert sizes == {"pred_05x": (32, 48), "pred_10x": (64, 96), "pred_20x": (128, 192)}
    assert out["attn_05x"].shape[1] == out["attn_10x"].shape[1] == 1
    assert out["pred"].shape == (1, 5, 64, 96)


@pytest.mark.in_make_test(
    "attnscale.DeepV3R50", "attnscale.DeepV3R50BP", "mscale.DeepV3W38Fuse", "mscale2.DeepV3R50", "ocrnet.HRNet_Mscale"
)
@pytest.mark.parametrize("arch", SEVERAL)
def test_second_scale_from(narrow, arch: str) -> None:
    net = narrow(arch, second_scale_from=2).train()
    net.start_epoch(1)
    out = net(image(2, 3, 64, 64))
    assert not [name for name in out if name.startswith(("pred_", "attn"))]
    out["pred"].square().mean().backward()
    assert all((p.grad == 0).all() for p in net.scale_attn.parameters())
    net.start_epoch(2)
    assert "pred_10x" in net(image(2, 3, 64, 64))


@pytest.mark.parametrize(
    "arch",
    ["deepv3.DeepV3PlusSRNX50", "deeper.DeeperW38", "mscale.DeepV3X71", "mscale2.DeepV3R50", "deepv3.DeepWV3Plus"],
)
def test_freeze_trunk(narrow, arch: str) -> None:
    net = narrow(arch, freeze_trunk=True).train()
    trunk = net.trunk_module
    before = {k: v.clone() for k, v in trunk.state_dict().items()}
    net(image(2, 3, 64, 64))["pred"].square().mean().backward()
    assert not any(m.training for m in trunk.modules())
    assert all(p.grad is None for p in trunk.parameters())
    assert all(torch.equal(v, before[k]) for k, v in trunk.state_dict().items())
    heads = [part for part in net.parts().values() if part is not trunk]
    assert all(p.grad is not None for part in heads for p in part.parameters())
    assert len(heads) < len(net.parts())


@pytest.mark.parametrize(
    "arch", ["deepv3.DeepV3PlusR50", "deeper.DeeperX71", "mscale2.DeepV3R50", "attnscale.DeepV3R50"]
)
def test_align_corners(narrow, arch: str) -> None:
    net, other = narrow(arch).eval(), narrow(arch, align_corners=True).eval()
    assert not torch.allclose(net(image(1, 3, 64, 96))["pred"], other(image(1, 3, 64, 96))["pred"], atol=1e-5)


@pytest.mark.parametrize("arch", ["mscale.DeepV3R50", "mscale.DeepV3W38Fuse2", "attnscale.DeepV3R50BP"])
def test_half_precision_weights(narrow, arch: str) -> None:
    net = narrow(arch).eval().bfloat16()
    out = net(image(1, 3, 64, 64).bfloat16())
    assert {x.dtype for name, x in out.items()} == {torch.float32}


@pytest.mark.in_make_test("mscale*")
@pytest.mark.parametrize("arch", HEADS)
def test_attention_options(narrow, arch: str) -> None:
    def names(**options: bool) -> list[str]:
        return [name for name, _ in narrow(arch, **options).scale_attn.named_children()]

    assert names(inner_3x3=False) == ["conv0", "bn0", "relu0", "conv2", "sigmoid"]
    assert "drop" in names(attention_dropout=True)
    assert names(old_attention=True)[0] == "0"


def test_widths_of_heads(full) -> None:
    plus = full("deepv3.DeepV3PlusR50", head_channels=64, aspp_channels=32)
    assert plus.bot_aspp.weight.shape == (256, 5 * 32, 1, 1)
    assert plus.final[0].weight.shape == (64, 48 + 256, 3, 3)
    assert full("basic.HRNet_ASP", aspp_channels=32).bot_aspp.weight.shape == (256, 5 * 32, 1, 1)
    assert full("deeper.DeeperW38", head_channels=64).conv_up3.conv.weight.shape == (64, 64 + 32, 5, 5)
    joint = full("attnscale.DeepV3R50", head_channels=64, scales=(0.5, 1.0))
    assert joint.scale_attn[0].weight.shape == (128, 2 * 304, 3, 3)


def test_attnscale_bn_head(full) -> None:
    """The flag makes of the plain name the one with batch norm."""
    options = {"scales": (0.5, 1.0, 2.0)}
    plain, named = full("attnscale.DeepV3R50", **options), full("attnscale.DeepV3R50B", **options)
    asked = full("attnscale.DeepV3R50", attnscale_norm=True, **options)
    assert list(asked.state_dict()) == list(named.state_dict()) != list(plain.state_dict())


@pytest.mark.parametrize("arch", sorted(name for name, row in ARCHS.items() if row.scales in ("all", "pairs")))
def test_attnscale_needs_scales(arch: str) -> None:
    with pytest.raises(UserError, match="--n_scales 0.5,1.0,2.0") as caught:
        network.build(config.load(["--arch", arch, "--width_mult", "0.05"]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arch",
    ["deepv3.DeepV3PlusR50", "deeper.DeeperW38", "mscale2.DeepV3R50", "attnscale.DeepV3R50", "deepv3.DeepWV3Plus"],
)
def test_init_decoder(arch: str) -> None:
    """All but the trunk start Kaiming-normal; attention in [0, 1] still starts even."""
    words = ["--arch", arch, "--width_mult", "0.05", "--init_decoder"]
    words += ["--n_scales", "0.5,1.0"] if "scale" in arch else []
    net = network.build(config.load([*words, "--aspp_bot_ch", "64", "--segattn_bot_ch", "64"]))
    convolution = net.parts()["aspp"].features[1][0]
    assert convolution.weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.1)
    if arch == "mscale2.DeepV3R50":
        assert net.scale_attn[-2].weight.std() < 0.02
    if arch == "attnscale.DeepV3R50":
        assert net.scale_attn[-1].weight.std() > 0.1


@pytest.mark.parametrize(
    ("words", "xavier"),
    [
        ("--arch timm:test_efficientnet+ocr+hierarchical", True),
        ("--arch timm:test_efficientnet+upernet", True),
        ("--arch timm:test_efficientnet+ocr+hierarchical --init_classifiers published", False),
        ("--arch timm:test_efficientnet+plain --init_decoder", False),
        ("--arch ocrnet.HRNet_Mscale --width_mult 0.05", False),
        ("--arch ocrnet.HRNet_Mscale --width_mult 0.05 --init_classifiers xavier", True),
    ],
)
def test_classifiers_start_as_they_learn_soonest_round_trunks_of_packages(words: str, xavier: bool) -> None:
    """Their weights are uniform up to sqrt(6 / (inputs + classes)); those that give no class scores stay."""
    torch.manual_seed(0)
    net = network.build(config.load([*words.split(), "DATASET.NUM_CLASSES", "19"]))
    bounds = {name: math.sqrt(6 / (m.in_channels + 19)) for name, m in net.named_modules() if isinstance(m, Classifier)}
    assert bounds
    largest = {name: float(net.get_submodule(name).weight.detach().abs().max()) for name in bounds}
    near = [0.97 * bounds[name] < largest[name] <= bounds[name] for name in bounds]
    assert all(near) if xavier else not any(near)
    if "hierarchical" in words:
        assert net.scale_attn[-2].weight.std() < 0.02


def test_an_offset_head_starts_small_whatever_the_classifiers_do() -> None:
    torch.manual_seed(0)
    arch = "timm:test_efficientnet+ocr+offsets"
    net = network.build(config.load(["--arch", arch, "--init_classifiers", "xavier"]))
    (last,) = [m for name, m in net.named_modules() if name.startswith("offset_layer") and isinstance(m, Classifier)]
    assert last.weight.std() < 0.002


def test_one_image_cannot_train_aspp(narrow) -> None:
    """Its first branch has one value an image, however large that is; the check before the first step names it."""
    net = narrow("deepv3.DeepV3PlusR50")
    assert single_value(net, (256, 256), last_epoch=0) == "aspp.img_conv.1"
    assert single_value(net, (256, 256), last_epoch=0, images=2) == ""


# --- how scales are combined --------------------------------------------------------------------------------------


class Constant(nn.Module):
    """In place of an attention head: `values`, one a channel, at the size of the features."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = values

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self.values).view(1, -1, 1, 1).expand(len(x), -1, *x.shape[-2:])


@pytest.mark.parametrize("attention", [0.0, 1.0])
def test_fused_pyramids_take_the_smaller_scales_where_it_is_trusted(narrow, attention: float) -> None:
    """Pyramids have an attention of their own here, so that classes can be taken from the larger scale alone."""
    net, plain = narrow("mscale.DeepV3W38Fuse2").eval(), narrow("deepv3.DeepV3PlusW38").eval()
    plain.load_state_dict({k: x for k, x in net.state_dict().items() if not k.startswith("scale_attn.")})
    net.scale_attn = Constant(0.0, attention)
    x = image(1, 3, 64, 96)
    smaller = torch.nn.functional.interpolate(x, (32, 48), mode="bilinear")
    pyramid = plain.aspp(plain.joined(smaller if attention else x))
    expected = plain.maps(x, lambda own: torch.nn.functional.interpolate(pyramid, own.shape[-2:], mode="bilinear"))
    expected = torch.nn.functional.interpolate(expected.outputs["pred"], (64, 96), mode="bilinear")
    torch.testing.assert_close(net(x)["pred"], expected)


def test_pyramids_go_from_small_to_large_over_all_scales(narrow) -> None:
    net = narrow("mscale.DeepV3W38Fuse", scales=(0.5, 1.0, 2.0)).eval()
    net.scale_attn = Constant(1.0)
    x = image(1, 3, 64, 96)
    torch.testing.assert_close(
        net(x)["pred"], torch.nn.functional.interpolate(net(x)["pred_05x"], (64, 96), mode="bilinear")
    )
    two = narrow("mscale.DeepV3W38Fuse", scales=(0.5, 1.0)).eval()
    two.scale_attn = Constant(1.0)
    torch.testing.assert_close(net(x)["pred_10x"], two(x)["pred_10x"])


def test_paired_attention_reads_both_scales(narrow) -> None:
    net = narrow("mscale2.DeepV3R50").eval()
    x = image(1, 3, 64, 96)
    out = net(x)
    torch.testing.assert_close(out["pred"], fuse(out["pred_05x"], out["attn_05x"], out["pred_10x"]))
    small = net._forward_scale(x, 0.5, None)[1]
    large = torch.nn.functional.interpolate(net._forward_scale(x, 1.0, None)[1], small.shape[-2:], mode="bilinear")
    attention = net.scale_attn(torch.cat([small, large], dim=1))
    torch.testing.assert_close(out["attn_05x"], torch.nn.functional.interpolate(attention, (32, 48), mode="bilinear"))
    torch.testing.assert_close(out["attn_10x"].shape, torch.Size((1, 1, 64, 96)))


def test_joint_weights_multiply_the_scales(narrow) -> None:
    """Channels of the head go by rising scale."""
    net = narrow("attnscale.DeepV3R50B").eval()
    net.scale_attn = Constant(2.0, -1.0, 0.5)
    out = net(image(1, 3, 64, 96))
    half = torch.nn.functional.interpolate(out["pred_05x"], (64, 96), mode="bilinear")
    double = torch.nn.functional.interpolate(out["pred_20x"], (64, 96), mode="bilinear")
    torch.testing.assert_close(out["pred"], 2 * half - out["pred_10x"] + 0.5 * double)


def test_pairs_share_what_the_smaller_scale_had(narrow) -> None:
    net = narrow("attnscale.DeepV3R50BP", scales=(0.25, 0.5, 1.0, 2.0)).eval()
    assert isinstance(net, PairwiseAttentionToScale)
    net.scale_attn = Constant(0.75, 0.25)
    out = net(image(1, 3, 64, 96), keep=("attn_025x", "attn_05x", "attn_10x", "attn_20x"))
    found = [out[name].mean().item() for name in ("attn_025x", "attn_05x", "attn_10x", "attn_20x")]
    assert found == pytest.approx([3 / 4, 3 / 16, 3 / 64, 1 / 64])
