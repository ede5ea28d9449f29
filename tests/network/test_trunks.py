"""Trunks of DeepLab: strides and channels, the published peculiarities, and ImageNet files from other projects."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import config
import network
from network import composition, weights
from network.families import Settings
from network.layers import scaled
from network.trunk import Trunk
from network.trunk.hrnet import HRNet
from network.trunk.xception import Block
from options import archs
from options.parts import ENCODERS
from utils.errors import UserError

pytestmark = pytest.mark.run

MULT = 0.125
TRUNKS = {**ENCODERS, **archs.TRUNKS}
STATE = dict[str, Tensor]
OUR_STRIDES = {"resnet50": 8, "se_resnext50": 8, "wide_resnet38": 8, "xception71": 8, "hrnet": 4, "hrnetv2": 4}


def trunk(name: str, mult: float = MULT, grad_ckpt: bool = False) -> Trunk:
    torch.manual_seed(0)
    return composition.trunk(TRUNKS[name], Settings(2, width_mult=mult, grad_ckpt=grad_ckpt))


def test_output_strides() -> None:
    """DeepLab's trunks end at 1/8, HRNet joins its maps at 1/4, and names of scene parsing say where they end."""
    with torch.device("meta"):
        found = {name: trunk(name).joined.stride for name in TRUNKS}
    assert {name: found[name] for name in OUR_STRIDES} == OUR_STRIDES
    ends = {"_dilated8": 8, "_dilated16": 16, "dilated": 8}
    named = {name for name in found if name.endswith(tuple(ends))}
    assert all(found[name] == next(ends[end] for end in ends if name.endswith(end)) for name in named)
    assert all(found[name] == 32 for name in ("resnet18", "resnet101", "resnext101", "mobilenetv2"))


@pytest.mark.in_make_test("0.125-*", "0.02-hrnet", "0.02-resnet50", "0.02-se_*")
@pytest.mark.parametrize("name", TRUNKS)
@pytest.mark.parametrize("mult", [0.02, MULT, 0.3, 1.5])
def test_shapes(name: str, mult: float) -> None:
    """Channels and strides are what the trunk says, at any width."""
    with torch.device("meta" if mult > 1 else "cpu"), torch.no_grad():
        net = trunk(name, mult).eval()
        features = net(torch.empty(1, 3, 64, 128))
    assert [x.shape for x in features] == [(1, c, 64 // stride, 128 // stride) for stride, c in net.levels]
    assert net.join(features).shape == (1, net.joined.channels, 64 // net.joined.stride, 128 // net.joined.stride)


@pytest.mark.in_make_test("resnet18dilated", "mobilenetv2", "se_resnext50", "wide_resnet38")
@pytest.mark.parametrize("name", TRUNKS)
def test_grad_ckpt_changes_nothing(name: str) -> None:
    """Same gradients and statistics, dropout included."""
    image = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(1))
    results = []
    for on in (False, True):
        net = trunk(name, grad_ckpt=on).train()
        torch.manual_seed(2)
        net.join(net(image)).square().mean().backward()
        results.append({k: p.grad for k, p in net.named_parameters()} | dict(net.named_buffers()))
    for key, x in results[0].items():
        torch.testing.assert_close(results[1][key], x, msg=key)


def test_wide_resnet_drops_channels_in_its_own_modules_alone() -> None:
    before = nn.Dropout
    net = trunk("wide_resnet38")
    dropouts = {name: (type(m), m.p) for name, m in net.named_modules() if isinstance(m, (nn.Dropout, nn.Dropout2d))}
    assert dropouts == {
        "mod6.block1.convs.dropout": (nn.Dropout2d, 0.3),
        "mod7.block1.convs.dropout": (nn.Dropout2d, 0.5),
    }
    assert nn.Dropout is before


def test_dilations() -> None:
    def dilations(net: nn.Module, stage: str) -> set[int]:
        convs = [m for m in net.get_submodule(stage).modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
        return {m.dilation[0] for m in convs}

    for name in ("resnet50", "se_resnext50"):
        assert [dilations(trunk(name), f"layer{i}") for i in (1, 2, 3, 4)] == [{1}, {1}, {2}, {4}]
    assert [dilations(trunk("wide_resnet38"), f"mod{i}") for i in (4, 5, 6, 7)] == [{1}, {2}, {4}, {4}]
    stages = ("block3", "block4", "block19", "block20", "conv3", "conv5")
    assert [dilations(trunk("xception71"), stage) for stage in stages] == [{1}, {2}, {2}, {1, 2}, {4}, {4}]


def test_se_resnext_groups_follow_the_width() -> None:
    for mult in (0.02, 0.3, 1.0):
        with torch.device("meta"):
            net = trunk("se_resnext50", mult)
        groups = {block.conv2.groups for stage in (net.layer1, net.layer4) for block in stage}
        assert groups == {max(1, round(32 * mult))}
        assert [getattr(net, f"layer{i + 1}")[0].conv2.weight.shape[1] for i in range(4)] == [4, 8, 16, 32]


def test_xception_block_rectifies_its_shortcut() -> None:
    """As published: with all convolutions silent, what comes out is the rectified input."""
    block = Block((4, 4, 4, 4)).eval()
    for norm in (m for m in block.rep if isinstance(m, nn.BatchNorm2d)):
        nn.init.zeros_(norm.weight)
    x = torch.randn(1, 4, 5, 5)
    before = x.clone()
    torch.testing.assert_close(block(x), x.relu())
    assert torch.equal(x, before)


# --- ImageNet files, made from the same lists of names --------------------------------------------------------------


def norm(name: str, channels: int) -> STATE:
    entries = {e: torch.rand(channels) for e in ("weight", "bias", "running_mean", "running_var")}
    return {f"{name}.{e}": x for e, x in entries.items()} | {f"{name}.num_batches_tracked": torch.tensor(7)}


def torchvision_file() -> STATE:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(1)
    return models.resnet50().state_dict()


def released(name: str, extra: STATE) -> STATE:
    """A file that has the trunk's own names."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return composition.trunk(TRUNKS[name], Settings(2, width_mult=MULT)).state_dict() | extra


def cadene_file() -> STATE:
    return released("se_resnext50", {"last_linear.weight": torch.rand(10, 4), "last_linear.bias": torch.rand(10)})


def timm_seresnext_file() -> STATE:
    names = {k.replace("layer0.", "").replace("se_module", "se"): x for k, x in cadene_file().items()}
    return {k.replace("last_linear", "fc"): x for k, x in names.items()}


def wide_resnet_file() -> dict[str, object]:
    extra = norm("bn_out.0", 512) | {"classifier.fc.weight": torch.rand(10, 512), "classifier.fc.bias": torch.rand(10)}
    state = released("wide_resnet38", extra)
    return {"state_dict": {f"module.{k}": x for k, x in state.items()}, "epoch": 10, "arch": "wider_resnet38_a2"}


def nvidia_xception_file() -> dict[str, object]:
    return {"model_dict": {f"module.{k}": x for k, x in released("xception71", {}).items()}}


def timm_xception_file() -> STATE:
    """xception71 of timm/models/xception_aligned.py: 23 blocks of three separable convolutions."""
    c64, c128, c256, c728, c1024, c1536, c2048 = (scaled(c, MULT) for c in (64, 128, 256, 728, 1024, 1536, 2048))
    widths = [(c64, *[c128] * 3), (c128, *[c256] * 3), (c256, *[c256] * 3), (c256, *[c728] * 3)]
    widths += [(c728,) * 4] * 17 + [(c728, c728, c1024, c1024), (c1024, c1536, c1536, c2048)]
    strided = {0, 2, 4, 21}
    stem = scaled(32, MULT)
    state = {"stem.0.conv.weight": torch.rand(stem, 3, 3, 3)} | norm("stem.0.bn", stem)
    state |= {"stem.1.conv.weight": torch.rand(c64, stem, 3, 3)} | norm("stem.1.bn", c64)
    for b, channels in enumerate(widths):
        if b != 22 and (b in strided or channels[0] != channels[-1]):
            state[f"blocks.{b}.shortcut.conv.weight"] = torch.rand(channels[-1], channels[0], 1, 1)
            state |= norm(f"blocks.{b}.shortcut.bn", channels[-1])
        for i in (1, 2, 3):
            name, inputs, outputs = f"blocks.{b}.stack.conv{i}", channels[i - 1], channels[i]
            state |= {f"{name}.conv_dw.weight": torch.rand(inputs, 1, 3, 3)} | norm(f"{name}.bn_dw", inputs)
            state |= {f"{name}.conv_pw.weight": torch.rand(outputs, inputs, 1, 1)} | norm(f"{name}.bn_pw", outputs)
    return state | {"head.fc.weight": torch.rand(10, c2048), "head.fc.bias": torch.rand(10)}


FILES = {
    "torchvision": ("deepv3.DeepV3PlusR50", 1.0, torchvision_file, "torchvision's names"),
    "cadene": ("deepv3.DeepV3PlusSRNX50", MULT, cadene_file, "plain"),
    "timm seresnext": ("deepv3.DeepV3PlusSRNX50", MULT, timm_seresnext_file, "timm's names"),
    "wider_resnet38.pth.tar": ("mscale.DeepV3W38", MULT, wide_resnet_file, "wider_resnet38_a2"),
    "of deeper": ("deeper.DeeperW38", MULT, wide_resnet_file, "wider_resnet38_a2"),
    "torchvision, no name": ("deepv3.DeepR50V3PlusD_m1", 1.0, torchvision_file, "torchvision's names"),
    "cadene, no name": ("deepv3.DeepSRNX50V3PlusD_m1", MULT, cadene_file, "plain"),
    "timm seresnext, no name": ("deepv3.DeepSRNX50V3PlusD_m1", MULT, timm_seresnext_file, "timm's names"),
    "wider_resnet38.pth.tar, no name": ("deepv3.DeepWV3Plus", MULT, wide_resnet_file, "wider_resnet38_a2"),
    "nvidia xception": ("deeper.DeeperX71", MULT, nvidia_xception_file, "plain"),
}


@pytest.fixture
def save(tmp_path: Path) -> Iterator[Callable[[object], Path]]:
    def write(content: object) -> Path:
        torch.save(content, tmp_path / "file.pth")
        return tmp_path / "file.pth"

    yield write


@pytest.mark.in_make_test("torchvision", "cadene", "wider_resnet38.pth.tar, no name")
@pytest.mark.parametrize("kind", FILES)
def test_trunk_file_fills_the_trunk(narrow, save, kind: str) -> None:
    arch, mult, make, source = FILES[kind]
    net, content = narrow(arch, width_mult=mult), make()
    report = weights.load_trunk(net, save(content))
    assert report.complete, str(report)
    assert source in report.source
    state = net.trunk_module.state_dict()
    # These files have the trunk's order, and what is left over at their end.
    pairs = zip(state.items(), weights.read_file(save(content)).state.values(), strict=False)
    assert all(torch.equal(x, theirs) for (_, x), theirs in pairs)
    assert {name.split(".")[0] for name in report.unexpected} <= {"fc", "last_linear", "bn_out", "classifier"}


def test_timm_hrnet_fills_ours(save) -> None:
    """It has the names of the HRNet releases, and its classifier beside them."""
    timm = pytest.importorskip("timm", reason="an extra: pip install timm")
    torch.manual_seed(1)
    file, trunk = timm.create_model("hrnet_w18").state_dict(), HRNet(18)
    report = weights.load_trunk(nn.ModuleDict({"backbone": trunk}), save(file))
    assert report.complete, str(report)
    assert all(torch.equal(x, file[name]) for name, x in trunk.state_dict().items())
    behind = {"incre_modules", "downsamp_modules", "final_layer", "classifier"}
    assert {name.split(".")[0] for name in report.unexpected} == behind


def test_timm_xception_fills_all_that_is_alike(narrow, save) -> None:
    net, file = narrow("deepv3.DeepV3PlusX71"), timm_xception_file()
    report = weights.load_trunk(net, save(file))
    assert report.complete, str(report)
    assert "timm's names of xception71" in str(report)
    assert {tuple(name.split(".")[:2]) for name in report.unexpected} == {
        ("blocks", "2"), ("blocks", "4"), ("blocks", "1"), ("head", "fc"),
    }  # fmt: skip
    state = net.backbone.state_dict()
    for ours, theirs in (
        ("conv1.weight", "stem.0.conv.weight"),
        ("block1.skip.weight", "blocks.0.shortcut.conv.weight"),
        ("block1.rep.0.conv1.weight", "blocks.0.stack.conv1.conv_dw.weight"),
        ("block1.rep.7.running_var", "blocks.0.stack.conv3.bn_pw.running_var"),
        ("block3.rep.1.pointwise.weight", "blocks.3.stack.conv1.conv_pw.weight"),
        ("block4.rep.4.bn.bias", "blocks.5.stack.conv2.bn_dw.bias"),
        ("block19.rep.8.weight", "blocks.20.stack.conv3.bn_pw.weight"),
        ("block20.skipbn.bias", "blocks.21.shortcut.bn.bias"),
        ("conv5.pointwise.weight", "blocks.22.stack.conv3.conv_pw.weight"),
        ("bn3.weight", "blocks.22.stack.conv1.bn_pw.weight"),
    ):
        assert torch.equal(state[ours], file[theirs]), ours


@pytest.mark.parametrize("arch", ["deepv3.DeepV3PlusX71", "deepv3.DeepV3PlusR50", "deeper.DeeperW38"])
def test_another_trunks_file_is_refused(narrow, save, arch: str) -> None:
    net = narrow(arch)
    with pytest.raises(UserError, match="entries fit the trunk") as caught:
        weights.load_trunk(net, save(narrow("ocrnet.HRNet").backbone.state_dict()))
    assert "\n" not in str(caught.value)


def test_a_deeper_networks_trunk_file_given_as_a_network(narrow, save) -> None:
    with pytest.raises(UserError, match="TRUNK_WEIGHTS"):
        weights.load(narrow("deeper.DeeperW38"), save(narrow("deeper.DeeperW38").trunk.state_dict()))


def test_published_files_are_for_their_own_trunk(narrow, tmp_path: Path) -> None:
    """What lies in ASSETS_PATH is taken by the trunk that it belongs to, and by no other."""
    folder = tmp_path / "seg_weights"
    folder.mkdir()
    torch.save(narrow("ocrnet.HRNet").backbone.state_dict(), folder / "hrnetv2_w48_imagenet_pretrained.pth")
    torch.save(wide_resnet_file(), folder / "wider_resnet38.pth.tar")

    def start(arch: str) -> str:
        cfg = config.load(["--arch", arch, "ASSETS_PATH", str(tmp_path)])
        return network.start_trunk(cfg, narrow(arch))

    assert "wider_resnet38.pth.tar" in start("deepv3.DeepV3PlusW38")
    assert "wider_resnet38.pth.tar" in start("deeper.DeeperW38")
    assert "hrnetv2" in start("basic.HRNet")
    assert start("deepv3.DeepV3PlusR50").startswith("random weights")
    assert start("deepv3.DeepV3PlusX71").startswith("random weights")


@pytest.mark.parametrize("words", [["--freeze_trunk"], ["--freeze_stages", "1"]])
def test_random_weights_that_stay_are_a_warning(narrow, words: list[str]) -> None:
    cfg = config.load(["--arch", "deepv3.DeepV3PlusR50", *words])
    said = network.start_trunk(cfg, narrow("deepv3.DeepV3PlusR50"))
    assert f"warning: {' '.join(words)}: what is frozen stays random" in said
    free = network.start_trunk(config.load(["--arch", "deepv3.DeepV3PlusR50"]), narrow("deepv3.DeepV3PlusR50"))
    assert free.startswith("random weights") and "warning" not in free


def test_file_of_less_than_half_a_trunk_is_refused(narrow, save) -> None:
    """A stem that fits by chance is no trunk."""
    net = narrow("deepv3.DeepV3PlusR50")
    state = net.backbone.state_dict()
    before = {name: x.clone() for name, x in state.items()}
    part = dict(list(state.items())[: len(state) // 3])
    with pytest.raises(UserError, match="entries fit the trunk"):
        weights.load_trunk(net, save({name: x + 1 for name, x in part.items()}))
    assert all(torch.equal(x, before[name]) for name, x in net.backbone.state_dict().items())
