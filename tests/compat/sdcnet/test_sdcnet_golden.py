"""The networks of video prediction and label relaxation: names, shapes, outputs and files as they were published."""

import copy
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden.fill import image
from narrow_nets import GOLDEN
from torch import Tensor

import config
import inference
import network
from network import compiled, weights
from network.net import published as published_name
from network.summary import multiply_adds, summary
from network.trunk.wide_resnet import WideResNet38
from network.weights import metadata
from options.archs import ARCHS as TABLE
from utils.distributed import DistributedContext, SyncBatchNorm, sync_batchnorm
from utils.errors import UserError

pytestmark = pytest.mark.run  # networks of full width

SDCNET = GOLDEN / "sdcnet"
ARCHS = ("DeepR50V3PlusD_m1", "DeepSRNX101V3PlusD_m1", "DeepSRNX50V3PlusD_m1", "DeepWV3Plus")
FORWARD = {"DeepR50V3PlusD_m1": (96, 128), "DeepSRNX50V3PlusD_m1": (97, 129), "DeepWV3Plus": (96, 128)}
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
LEAST = 1e-4  # share of the largest value that an error may have


def read(name: str) -> dict:
    return json.loads((SDCNET / name).read_text())


def test_every_network_is_checked() -> None:
    assert {f"deepv3.{name}" for name in ARCHS} == {
        name for name, arch in TABLE.items() if arch.aligned and not arch.offsets
    }


@pytest.mark.parametrize("name", ARCHS)
def test_state_equals_the_manifest(full, name: str) -> None:
    manifest, told = read(f"{name}.json"), read("manifest_index.json")[name]
    net = full(f"deepv3.{name}", told["num_classes"])
    assert {key: list(x.shape) for key, x in net.state_dict().items()} == manifest
    assert list(net.state_dict()) == list(manifest)
    parameters = [published_name(net, key) for key, _ in net.named_parameters()]
    assert parameters == [key for key in manifest if not key.endswith(BUFFERS)]
    assert len(manifest) == told["keys"]
    assert sum(p.numel() for p in net.parameters()) == told["params"]


def maps(net: network.Net, x: Tensor) -> dict[str, np.ndarray]:
    """The output, and what it is made of, under the names of the golden files."""
    with torch.no_grad():
        features = net.trunk_module(x)
        found = {
            "logits": net(x)["pred"],
            "logits_before_upsample": net.maps(x).outputs["pred"],
            "trunk": features[-1],
            "aspp": net.get_submodule("aspp")(features[-1]),
            "fine": net.get_submodule("bot_fine")(features[0]),
        }
    return {key: value.numpy() for key, value in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORWARD)
def test_forward(filled, name: str) -> None:
    expected = np.load(SDCNET / f"{name}.npz")
    size = FORWARD[name]
    assert f"(1,3,{size[0]},{size[1]})" in str(expected["meta"])
    found = maps(filled(f"deepv3.{name}").eval(), torch.from_numpy(image(name, (1, 3, *size))))
    for key, x in found.items():
        bound = LEAST * float(expected[f"{key}__absmax"])
        assert list(x.shape) == expected[f"{key}__shape"].tolist(), key
        assert abs(np.abs(x).max() - expected[f"{key}__absmax"]) <= bound, key
        if key in ("trunk", "aspp", "fine"):
            np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), expected[f"{key}__chmean"], rtol=0, atol=bound)
            continue
        stride = int(expected[f"{key}__stride"])
        assert np.abs(x[..., ::stride, ::stride] - expected[key]).max() <= bound, key
        np.testing.assert_allclose(x.mean(axis=(2, 3)), expected[f"{key}__mean"], rtol=0, atol=bound)
        np.testing.assert_allclose(x.std(axis=(2, 3)), expected[f"{key}__std"], rtol=0, atol=bound)
    assert (found["logits"].argmax(axis=1) == expected["logits__argmax"]).mean() >= 0.999


@pytest.mark.slow
@pytest.mark.parametrize("name", FORWARD)
def test_rounding_is_that_of_the_published_network(filled, name: str) -> None:
    """Single against double precision: no more than a few times what was measured there."""
    noise, x = read("float32_noise.json"), torch.from_numpy(image(name, (1, 3, *FORWARD[name])))
    single, double = (
        maps(filled(f"deepv3.{name}", dtype=dtype).eval(), x.to(dtype))["logits"]
        for dtype in (torch.float32, torch.float64)
    )
    assert np.abs(single - double).max() <= 5 * noise[name] * np.abs(double).max()
    assert (single.argmax(axis=1) == double.argmax(axis=1)).mean() == noise[f"{name}:argmax_agree"]


# --- a trunk without a name of its own ----------------------------------------------------------------------------


def picture(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("words", [[], ["--align_corners"]])
def test_corners_are_aligned_without_being_asked(narrow, words: list[str]) -> None:
    """In the decoder, at the end, and where a map goes back to an image's size."""
    cfg = config.load(["--arch", "deepv3.DeepWV3Plus", "--width_mult", "0.05", *words])
    assert network.settings(cfg).align_corners
    assert inference.eval_rule(cfg).align_corners
    assert not network.settings(config.load(["--arch", "deepv3.DeepV3PlusW38"])).align_corners
    net, x = narrow("deepv3.DeepWV3Plus").eval(), picture(1, 3, 64, 96)
    plain = narrow("deepv3.DeepV3PlusW38", align_corners=True).eval()
    plain.load_state_dict(dict(zip(plain.state_dict(), net.state_dict().values(), strict=True)))
    torch.testing.assert_close(net(x)["pred"], plain(x)["pred"])
    small = net.maps(x).outputs["pred"]
    whole = F.interpolate(small, (64, 96), mode="bilinear", align_corners=True)
    torch.testing.assert_close(net(x)["pred"], whole)


@pytest.mark.parametrize("name", ["DeepWV3Plus", "DeepSRNX50V3PlusD_m1"])
def test_a_copy_is_independent(narrow, name: str) -> None:
    net, x = narrow(f"deepv3.{name}").eval(), picture(1, 3, 64, 64)
    other, before = copy.deepcopy(net), net(x)["pred"]
    torch.testing.assert_close(other(x)["pred"], before)
    for p in other.parameters():
        p.data.mul_(1.5)
    torch.testing.assert_close(net(x)["pred"], before)
    assert not torch.allclose(other(x)["pred"], before)
    inner = {id(p) for p in other.trunk_module.parameters()}
    assert inner and inner <= {id(p) for p in other.parameters()}


def test_norms_over_all_ranks_are_those_of_the_trunk(narrow) -> None:
    net = sync_batchnorm(narrow("deepv3.DeepWV3Plus"), DistributedContext(0, 2))
    assert any(isinstance(module, SyncBatchNorm) for module in net.trunk_module.modules())
    assert not any(type(module) is torch.nn.BatchNorm2d for module in net.trunk_module.modules())


@pytest.mark.in_make_test("DeepR50V3PlusD_m1")
@pytest.mark.parametrize("name", ARCHS)
def test_grad_ckpt_changes_nothing(narrow, name: str) -> None:
    results = []
    for on in (False, True):
        net = narrow(f"deepv3.{name}", grad_ckpt=on).train()
        torch.manual_seed(2)
        net(picture(2, 3, 32, 64))["pred"].square().mean().backward()
        results.append({k: p.grad for k, p in net.named_parameters()} | dict(net.named_buffers()))
    for key, x in results[0].items():
        torch.testing.assert_close(results[1][key], x, msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * ("101" in n)) for n in ARCHS])
def test_the_trunk_is_one_part(narrow, name: str, monkeypatch) -> None:
    """In the summary, whose sums are those of the network with a named trunk, and for the compiler."""
    twin = {"DeepR50V3PlusD_m1": "R50", "DeepWV3Plus": "W38"}.get(name, "SRNX101" if "101" in name else "SRNX50")
    net, named = narrow(f"deepv3.{name}"), narrow(f"deepv3.DeepV3Plus{twin}")
    size = (64, 96)
    ours = summary(net, size)
    parts = [line.split()[0] for line in ours.splitlines()[1:]]
    assert parts == ["trunk", "aspp", "bot_fine", "bot_aspp", "final", "between", "in"]
    assert multiply_adds(net, size)["trunk"] == multiply_adds(named, size)["backbone"] > 0
    assert ours.replace("trunk   ", "backbone") == summary(named, size)
    monkeypatch.setattr(compiled, "_why_not", lambda device: "")
    assert network.compile_parts(net).startswith("compiled: trunk, aspp, bot_fine, bot_aspp, final (")


# --- files --------------------------------------------------------------------------------------------------------

COMMAND = "--dataset cityscapes --arch network.deepv3.DeepWV3Plus --snapshot 'a file.pth' --crop_size 896"


def published(net: network.Net, command: str = COMMAND) -> dict:
    """The dict of a published checkpoint."""
    state = {f"module.{name}": x + 1 for name, x in net.state_dict().items()}
    mean_iu = np.float64(0.81)
    return {"state_dict": state, "optimizer": {}, "epoch": 12, "mean_iu": mean_iu, "command": command}


@pytest.fixture
def save(tmp_path: Path) -> Callable[[object], Path]:
    def write(content: object) -> Path:
        torch.save(content, tmp_path / "cityscapes_best.pth")
        return tmp_path / "cityscapes_best.pth"

    return write


@pytest.mark.in_make_test("DeepR50V3PlusD_m1", "DeepWV3Plus")
@pytest.mark.parametrize("name", ARCHS)
def test_published_checkpoint(narrow, save, name: str) -> None:
    net = narrow(f"deepv3.{name}")
    content = published(net)
    report = weights.load(net, save(content))
    assert report.complete and not report.unexpected and not report.skipped
    assert all(torch.equal(x, content["state_dict"][f"module.{k}"]) for k, x in net.state_dict().items())
    file = weights.read_file(save(content))
    assert (file.epoch, file.mean_iu, file.command) == (12, 0.81, COMMAND)


def test_what_differs_is_told(narrow, save) -> None:
    """Entries that are missing, of another shape, or unknown: all named, the others taken."""
    net = narrow("deepv3.DeepWV3Plus")
    content = published(net)
    state = content["state_dict"]
    state["module.final.6.weight"] = torch.zeros(7, 8, 1, 1)
    state["module.bn_out.0.weight"] = torch.ones(4)
    del state["module.mod1.conv1.weight"]
    report = weights.load(net, save(content))
    assert list(report.skipped) == ["final.6.weight"]
    assert report.missing == ["mod1.conv1.weight"]
    assert report.unexpected == ["bn_out.0.weight"]
    for name in ("final.6.weight (file 7x8x1x1, network 5x8x1x1)", "mod1.conv1.weight", "bn_out.0.weight"):
        assert name in str(report)


@pytest.mark.parametrize(
    ("command", "arch"),
    [
        (COMMAND, "deepv3.DeepWV3Plus"),
        ("train.py --arch=network.deepv3.DeepSRNX50V3PlusD_m1 --lr 0.1", "deepv3.DeepSRNX50V3PlusD_m1"),
        ("--arch deepv3.DeepR50V3PlusD_m1", "deepv3.DeepR50V3PlusD_m1"),
        ("--lr 0.1 --arch", ""),
        ("--lr 0.1 --tb_tag it's", ""),  # no shell would read it
        ("", ""),
    ],
)
def test_the_command_names_the_network(narrow, save, command: str, arch: str) -> None:
    path = save(published(narrow("deepv3.DeepWV3Plus"), command))
    assert weights.read_file(path).arch == arch
    if arch:
        assert metadata.of_file(path) == {"MODEL.ARCH": arch}
    else:
        with pytest.raises(UserError, match="give --arch"):
            metadata.of_file(path)


def trunk_file(mult: float = 1.0) -> dict:
    """Names, shapes and layout of wider_resnet38.pth.tar: the trunk, its last norm, and ImageNet's classes."""
    with torch.device("meta"):
        trunk = WideResNet38(mult)
    state = {f"module.{name}": torch.ones(x.shape, dtype=x.dtype) for name, x in trunk.state_dict().items()}
    wide = trunk.joined.channels
    state |= {f"module.bn_out.{k}": torch.ones(wide) for k in ("weight", "bias", "running_mean", "running_var")}
    return {"state_dict": state | {"module.classifier.fc.weight": torch.ones(10, wide)}, "epoch": 1, "arch": "wider"}


def test_trunk_file_fills_the_trunk_alone(narrow, save) -> None:
    net = narrow("deepv3.DeepWV3Plus")
    before = net.final[0].weight.clone()
    report = weights.load_trunk(net, save(trunk_file(0.125)))
    assert report.complete
    assert {name.split(".")[0] for name in report.unexpected} == {"bn_out", "classifier"}
    assert all(bool((x == 1).all()) for x in net.trunk_module.parameters())
    assert torch.equal(net.final[0].weight, before)
    # The trunk of a whole network of the same layout goes the same way.
    other = narrow("deepv3.DeepV3PlusW38")
    assert weights.load_trunk(other, save(published(net))).complete
    assert bool((other.trunk_module.mod1.conv1.weight == 2).all())


@pytest.mark.parametrize("folder", ["seg_weights", "pretrained_models"])
def test_training_starts_from_the_published_trunk(narrow, tmp_path: Path, monkeypatch, folder: str) -> None:
    """Where NVIDIA's code has it, or in the working directory, where the code of these networks has it."""
    monkeypatch.chdir(tmp_path)
    cfg = config.load(["--arch", "deepv3.DeepWV3Plus", "ASSETS_PATH", str(tmp_path)])
    net = narrow("deepv3.DeepWV3Plus")
    assert network.start_trunk(cfg, net).startswith("random weights")
    (tmp_path / folder).mkdir()
    torch.save(trunk_file(0.125), tmp_path / folder / "wider_resnet38.pth.tar")
    assert f"{folder}/wider_resnet38.pth.tar" in network.start_trunk(cfg, net)
    assert bool((net.trunk_module.mod1.conv1.weight == 1).all())
    other = config.load(["--arch", "deepv3.DeepV3PlusW38", "ASSETS_PATH", str(tmp_path)])
    told = network.start_trunk(other, narrow("deepv3.DeepV3PlusW38"))
    assert told.startswith("random weights") == (folder == "pretrained_models")


@pytest.mark.parametrize("words", ["--arch network.deepv3.DeepWV3Plus", "--arch deepv3.DeepWV3Plus"])
def test_the_published_spelling(words: str) -> None:
    cfg = config.load([*shlex.split(words), "--width_mult", "0.05"])
    assert cfg.MODEL.ARCH == "deepv3.DeepWV3Plus"
    assert list(network.build(cfg).state_dict()) == list(read("DeepWV3Plus.json"))
