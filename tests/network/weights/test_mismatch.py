"""A file that fits a trunk and is yet not its own: what is said of depth, of colors, of the network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import config
import network
from network import weights
from network.trunk import MEAN, STD, Colors
from network.trunk.timm_nets import TimmTrunk, published_colors, with_colors
from network.weights import mismatch
from network.weights.mismatch import USUAL
from utils.errors import UserError

timm = pytest.importorskip("timm", reason="an extra: pip install timm")
OTHER = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def state_of(name: str) -> dict[str, Tensor]:
    return timm.create_model(name).state_dict()


def said(folder: Path, trunk: str, state: dict[str, Tensor]) -> list[str]:
    """The warnings of a load."""
    torch.save(state, folder / "x.pth")
    report = weights.load_trunk(nn.ModuleDict({"backbone": TimmTrunk(trunk)}), folder / "x.pth")
    return [line for line in report.weights.notes if line.startswith("warning:")]


def test_a_file_of_another_depth_is_told(tmp_path: Path) -> None:
    (deeper,) = said(tmp_path, "resnet34", state_of("resnet18"))
    assert "nothing in the file for 8 parts of the trunk, left random (layer1.2, layer2.2, layer2.3" in deeper
    assert deeper.endswith("it is of another depth, or cut short; it looks like one of --trunk timm:resnet18")
    (shallower,) = said(tmp_path, "resnet18", state_of("resnet34"))
    assert "no place in the trunk for 8 parts of the file (layer1.2," in shallower and "resnet34" in shallower


def test_a_part_of_a_trunk_alone_is_told(tmp_path: Path) -> None:
    state = {name: x for name, x in state_of("resnet18").items() if not name.startswith("layer4.1.conv2")}
    (line,) = said(tmp_path, "resnet18", state)
    assert "nothing in the file for 1 part of the trunk, left random (layer4.1.conv2)" in line


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv4_conv_small", "vit_tiny_patch16_224"])
def test_a_trunk_s_own_file_is_no_cause(name: str, tmp_path: Path) -> None:
    """Neither are its classifier, and what lies behind the last map that is taken."""
    assert said(tmp_path, name, state_of(name)) == []


def test_a_refusal_names_the_likely_network(tmp_path: Path) -> None:
    torch.save(state_of("vit_small_patch16_224"), tmp_path / "x.pth")
    net = nn.ModuleDict({"backbone": TimmTrunk("vit_tiny_patch16_224")})
    with pytest.raises(UserError, match="of another one.*it looks like one of --trunk timm:vit_small_patch16_224"):
        weights.load_trunk(net, tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ({"config.json": {"architecture": "resnet18", "pretrained_cfg": OTHER}}, "config.json"),
        ({"config.json": OTHER}, "config.json"),
        ({"config.json": {}, "preprocessor_config.json": {f"image_{k}": x for k, x in OTHER.items()}}, "preprocessor"),
    ],
)
def test_other_colors_are_told(files: dict[str, dict], where: str, tmp_path: Path) -> None:
    trunk = TimmTrunk("resnet18")
    trunk.colors = Colors((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    torch.save(state_of("resnet18"), tmp_path / "x.pth")
    report = weights.load_trunk(nn.ModuleDict({"backbone": trunk}), tmp_path / "x.pth")
    (line,) = [line for line in report.weights.notes if line.startswith("warning:")]
    assert "know images of mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225 (" + where in line
    assert "the trunk gets mean 0.5 0.5 0.5, deviation 0.5 0.5 0.5; --trunk timm:resnet18." in line


@pytest.mark.parametrize("own", [USUAL, Colors((0.5, 0.4, 0.3), (0.5, 0.2, 0.1))])
def test_the_options_that_a_warning_names_are_the_cure(own: Colors, tmp_path: Path) -> None:
    """With them the trunk sees the weights' colors, and nothing is said; for no tag of timm has those."""
    colors = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.6, 0.8]}
    (tmp_path / "config.json").write_text(json.dumps(colors))
    torch.save(state_of("test_resnet"), tmp_path / "x.pth")
    words = ["--dataset", "camvid", "--trunk", "timm:test_resnet", "--head", "plain"]
    words += ["--trunk_weights", str(tmp_path / "x.pth")]
    lines: list[str] = []
    for more in ([], None):
        given = lines[0].rpartition("; ")[2].removesuffix(" give it these").split() if more is None else more
        cfg = config.load([*words, *given])
        net = network.build(cfg)
        net.trunk_module.colors = own
        lines = [line for line in network.start_trunk(cfg, net).splitlines() if "these weights know" in line]
        assert len(lines) == (more is not None)
    trunk = TimmTrunk("test_resnet")
    for name, x in (("factor", STD / np.array(own.std)), ("offset", (MEAN - np.array(own.mean)) / own.std)):
        setattr(trunk, name, torch.tensor(x, dtype=torch.float32).view(1, 3, 1, 1))
    pixels = torch.rand(1, 3, 8, 8)
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (cfg.DATASET.MEAN, cfg.DATASET.STD))
    seen = (pixels - mean) / std * trunk.factor + trunk.offset
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in colors.values())
    torch.testing.assert_close(seen, (pixels - mean) / std, rtol=1e-4, atol=1e-4)


def test_the_same_colors_are_not(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18", "pretrained_cfg": OTHER}))
    assert said(tmp_path, "resnet18", state_of("resnet18")) == []


def test_another_network_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architecture": "resnet34"}')
    lines = said(tmp_path, "resnet18", state_of("resnet34"))
    assert lines[0] == "warning: config.json says that these weights are of resnet34, the trunk is resnet18"


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"mean": "x", "std": [1, 2]}', '{"pretrained_cfg": 3, "mean": [1]}'])
def test_any_file_may_lie_beside(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    assert mismatch.told("x.pth", tmp_path / "x.pth").colors is None


def test_the_hub_s_name_tells(tmp_path: Path) -> None:
    """As 59 others: these weights know other colors than their network's usual ones."""
    name = "efficientnet_b0.ra4_e3600_r224_in1k"
    found = mismatch.told(f"hf:timm/{name}#sha256=00", tmp_path / "x.pth")
    assert found.network == "efficientnet_b0" and found.colors == Colors((0.5,) * 3, (0.5,) * 3)
    assert mismatch.told(f"hf:nobody/{name}", tmp_path / "x.pth").colors is None
    assert mismatch.told("hf:timm/no_such", tmp_path / "x.pth").colors is None
    assert published_colors(with_colors("efficientnet_b0", Colors((0.5,) * 3, (0.5,) * 3))) == found.colors
