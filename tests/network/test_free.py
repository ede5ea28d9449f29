"""Free networks, `trunk+head+scales`: each pair that the table allows is built and trains; others are refused."""

import pkgutil
from dataclasses import fields
from inspect import signature

import pytest
import torch
from torch import nn

import config
import loss
import network
from network import composition
from network.families import Family, Maps, Settings
from network.trunk import Features, Level, Trunk
from network.trunk.hrnet import Stage
from options import archs
from options.parts import TrunkPart
from utils.errors import UserError

pytestmark = pytest.mark.run

SMALL = {"width": 4, "width_mult": 0.0625, "mid_channels": 16, "key_channels": 8, "head_channels": 8}
SMALL |= {"aspp_channels": 8, "stages": tuple(Stage(1, (1,) * n) for n in (1, 2, 3, 4))}
PAIRS = {trunk: [head for head in archs.HEADS if not archs.refusal(trunk, head)] for trunk in archs.TRUNKS}
QUICK = "mobilenetv2dilated"  # several maps at one stride
# Every trunk, every head and every way to combine scales at least once.
TRAINED = [
    "resnet50+ocr+hierarchical",
    "wide_resnet38+upernet+hierarchical",
    "hrnet+upernet_lite+hierarchical",
    "xception71+ppm_deepsup+hierarchical",
    "resnet18dilated+c1_deepsup+hierarchical",
    "mobilenetv2dilated+deeplab_plus+fused",
    "se_resnext50+deeplab+paired",
    "resnet50dilated+ppm+all",
    "resnet18dilated+aspp+pairs",
    "se_resnext101+plain",
    "resnext101dilated+c1",
    "hrnet+pointwise+hierarchical",
    "resnet101dilated+deeper",
    "mobilenetv2dilated+ocr+hierarchical+offsets",
    "mobilenetv2dilated+c1+offsets",
]


def made(name: str, **settings: object) -> network.Net:
    torch.manual_seed(0)
    return network.compose(archs.find(name), Settings(5, **(SMALL | settings)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "trunk",
    [pytest.param(name, marks=() if name == QUICK else pytest.mark.slow) for name in archs.TRUNKS],
)
def test_every_pair_gives_a_map(trunk: str, monkeypatch) -> None:
    """Shapes alone, without computing anything; the trunk is built, and runs, once."""
    with torch.device("meta"):
        image = torch.empty(2, 3, 64, 96)
        built = composition.trunk(archs.TRUNKS[trunk], Settings(5, **SMALL))  # type: ignore[arg-type]
        features = built(image)
    monkeypatch.setattr(composition, "trunk", lambda part, s: built)
    monkeypatch.setattr(built, "forward", lambda image: list(features))
    assert PAIRS[trunk]
    for head in PAIRS[trunk]:
        with torch.device("meta"):
            out = made(f"{trunk}+{head}")(image)
        assert out["pred"].shape == (2, 5, 64, 96), head
        assert out.keys() - {"pred"} == archs.outputs(archs.find(f"{trunk}+{head}"))


def test_trained_names_are_all_rows() -> None:
    rows = [archs.find(name) for name in TRAINED]
    assert {row.trunk for row in rows} == set(archs.TRUNKS) and {row.head for row in rows} == set(archs.HEADS)
    assert {row.scales for row in rows} == {"", *archs.SCALES}


@pytest.mark.in_make_test("resnet50+ocr*", "resnet18dilated*", "mobile*", "se_resnext101*", "hrnet+pointwise*")
@pytest.mark.parametrize("name", TRAINED)
def test_a_step_with_every_loss(name: str) -> None:
    """The loss of each single scale, and of what else the network gives, reaches all weights."""
    row = archs.find(name)
    words = ["--trunk", row.trunk, "--head", row.head, "DATASET.NUM_CLASSES", "5"]
    words += ["--offsets"] * row.offsets
    if row.scales:
        words += ["--scales", row.scales, "--n_scales", "0.5,1.0", "--supervised_mscale_loss_wt", "0.1"]
    criterion = loss.build(config.load(words))
    net = made(name, scales=(0.5, 1.0) if row.scales else ()).train()
    image = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    label = torch.randint(0, 5, (2, 64, 96), generator=torch.Generator().manual_seed(1))
    total, parts = criterion(net(image, label.shape[-2:]), label)
    assert {"pred_05x", "pred_10x"} <= parts.keys() if row.scales else {"main"} <= parts.keys()
    assert not row.offsets or {"initial", "seed", "confidence"} <= parts.keys()
    assert {name for name in ("aux", "deepsup") if name in archs.outputs(row)} <= parts.keys()
    total.backward()
    assert not [key for key, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert net.eval()(image[:1])["pred"].shape == (1, 5, 64, 96)


@pytest.mark.in_make_test("hrnet*", "resnet50*")
@pytest.mark.parametrize("name", ["resnet50+ocr+hierarchical", "wide_resnet38+upernet", "hrnet+ppm+paired"])
def test_state_round_trip(name: str) -> None:
    net, other = made(name), made(name)
    for p in net.parameters():
        p.data.add_(0.01)
    assert not [key for key in net.state_dict() if key.startswith("family.")]
    other.load_state_dict(net.state_dict())
    assert all(torch.equal(x, y) for x, y in zip(net.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hrnet+deeper", "--trunk hrnet with --head deeper"),
        ("resnet50+ocr+fused", "--scales fused"),
        ("resnet50+pointwise", "take plain"),
        ("hrnet+ppm_deepsup", "take ppm"),
        ("resnet50+deeplab_plus+fused+offsets", "of DeepLabV3\\+ alone"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        made(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (archs.Arch("hrnet", "deeper"), "reads maps finer than the one it classifies"),
        (archs.Arch("hrnet", "c1_deepsup"), "supervises the map before the last"),
        (archs.Arch("resnet50", "ocr", "fused"), "pyramids of deeplab_plus are fused"),
        (archs.Arch("one", "deeper"), "two maps before its last"),
        (archs.Arch("one", "c1_deepsup"), "this trunk gives one map"),
        (archs.Arch("resnet50", "deeplab_plus", "fused", offsets=True), "of DeepLabV3\\+ alone"),
    ],
)
def test_rows_and_constructors_refuse_it_too(monkeypatch, row: archs.Arch, message: str) -> None:
    """A row of ARCHS that makes no sense; and what only the trunk's maps, or the family, can tell."""
    monkeypatch.setattr(network.trunk, "One", OneConv, raising=False)
    monkeypatch.setitem(archs.TRUNKS, "one", ONE)
    with torch.device("meta"), pytest.raises(UserError, match=message):
        network.compose(row, Settings(5, **SMALL))  # type: ignore[arg-type]


class OneConv(Trunk):
    """A trunk of one width that keeps its activations."""

    levels = (Level(4, 6),)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=4, padding=1)

    def forward(self, image: torch.Tensor) -> Features:
        return [self.conv(image)]


ONE = TrunkPart("one convolution", "trunk:One")


@pytest.mark.parametrize(("option", "value"), [("width_mult", "0.5"), ("grad_ckpt", "true")])
def test_a_trunk_refuses_what_it_does_not_know(monkeypatch, option: str, value: str) -> None:
    monkeypatch.setattr(network.trunk, "One", OneConv, raising=False)
    monkeypatch.setitem(archs.TRUNKS, "one", ONE)
    net = network.compose(archs.Arch("one", "ocr", "hierarchical"), Settings(5, mid_channels=16, key_channels=8))
    assert net.eval()(torch.zeros(1, 3, 32, 32))["pred"].shape == (1, 5, 32, 32)
    with pytest.raises(UserError, match=rf"--{option} is of trunks that .*, not of --arch one\+plain") as caught:
        config.load(["--trunk", "one", "--head", "plain", f"--{option}", value])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", archs.TRUNKS)
def test_a_trunks_row_names_the_settings_of_its_constructor(name: str) -> None:
    part = archs.TRUNKS[name]
    known = {field.name for field in fields(Settings)} - ({"second_branch"} if part.second_branch else set())
    arguments = signature(pkgutil.resolve_name(f"network.{part.make}")).parameters
    assert {*part.takes} == known & {*arguments} and {*part.fixed} <= {*arguments} - known


def test_a_family_of_ones_own() -> None:
    """A trunk, a head, and `maps`: it serves at several scales as it is."""

    class Own(Family):
        channels = 6

        def __init__(self, trunk: Trunk, s: Settings) -> None:
            super().__init__(trunk, s)
            self.classify = nn.Conv2d(6, s.num_classes, 1)

        def maps(self, image: torch.Tensor) -> Maps:
            features = self.joined(image)
            return Maps({"pred": self.classify(features)}, features)

    net = network.MultiScale(Own(OneConv(), Settings(5)), nn.Sequential(nn.Conv2d(6, 1, 1), nn.Sigmoid()))
    out = net.train()(torch.zeros(1, 3, 32, 32))
    assert {"pred", "pred_05x", "pred_10x", "attn_05x"} <= out.keys()
    assert {key.partition(".")[0] for key in net.state_dict()} == {"backbone", "classify", "scale_attn"}
