"""Exported files: near the network at any size, told what they are, refused where they would not be."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

import config
import inference
import network
from inference import RULES, export
from scripts import export as script
from utils.errors import UserError

MISSING = [name for name in ("onnx", "onnxscript", "onnxruntime") if not find_spec(name)]  # imports would take seconds
pytestmark = [pytest.mark.run, pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")]

WORDS = ["--cfg", str(Path(__file__).parents[2] / "scripts/cfg/quickstart.yaml"), "--width_mult", "0.05"]
RULE = RULES["nvidia"]
ARCH = "resnet18dilated+deeplab"
SIZE = "64,96"


def narrow(*words: str) -> network.Net:
    """A network with weights that give every class a chance."""
    torch.manual_seed(0)
    net = network.build(config.load([*WORDS, *words]))
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
    return net


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bare state dict."""
    path = tmp_path_factory.mktemp("snapshot") / "net.pth"
    torch.save(narrow("--arch", ARCH).state_dict(), path)
    return str(path)


def words(snapshot: str, out: Path, *more: str) -> list[str]:
    return ["--snapshot", snapshot, "--out", str(out), "--size", SIZE, "--arch", ARCH, *WORDS, *more]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_file_takes_pictures_and_gives_classes(
    suffix: str, snapshot: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size, fixed = ((80, 120), []) if suffix == ".onnx" else ((64, 96), ["--fixed"])
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), picture)
    out = tmp_path / f"net{suffix}"
    assert script.main(words(snapshot, out, "--uint8", "--image", str(tmp_path / "x.png"), *fixed)) == 0
    printed = capsys.readouterr().out
    assert printed.count("the same class") == 3 - len(fixed) and f"{ARCH}, 19 classes" in printed
    net = narrow("--arch", ARCH)
    net.load_state_dict(torch.load(snapshot))
    (prediction,) = inference.Predictor(net)([picture[..., ::-1].copy()])
    found = export.runner(out)(picture[None, ..., ::-1].copy())
    assert found.shape == (1, *size) and found.dtype == np.int32
    assert (found[0] == prediction.classes.numpy()).mean() > 0.999
    told = json.loads(out.with_suffix(".json").read_text())
    assert told["arch"] == ARCH and told["classes"][0] == "road" and len(told["palette"]) == 19
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_onnx_says_what_it_is(snapshot: str, tmp_path: Path) -> None:
    import onnx

    assert script.main(words(snapshot, tmp_path / "net.onnx", "--output", "softmax", "--fixed")) == 0
    model = onnx.load(tmp_path / "net.onnx")
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["palette"])[10] == [70, 130, 180] and json.loads(told["mean"])[0] == 0.485
    assert json.loads(told["classes"])[10] == "sky" and told["output"] == "softmax"
    assert [i.name for i in model.graph.input] == ["image"] and [o.name for o in model.graph.output] == [
        "probabilities"
    ]
    sides = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert sides == [0, 3, 64, 96]  # any number of images, one size


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ("--arch", "deepv3.DeepV3PlusR50"),
        pytest.param(("--arch", "deepv3.DeepWV3Plus"), marks=pytest.mark.slow),
        pytest.param(("--arch", "offset.HRNet"), marks=pytest.mark.slow),
        pytest.param(("--arch_encoder", "mobilenetv2", "--arch_decoder", "c1"), marks=pytest.mark.slow),
        pytest.param(("--arch", "ocrnet.HRNet_Mscale", "--n_scales", "0.5,1.0,2.0"), marks=pytest.mark.slow),
        pytest.param(
            (
                "--arch",
                "deeper.DeeperX71",
            ),
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda flags: "-".join(flags),
)
def test_families_at_any_size(flags: tuple[str, ...], tmp_path: Path) -> None:
    module = export.Deployed(narrow(*flags), RULE, "logits")
    export.save(module, RULE, (64, 96), tmp_path / "net.onnx", False, {})
    run = export.runner(tmp_path / "net.onnx")
    for size, count in (((64, 96), 1), ((96, 64), 3), ((128, 160), 1)):
        error, same = export.distance(module, RULE, run, module.example(size, count, seed=3))
        assert error < 1e-4 and same > 0.999


@pytest.mark.slow
def test_pooling_to_a_number_of_places_needs_one_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pyramid pooling of an unknown size cannot be written down: it is said, and --fixed works."""
    flags = ["--arch_encoder", "resnet18dilated", "--arch_decoder", "ppm"]
    torch.save(narrow(*flags).state_dict(), tmp_path / "net.pth")
    line = [
        "--snapshot",
        str(tmp_path / "net.pth"),
        "--out",
        str(tmp_path / "net.onnx"),
        "--size",
        SIZE,
        *WORDS,
        *flags,
    ]
    assert script.main([*line, "--arch", "encoder_decoder"]) == 2
    error = capsys.readouterr().err
    assert "noise of another size" in error and "try --fixed" in error
    assert script.main([*line, "--arch", "encoder_decoder", "--fixed"]) == 0


@pytest.mark.slow
def test_paddles_way_to_scale_is_exported_with_its_weights(tmp_path: Path) -> None:
    """With sides that the scales do not divide the two rules give different maps."""
    net = narrow("--arch", "ocrnet.HRNet_Mscale", "--n_scales", "0.5,1.0")
    rule, size = RULES["paddle"], (67, 97)
    module = export.Deployed(net, rule, "logits")
    export.save(module, rule, size, tmp_path / "net.pt2", True, {})
    run, image = export.runner(tmp_path / "net.pt2"), module.example(size, 1)
    assert export.distance(module, rule, run, image)[0] < 1e-4
    assert export.distance(module, RULE, run, image)[0] > 1e-3


def test_a_file_that_differs_is_not_kept(
    snapshot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real: Callable[[Path], export.Runner] = export.runner
    monkeypatch.setattr(export, "runner", lambda path: lambda image: real(path)(image) + 1)
    assert script.main(words(snapshot, tmp_path / "net.pt2", "--fixed")) == 2
    assert "the exported file differs from the network on noise: nothing was written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.in_make_test("net.onnx*")
@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("net.trt", [], r"/net\.trt: give a file that ends with .onnx or .pt2"),
        ("net.pt2", [], "a .pt2 file takes images of one size: add --fixed"),
        ("net.onnx", ["--size", "64"], "--size '64': give height,width"),
        ("net.onnx", ["--size", "8,64"], "of at least 64"),
        ("net.onnx", ["--imgSize", "300"], "scales, mirror images and windows around the network"),
        ("net.onnx", ["--do_flip"], "scales, mirror images and windows around the network"),
        ("net.onnx", ["--inference_mode", "sliding", "--single_scale", "--no_flip"], "windows around the network"),
        ("net.onnx", ["--fixed_aspp_pool"], "windows around the network"),
        ("net.onnx", ["--snapshot", "none.pth"], "none.pth"),
        ("net.onnx", ["--segattn_bot_ch", "24"], "does not fill resnet18dilated.deeplab|entries fit"),
        ("net.pt2", ["--fixed", "--image", "x.png"], "smaller than --size|cannot read x.png"),
    ],
)
def test_mistakes_are_one_line(
    name: str, more: list[str], message: str, snapshot: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    assert script.main(words(snapshot, tmp_path / name, *more)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and len(error.splitlines()) == 1 and re.search(message, error)
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    module = export.Deployed(nn.Identity(), RULE)
    with pytest.raises(UserError, match="ONNX needs onnxscript: pip install onnx onnxscript onnxruntime"):
        export.save(module, RULE, (64, 96), tmp_path / "net.onnx", True, {})
