"""Trunks of timm: what is measured of them, any size of image, refusals, their colors, and a life from step to file."""

import copy
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import config
import network
from benchmarks import timm_trunks
from inference import RULES, Predictor, export
from network.trunk import MEAN, STD, Level, timm_nets
from network.trunk.timm_nets import TimmTrunk
from options.arch_help import TRIED
from options.parts import PACKAGES
from utils import distributed
from utils.errors import UserError

timm = pytest.importorskip("timm", reason="an extra: pip install timm")
pytestmark = pytest.mark.run

ROWS = {row["trunk"].partition(":")[2]: row for row in csv.DictReader(TRIED.open(encoding="utf-8", newline=""))}
FEW = ("resnet18", "vit_tiny_patch16_224")


def net_of(name: str, *words: str) -> network.Net:
    """OCR under hierarchical attention, narrow."""
    torch.manual_seed(0)
    given = ["--dataset", "camvid", "--trunk", f"timm:{name}", "--head", "ocr", "--scales", "hierarchical"]
    narrow = [
        "--neck_channels",
        "8",
        "--segattn_bot_ch",
        "8",
        "MODEL.OCR.MID_CHANNELS",
        "16",
        "MODEL.OCR.KEY_CHANNELS",
        "8",
    ]
    return network.build(config.load([*given, *narrow, *words]))


def test_many_kinds_are_tried() -> None:
    assert len(ROWS) >= 40 and len({row["kind"] for row in ROWS.values()}) >= 12
    assert PACKAGES["timm"].neck == TimmTrunk.needs_neck


def test_branches_become_one_convolution() -> None:
    """RepViT computes the same with fewer layers; a network without branches stays as it is."""
    for name, joined in (("repvit_m0_9", True), ("test_resnet", False)):
        torch.manual_seed(0)
        net = network.build(config.load(["--dataset", "camvid", "--trunk", f"timm:{name}", "--head", "plain"]))
        image = torch.randn(2, 3, 64, 96)
        with torch.no_grad():
            net.train()(image)  # statistics that are not those of a new norm
            before, layers = net.eval()(image)["pred"], len([*net.modules()])
            timm_nets.join_branches(net)
            torch.testing.assert_close(net(image)["pred"], before, rtol=1e-4, atol=1e-5)
        assert (len([*net.modules()]) < layers) == joined


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_a_life(name: str, tmp_path: Path) -> None:
    """A step at two scales reaches every weight; scored at three on an odd size; read again it gives the same; so does
    what is exported.
    """
    net = net_of(name, "--n_scales", "0.5,1.0,2.0")
    assert timm_trunks.size_of(net.trunk_module).items() <= ROWS[name].items()  # type: ignore[arg-type]
    image = torch.randn(2, 3, 64, 96)
    outputs = net.train()(image)
    value = sum(x.float().square().mean() for x in outputs.values())
    assert isinstance(value, Tensor)
    value.backward()
    assert [
        k for k, p in net.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.isfinite().all())
    ] == []
    torch.optim.SGD(net.parameters(), 1e-4).step()
    odd = torch.randn(1, 3, 75, 101)
    with torch.no_grad():
        scored = net.eval()(odd)
    assert (
        scored["pred"].shape == (1, 11, 75, 101) and {"pred_05x", "pred_10x", "pred_20x", "attn_10x"} <= scored.keys()
    )
    torch.save(net.state_dict(), tmp_path / "net.pth")
    again = net_of(name, "--n_scales", "0.5,1.0,2.0").eval()
    assert network.weights.load(again, tmp_path / "net.pth").complete
    with torch.no_grad():
        assert torch.equal(again(odd)["pred"], scored["pred"])
    rule = RULES["nvidia"]
    module = export.Deployed(again if name in FEW else again.family, rule, "logits")  # one scale takes half the time
    export.save(module, rule, (64, 96), tmp_path / "net.pt2", True, {})
    error, same = export.distance(
        module, rule, export.runner(tmp_path / "net.pt2"), module.example((64, 96), 1, seed=1).numpy()
    )
    assert error < 1e-3 and same > 0.999


def test_levels_are_measured() -> None:
    assert TimmTrunk("resnet18").levels == (Level(4, 64), Level(8, 128), Level(16, 256), Level(32, 512))
    plain = TimmTrunk("vit_tiny_patch16_224")
    assert plain.levels == (Level(4, 48), Level(8, 96), Level(16, 192), Level(32, 192)) and plain.multiple == 16
    assert [level.stride for level in TimmTrunk("vit_small_patch14_dinov2").levels] == [3.5, 7, 14, 28]


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_maps_cover_the_image_at_any_size(name: str) -> None:
    trunk = TimmTrunk(name).eval()
    for size in ((64, 96), (65, 95), (5, 3), (1, 1)):
        with torch.no_grad():
            maps = trunk(torch.randn(1, 3, *size))
        want = [(level.channels, *(-(-side // int(level.stride)) for side in size)) for level in trunk.levels]
        assert [tuple(x.shape[1:]) for x in maps] == want


def test_each_network_gets_the_colors_that_it_knows() -> None:
    """An image normalized by ImageNet's values gives what timm's network gives of one normalized by its own."""
    trunk = TimmTrunk("vit_tiny_patch16_224").eval()
    image = torch.rand(1, 3, 64, 64)

    def normalized(mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
        return (image - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)

    with torch.no_grad():
        ours = trunk(normalized(MEAN, STD))[2]
        own = normalized(trunk.body.default_cfg["mean"], trunk.body.default_cfg["std"])
        theirs = trunk.body.forward_intermediates(own, [8], norm=True, intermediates_only=True)[0]
    assert trunk.colors == (trunk.body.default_cfg["mean"], trunk.body.default_cfg["std"])
    assert trunk.body.default_cfg["mean"] != MEAN and torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("convnext_tny",), "did you mean 'convnext_tiny'"),
        (("convnext_tiny.wrongtag",), r"no network 'convnext_tiny.wrongtag'; did you mean 'convnext_tiny\."),
        (("resnet18.a1_in1",), "did you mean 'resnet18.a1_in1k'"),
        (("mixer_s16_224",), r"takes images of 224x224 alone: .*\(AssertionError: Input height"),
        (("inception_v4",), "strides depend on the size of the image"),
        (("efficientvit_m0",), "--neck_stride 8: the trunk has maps at 1/16, 1/32, 1/64"),
        (("resnet18", "--width_mult", "0.5"), "--width_mult"),
        (("selecsls42", "--grad_ckpt"), "--grad_ckpt: timm:selecsls42 does not know this option"),
        (("repvit_m0_9", "--drop_path", "0.1"), "--drop_path: timm:repvit_m0_9 does not know this option"),
    ],
)
def test_what_a_trunk_cannot_is_refused(words: tuple[str, ...], what: str) -> None:
    with pytest.raises(UserError, match=what):
        net_of(*words)


def test_a_tag_gives_its_colors() -> None:
    """It is one of 59 whose weights know other colors than their network's usual ones."""
    assert TimmTrunk("efficientnet_b0.ra4_e3600_r224_in1k").colors.mean == (0.5, 0.5, 0.5)
    assert TimmTrunk("efficientnet_b0").colors.mean == MEAN


@pytest.mark.parametrize("words", [["--trunk", "tim:resnet18"], ["--trunk", "timm:"], ["--trunk", "resnet18"]])
def test_an_unknown_trunk_is_refused(words: list[str]) -> None:
    with pytest.raises(UserError, match=r"unknown --trunk .*timm:NAME"):
        config.load(["--dataset", "camvid", *words, "--head", "ocr"])


def test_without_the_package_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(UserError, match="pip install timm"):
        TimmTrunk("resnet18")


@pytest.mark.in_make_test("convnext_atto")
@pytest.mark.parametrize("name", ["convnext_atto", "mobilenetv4_conv_small"])
def test_recomputed_activations_change_nothing(name: str) -> None:
    """Less is kept; gradients are the same, and running statistics move once."""
    from network.summary import activations

    plain, recomputed = net_of(name), net_of(name, "--grad_ckpt")
    assert activations(recomputed, (64, 64)).total() < 0.8 * activations(plain, (64, 64)).total()
    image, found = torch.randn(2, 3, 64, 64), []
    for net in (plain, copy.deepcopy(recomputed)):  # as the moving average copies it
        torch.manual_seed(1)
        for _ in range(2):
            net.train()(image)["pred"].square().mean().backward()
        found.append([p.grad for p in net.parameters() if p.grad is not None] + list(net.buffers()))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_batch_norms_with_activations_are_synchronized() -> None:
    """Those of timm carry an activation, which stays; keys and values do, too."""
    net = net_of("mobilenetv4_conv_small").eval()
    image, state = torch.randn(1, 3, 64, 64), net.state_dict()
    with torch.no_grad():
        before = net(image)["pred"]
        synchronized = distributed.sync_batchnorm(net, distributed.DistributedContext(0, 2))
        assert torch.equal(synchronized(image)["pred"], before)
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all(isinstance(module, distributed.SyncBatchNorm) for module in norms)
    assert any(isinstance(module, distributed.SyncBatchNormAct) for module in norms)
    assert net.state_dict().keys() == state.keys()


def test_blocks_are_left_out_in_training_alone() -> None:
    image = torch.randn(4, 3, 64, 64)
    net = net_of("convnext_atto", "--drop_path", "0.5")
    one, other = (net.family.trunk_module.train()(image)[3] for _ in range(2))
    assert not torch.equal(one, other)
    net.eval()
    with torch.no_grad():
        assert torch.equal(net(image)["pred"], net(image)["pred"])


@pytest.mark.in_make_test("plain", "deeper")
@pytest.mark.parametrize(
    "head", ["plain", "aspp", "deeplab", "deeplab_plus", "deeper", "c1_deepsup", "ppm", "upernet_lite"]
)
def test_under_every_head(head: str) -> None:
    torch.manual_seed(0)
    words = ["--dataset", "camvid", "--trunk", "timm:resnet18", "--head", head, "--scales", "hierarchical"]
    net = network.build(config.load([*words, "--segattn_bot_ch", "8"]))
    sum(x.mean() for x in net.train()(torch.randn(2, 3, 64, 64)).values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)


def test_frozen_is_what_was_published() -> None:
    """The pyramid starts at random: it is trained when the trunk is frozen."""
    net = net_of("vit_tiny_patch16_224", "--freeze_trunk")
    trunk = net.trunk_module
    assert not any(p.requires_grad for p in trunk.pretrained.parameters())
    assert all(p.requires_grad for p in trunk.pyramid.parameters())  # type: ignore[union-attr]


def test_an_evaluation_in_tiles_and_halves() -> None:
    """The predictor's own ways work on such a network."""
    net = net_of("vit_tiny_patch16_224").eval()
    rule = replace(RULES["nvidia"], tile=64)
    (prediction,) = Predictor(net, rule)([np.zeros((90, 130, 3), np.uint8)])
    assert prediction.classes.shape == (90, 130)


def test_a_trunk_without_a_head_is_refused() -> None:
    """As one of ours; other words beside --trunk are an older flag, which never did anything."""
    with pytest.raises(UserError, match="--trunk timm:resnet18 names a part of a network: also give --head"):
        config.load(["--dataset", "camvid", "--trunk", "timm:resnet18"])
