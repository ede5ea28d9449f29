"""Exported files: near the network at any size, told what they are, refused where they would not be."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exported import broken
from torch import nn

import config
import inference
import network
from datasets import toy
from inference import RULES, export
from inference.export import TARGETS, onnxfile
from scripts import export as script
from utils.normalization import Normalization

MISSING = [name for name in ("onnx", "onnxscript", "onnxruntime") if not find_spec(name)]  # imports would take seconds
pytestmark = [pytest.mark.run, pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")]

WORDS = ["--cfg", str(Path(__file__).parents[2] / "scripts/cfg/quickstart.yaml"), "--width_mult", "0.05"]
ARCH = "resnet18dilated+deeplab"
SIZE = "64,96"
# A network of each kind of trunk, head and scales. At two trunks' 0.05 of their width, float16 moves a hundredth of the
# pixels, more or less by the processor; at 0.2 three thousandths.
FAMILIES = {
    "ocr": ["--arch", "ocrnet.HRNet_Mscale", "--n_scales", "0.5,1.0"],
    "pointwise": ["--arch", "seg_hrnet.HRNet"],
    "offsets": ["--arch", "offset.HRNet_OCR_Mscale"],
    "deeplab": ["--arch", ARCH],
    "deeplab_plus": ["--arch", "deepv3.DeepWV3Plus"],
    "deeper": ["--arch", "deeper.DeeperX71"],
    "fused": ["--arch", "mscale.DeepV3W38Fuse"],
    "paired": ["--arch", "mscale2.DeepV3R50", "--width_mult", "0.2"],
    "all": ["--arch", "attnscale.DeepV3R50", "--n_scales", "0.5,1.0", "--width_mult", "0.2"],
    "c1": ["--arch", "encoder_decoder", "--arch_encoder", "mobilenetv2", "--arch_decoder", "c1"],
    "ppm": ["--arch", "encoder_decoder", "--arch_encoder", "resnet18dilated", "--arch_decoder", "ppm"],
    "upernet": ["--arch", "encoder_decoder", "--arch_encoder", "resnet18", "--arch_decoder", "upernet_lite"],
    "timm": ["--trunk", "timm:resnet18", "--head", "ocr"],
    "timm_vit": ["--trunk", "timm:vit_tiny_patch16_224", "--head", "ocr", "--scales", "hierarchical"],
}
# What they do depends on the size. OpenVINO resizes a ViT's positions otherwise; ONNX Runtime does as torch does.
ONE_SIZE = ("ppm", "upernet", "timm_vit")
LEAST_INT8 = 0.5  # the share of its layers that a file in int8 has to have in int8
# Narrow, these lose more in int8 than the gate allows, or nearly all their layers stay in float (docs/export.md).
NOT_IN_INT8 = ("deeplab_plus", "fused", "paired", "all")
RATES = {"c1": 2e-2}  # MobileNetV2's narrow layers have learned next to nothing after 30 steps of the others' rate


def narrow(*words: str, rate: float = 5e-3) -> network.Net:
    """A network that has seen four scenes for some steps: one of random weights gives nearly the same score to all of
    its classes, and what float16 and int8 make of that says nothing.
    """
    torch.manual_seed(0)
    given = [word for word in WORDS if "timm" not in "".join(words) or word not in ("--width_mult", "0.05")]
    net = network.build(config.load([*given, *words])).train()
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = 0.3  # so few steps
    image, label = scenes()
    optimizer = torch.optim.AdamW(net.parameters(), rate)
    for _ in range(30):
        scores = net(image)["pred"]  # (4, K, h, w)
        small = F.interpolate(label[:, None].float(), scores.shape[-2:], mode="nearest")[:, 0].long()
        optimizer.zero_grad()
        F.cross_entropy(scores, small, ignore_index=255).backward()
        optimizer.step()
    return net.eval()


@cache
def scenes() -> tuple[torch.Tensor, torch.Tensor]:
    """Four scenes: (4, 3, 128, 192) normalized, train ids (4, 128, 192)."""
    size = (192, 128)
    drawn = toy.drawn(4, "train")
    images = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image, _ in drawn])
    labels = np.stack([cv2.resize(label, size, interpolation=cv2.INTER_NEAREST) for _, label in drawn])
    rule = RULES["nvidia"]
    image = Normalization(rule.mean, rule.std, torch.device("cpu"))(
        torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    )
    return image, torch.from_numpy(labels)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bare state dict."""
    path = tmp_path_factory.mktemp("snapshot") / "net.pth"
    torch.save(narrow("--arch", ARCH).state_dict(), path)
    return str(path)


def words(snapshot: str, out: Path, *more: str) -> list[str]:
    chosen = [] if "--size" in more else ["--size", SIZE]
    return ["--snapshot", snapshot, "--out", str(out), "--images", "1", *chosen, "--arch", ARCH, *WORDS, *more]


@pytest.mark.in_make_test(".pt2")
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_file_takes_pictures_and_gives_classes(
    suffix: str, snapshot: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size, dynamic = ((80, 120), ["--dynamic"]) if suffix == ".onnx" else ((64, 96), [])
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), picture)
    out = tmp_path / f"net{suffix}"
    out.write_text("of yesterday")
    more = ["--overwrite", "--uint8", "--image", str(tmp_path / "x.png"), *dynamic]
    assert script.main(words(snapshot, out, *more)) == 0
    printed = capsys.readouterr().out
    assert printed.count("the same class") == 4 and f"{ARCH}, 19 classes" in printed
    assert re.search(r"mean IoU ([\d.]+), the network's \1, on 1 pictures of the embedded scenes", printed)
    net = narrow("--arch", ARCH)
    net.load_state_dict(torch.load(snapshot))
    (prediction,) = inference.Predictor(net)([picture[..., ::-1].copy()])
    found = export.runner(out)(picture[None, ..., ::-1].copy())[0]
    assert found.shape == (1, *size) and found.dtype == np.int32
    assert (found[0] == prediction.classes.numpy()).mean() > 0.999
    told = json.loads((tmp_path / f"net{suffix}.json").read_text())
    assert told["arch"] == ARCH and told["classes"][0] == "road" and len(told["palette"]) == 19
    assert told["source_sha256"] == hashlib.sha256(Path(snapshot).read_bytes()).hexdigest()
    assert told["size"] == ([64, 96] if suffix == ".pt2" else None) and told["in_float"] == []
    assert told["proof"]["labeled"]["mean_iou"] == pytest.approx(told["proof"]["labeled"]["network"])
    assert len(told["proof"]["pictures"]) == 4 and not list(tmp_path.glob(".*"))


def test_a_folder_at_the_place_is_said_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.pt2").mkdir()
    assert script.main(words("none.pth", tmp_path / "net.pt2", "--overwrite")) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'net.pt2'} is a folder: give another --out\n"


@pytest.mark.parametrize("name", ["net.pt2", "net.pt2.json"])
def test_a_file_that_is_there_stays(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text("mine")
    assert script.main(words("none.pth", tmp_path / "net.pt2")) == 2
    said = f"error: {tmp_path / name} is there already: give another --out, or --overwrite to replace it\n"
    assert capsys.readouterr().err == said and (tmp_path / name).read_text() == "mine"
    assert [*tmp_path.iterdir()] == [tmp_path / name]


@pytest.mark.slow
def test_onnx_says_what_it_is(snapshot: str, tmp_path: Path) -> None:
    import onnx

    assert script.main(words(snapshot, tmp_path / "net.onnx", "--output", "softmax")) == 0
    model = onnx.load(tmp_path / "net.onnx")
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["palette"])[10] == [70, 130, 180] and json.loads(told["mean"])[0] == 0.485
    assert json.loads(told["classes"])[10] == "sky" and told["output"] == "softmax"
    assert json.loads(told["size"]) == [64, 96] and told["source"] == "net.pth"
    assert [i.name for i in model.graph.input] == ["image"] and [o.name for o in model.graph.output] == [
        "probabilities"
    ]
    sides = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert sides == [0, 3, 64, 96]  # any number of images, one size
    assert any(node.name.startswith("net.backbone.") for node in model.graph.node)


def runnable() -> list[tuple[str, str]]:
    """Every target that can be run here, in every precision; but machine code, which takes minutes to compile."""
    there = {
        name: target for name, target in TARGETS.items() if all(map(find_spec, target.packages)) and not target.gpu
    }
    return [(name, p) for name, t in there.items() for p in t.precisions if name not in ("compiled", "aotinductor")]


def traced_once(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The ONNX that several targets are made of is written once in float32 and once in float16."""
    real = onnxfile.write_float

    def write(order: export.Order) -> None:
        if not isinstance(order.module, export.Deployed):
            return real(order)
        first = folder / f"traced-{order.module.half_precision}.onnx"
        if not first.exists():
            real(replace(order, path=first))
        shutil.copyfile(first, order.path)

    monkeypatch.setattr(onnxfile, "write_float", write)


def too_few_in_int8(out: Path) -> list[str]:
    """What is wrong with the share of layers that a file has in int8."""
    told = json.loads(out.with_name(f"{out.name}.json").read_text())["int8"]
    quantized, count = map(int, re.findall(r"\d+", told)[:2])
    return [] if quantized >= LEAST_INT8 * count else [f"{out.name}: {told}"]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_passes_the_gate(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To every target in every precision; `-rA` shows which."""
    flags = FAMILIES[family]
    if "timm" in family:
        pytest.importorskip("timm", reason="an extra: pip install timm")
    torch.save(narrow(*flags, rate=RATES.get(family, 5e-3)).state_dict(), tmp_path / "net.pth")
    traced_once(monkeypatch, tmp_path)
    given = [word for word in WORDS if "timm" not in family or word not in ("--width_mult", "0.05")]
    missed = []
    for name, precision in runnable():
        if precision == "int8" and family in NOT_IN_INT8:
            continue
        target = TARGETS[name]
        any_size = target.any_size and precision not in target.one_size_in and family not in ONE_SIZE
        dynamic = ["--dynamic"] if any_size else []
        more = {"fp32": [], "fp16": ["--half"], "int8": ["--int8"]}[precision]
        out = tmp_path / f"{precision}{target.suffix}"
        line = ["--snapshot", str(tmp_path / "net.pth"), "--out", str(out), "--runtime", name, "--images", "1"]
        code = script.main([*line, "--size", SIZE, "--output", "logits", *dynamic, *more, *given, *flags])
        printed = capsys.readouterr()
        missed += [] if code == 0 and out.is_file() else [f"{name} {precision}: {printed.err.splitlines()[-1]}"]
        missed += too_few_in_int8(out) if code == 0 and precision == "int8" else []
        print(name, precision, printed.out)
    assert missed == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["ocrnet.HRNet_Mscale", "timm:convnext_atto", "timm:efficientnet_lite0", "timm:repvit_m0_9"]
)
def test_full_width_passes_the_gate(name: str, tmp_path: Path) -> None:
    """HRNet-W48 at three scales, and trunks of timm, under hierarchical attention."""
    flags = ["--n_scales", "0.5,1.0,2.0", "--dataset", "cityscapes"]
    flags += ["--trunk", name, "--head", "ocr", "--scales", "hierarchical"] if ":" in name else ["--arch", name]
    if ":" in name:
        pytest.importorskip("timm", reason="an extra: pip install timm")
    torch.manual_seed(0)
    torch.save(network.build(config.load(flags)).state_dict(), tmp_path / "net.pth")
    line = ["--snapshot", str(tmp_path / "net.pth"), "--out", str(tmp_path / "net.onnx"), "--images", "1"]
    assert script.main([*line, "--size", "128,256", *flags]) == 0


@pytest.mark.slow
def test_a_vit_takes_any_size_in_onnx(tmp_path: Path) -> None:
    """Its positions are resized within the file: the gate compares pictures of three sizes."""
    pytest.importorskip("timm", reason="an extra: pip install timm")
    flags = ["--trunk", "timm:test_vit", "--head", "plain", "--dataset", "cityscapes"]
    torch.manual_seed(0)
    torch.save(network.build(config.load(flags)).state_dict(), tmp_path / "net.pth")
    line = ["--snapshot", str(tmp_path / "net.pth"), "--out", str(tmp_path / "net.onnx"), "--images", "1"]
    assert script.main([*line, "--size", SIZE, "--dynamic", "--output", "logits", *flags]) == 0


@pytest.mark.slow
def test_pooling_to_a_number_of_places_needs_one_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pyramid pooling of an unknown size cannot be written down: it is said, and one size works."""
    flags = FAMILIES["ppm"]
    torch.save(narrow(*flags).state_dict(), tmp_path / "net.pth")
    out = ["--out", str(tmp_path / "net.onnx"), "--images", "1"]
    line = ["--snapshot", str(tmp_path / "net.pth"), *out, "--size", SIZE, *WORDS, *flags]
    assert script.main([*line, "--dynamic"]) == 2
    error = capsys.readouterr().err
    assert "picture 2" in error and "try --size" in error
    assert script.main(line) == 0


@pytest.mark.slow
def test_paddles_way_to_scale_is_exported_with_its_weights(tmp_path: Path) -> None:
    """With sides that the scales do not divide the two rules give different maps."""
    net = narrow("--arch", "ocrnet.HRNet_Mscale", "--n_scales", "0.5,1.0")
    rule, size = RULES["paddle"], (67, 97)
    module = export.Deployed(net, rule, "logits")
    export.save(module, rule, size, tmp_path / "net.pt2", True, {})
    run, image = export.runner(tmp_path / "net.pt2"), module.example(size, 1).numpy()
    assert export.distance(module, rule, run, image)[0] < 1e-4
    assert export.distance(module, RULES["nvidia"], run, image)[0] > 1e-3


def test_a_file_that_differs_is_not_kept_and_its_layer_is_named(
    snapshot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A runtime whose ReLU is wrong: the first one stands behind the first convolution."""
    wrong = broken(TARGETS["eager"], torch.ops.aten.relu_.default, torch.ops.aten.tanh_.default)
    monkeypatch.setitem(TARGETS, "eager", wrong)
    assert script.main(words(snapshot, tmp_path / "net.pt2", "--output", "logits")) == 2
    error = capsys.readouterr().err
    assert "the file differs from the network on picture 1, 64x96: largest error" in error
    assert re.search(
        r"nothing was written; the first layer that differs is backbone, behind backbone\.bn1 \(relu_\), by", error
    )
    assert not list(tmp_path.iterdir())


def test_points_that_are_lost_leave_no_file(
    snapshot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that gives no more than one class; it is written and opened by nobody."""
    from engine.export import gate

    def write(order: export.Order) -> export.Layers:
        order.path.touch()
        return export.Layers()

    fake = TARGETS["eager"]._replace(write=write, open=lambda path, precision: lambda image: [])
    monkeypatch.setitem(TARGETS, "eager", fake)
    monkeypatch.setattr(gate.Gate, "pictures", lambda *args: iter(()))
    monkeypatch.setattr(gate.Gate, "score", lambda self, run, pairs: 50.0 if run == self.reference else 49.9)
    assert script.main(words(snapshot, tmp_path / "net.pt2")) == 2
    assert "0.100 points lost where 0.01 may be: nothing was written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("in_float", [("a/Conv", "b/Conv"), ("a/Conv",)])
def test_a_file_with_no_layer_in_int8_is_none(
    in_float: tuple[str, ...],
    snapshot: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A target whose control of accuracy takes layers back to float: all of them, or one."""

    def write(order: export.Order) -> export.Layers:
        order.path.touch()
        return export.Layers(in_float, 2)

    open_exact = lambda path, precision: lambda image: [np.zeros(0)]  # noqa: E731
    fake = TARGETS["eager"]._replace(write=write, open=open_exact, precisions=("int8",))
    monkeypatch.setitem(TARGETS, "eager", fake)
    monkeypatch.setattr("engine.export.gate.Gate.pictures", lambda *args: iter(()))
    monkeypatch.setattr("engine.export.gate.Gate.score", lambda *args: 50.0)
    out = tmp_path / "net.pt2"
    assert script.main(words(snapshot, out, "--int8")) == (2 if len(in_float) == 2 else 0)
    printed = capsys.readouterr()
    if len(in_float) == 2:
        assert re.match("error: 0 of 2 layers in int8: .* nothing was written; give --calibration", printed.err)
        assert not list(tmp_path.iterdir())
    else:
        assert "1 of 2 layers in int8; in float: a/Conv" in printed.out
        told = json.loads((tmp_path / "net.pt2.json").read_text())
        assert told["int8"] == "1 of 2 layers in int8" and told["in_float"] == ["a/Conv"]
        assert told["files"] == {"net.pt2": hashlib.sha256(b"").hexdigest()}


def test_what_an_exporter_cannot_do_is_one_line(
    snapshot: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(order: export.Order) -> export.Layers:
        raise RuntimeError("no operator\nfold")

    monkeypatch.setitem(TARGETS, "eager", TARGETS["eager"]._replace(write=write))
    assert script.main(words(snapshot, tmp_path / "net.pt2")) == 2
    line = "error: the network cannot be written as .pt2: try another target (RuntimeError: no operator fold)\n"
    assert capsys.readouterr().err == line and not list(tmp_path.iterdir())


@pytest.mark.in_make_test("net.onnx*", "net.pt2-more2-*")
@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("net.trt", [], r"/net\.trt: give a file that ends with one of .onnx, .xml"),
        ("net.pt2", ["--dynamic"], "a .pt2 file takes images of one size: add --size"),
        ("net.pt2", ["--int8"], ".pt2 has no int8: it has fp32, fp16"),
        ("net.onnx", ["--size", "64"], "--size '64': give height,width"),
        ("net.onnx", ["--size", "8,64"], "of at least 64"),
        ("net.onnx", ["--half", "--int8"], "--half and --int8 are two precisions"),
        ("net.onnx", ["--dynamic", "--fixed"], "--dynamic takes any size, --fixed one"),
        ("net.onnx", ["--calibration", "toy"], "--calibration is of --int8"),
        ("net.onnx", ["--imgSize", "300"], "scales, mirror images and windows around the network"),
        ("net.onnx", ["--do_flip"], "scales, mirror images and windows around the network"),
        ("net.onnx", ["--inference_mode", "sliding", "--single_scale", "--no_flip"], "windows around the network"),
        ("net.onnx", ["--fixed_aspp_pool"], "windows around the network"),
        ("net.onnx", ["--snapshot", "none.pth"], "none.pth"),
        ("net.onnx", ["--segattn_bot_ch", "24"], "does not fill resnet18dilated.deeplab|entries fit"),
        ("net.pt2", ["--image", "x.png"], "cannot read x.png"),
        ("net.pt2", ["--labeled", "citiscapes"], "unknown --dataset 'citiscapes'; did you mean 'cityscapes'"),
    ],
)
def test_mistakes_are_one_line(
    name: str, more: list[str], message: str, snapshot: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(words(snapshot, tmp_path / name, *more)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and len(error.splitlines()) == 1 and re.search(message, error)
    assert not list(tmp_path.iterdir())
