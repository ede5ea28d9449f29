"""demo.py and demo_folder.py with --model: the checkpoint's masks in a process without torch; mistakes in one line."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from demos import check, complaint, noise, save
from onnxfiles import SPEC, OneLayer, facts, write, write_xml
from without_torch import run

import config
import demo
import demo_folder
import network
from inference import Predictor
from inference.rule import EvalRule
from media.video import VideoSource
from scripts import export

QUICKSTART = Path(__file__).parents[2] / "scripts/cfg/quickstart.yaml"
PACKAGES = {".onnx": ("onnx", "onnxruntime"), ".xml": ("onnx", "openvino")}


def skipped(suffix: str) -> str:
    """What is missing here, as a reason to skip."""
    missing = [name for name in PACKAGES[suffix] if importlib.util.find_spec(name) is None]
    return f"no {', '.join(missing)}" if missing else ""


needs_onnx = pytest.mark.skipif(bool(skipped(".onnx")), reason=skipped(".onnx") or "-")


def expected(image: np.ndarray, tile: int = 0) -> np.ndarray:
    """(H, W) classes by torch, as the checkpoint's demo gives them."""
    (found,) = Predictor(OneLayer().eval(), EvalRule(tile=tile))([image])
    return found.classes.numpy()


def write_video(path: Path, frames: list[np.ndarray]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, frames[0].shape[1::-1])
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


@pytest.mark.run
@needs_onnx
def test_the_checkpoints_masks_without_torch(tmp_path: Path) -> None:
    """A picture, the same in tiles, a folder and a video, in one process that can import neither torch nor Pillow."""
    model, image = write(tmp_path / "net.onnx", facts()), noise(130, 170)
    pictures, out = tmp_path / "in", tmp_path / "out"
    (pictures / "sub").mkdir(parents=True)
    save(pictures / "a.png", image)
    save(pictures / "sub" / "b.png", image[:70, :40])
    video = write_video(tmp_path / "drive.avi", [noise(64, 96, seed) for seed in range(3)])
    ran = run(
        ["demo", "--demo-image", pictures / "a.png", "--model", model, "--save-dir", out / "one", "--confidence"],
        ["demo", "--demo-image", pictures / "a.png", "--model", model, "--save-dir", out / "tiles", "--tile", 64],
        ["demo_folder", "--demo-folder", pictures, "--model", model, "--save-dir", out / "all"],
        ["demo", "--demo-video", video, "--model", model, "--save-dir", out / "film"],
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("exit code 0") == 4 and ran.stdout.endswith("imported:\n")
    check(out / "one", image, expected(image))
    check(out / "tiles", image, expected(image, 64))
    assert "pictures of 130x170: in tiles of 64x64, blended" in (out / "tiles" / "demo.log").read_text()
    check(out / "all", image, expected(image), "_a")
    assert (out / "all" / "sub" / "color_mask_b.png").is_file()
    assert (out / "one" / "confidence.png").is_file() and (out / "one" / "legend.png").is_file()
    ids = np.array(SPEC.train_to_id, np.uint8)
    for number, frame in enumerate(VideoSource(str(video))):
        stored = cv2.imread(str(out / "film" / f"pred_mask_{number:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(stored, ids[expected(frame)])
    assert number == 2


@pytest.mark.run
@pytest.mark.skipif(bool(skipped(".xml")), reason=skipped(".xml") or "-")
def test_by_openvino(tmp_path: Path) -> None:
    image = noise(130, 170)
    model, picture = write_xml(tmp_path / "net.xml", facts()), save(tmp_path / "a.png", image)
    ran = run(["demo", "--demo-image", picture, "--model", model, "--save-dir", tmp_path / "out", "--tile", 64])
    assert ran.stdout.count("exit code 0") == 1 and ran.stdout.endswith("imported:\n"), ran.stderr
    check(tmp_path / "out", image, expected(image, 64))


@pytest.mark.slow
@pytest.mark.parametrize("tile", [[], ["--tile", "96"]], ids=["whole", "tiles"])
@pytest.mark.parametrize(
    "suffix", [pytest.param(x, marks=pytest.mark.skipif(bool(skipped(x)), reason=skipped(x) or "-")) for x in PACKAGES]
)
def test_a_checkpoint_beside_its_exported_file(suffix: str, tile: list[str], tmp_path: Path) -> None:
    words = ["--arch", "resnet18dilated+deeplab", "--width_mult", "0.05", "--cfg", str(QUICKSTART)]
    torch.manual_seed(0)
    net, snapshot = network.build(config.load(words)), tmp_path / "net.pth"
    torch.save(net.state_dict(), snapshot)
    model, picture = tmp_path / f"net{suffix}", save(tmp_path / "a.png", noise(130, 170))
    asked = ["--uint8", "--output", "logits", "--images", "1", "--size", "64,96", "--dynamic"]
    assert export.main(["--snapshot", str(snapshot), "--out", str(model), *asked, *words]) == 0
    given = ["--demo-image", str(picture), *tile]
    assert demo.main([*given, "--snapshot", str(snapshot), "--save-dir", str(tmp_path / "torch"), *words]) == 0
    assert run(["demo", *given, "--model", model, "--save-dir", tmp_path / "file"]).stdout.startswith("python demo.py")
    for kind in ("pred_mask", "color_mask", "overlap"):
        one, other = (cv2.imread(str(tmp_path / place / f"{kind}.png")) for place in ("torch", "file"))
        assert (one == other).all(-1).mean() > 0.999


def test_an_empty_model_is_no_wish_for_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "x.png", noise(70, 70))
    given = ["--demo-image", str(tmp_path / "x.png"), "--save-dir", str(tmp_path / "out")]
    assert demo.main(["--model", "", *given]) == 2
    assert capsys.readouterr().err == "error: --model is empty: name a file, .onnx or .xml\n"


def test_a_checkpoint_without_torch() -> None:
    ran = run(["demo", "--demo-image", "a.png", "--snapshot", "best.pth"])
    assert "exit code 2" in ran.stdout
    assert ran.stderr.splitlines() == [
        "error: torch is not installed; a checkpoint is run by torch and others: pip install -r requirements.txt, or "
        "give an exported file as --model"
    ]


@needs_onnx
@pytest.mark.parametrize(
    ("says", "words", "message"),
    [
        (facts("argmax"), ["--confidence"], "gives classes alone; export it with --output softmax"),
        (facts(size=(64, 96)), ["--tile", "64"], "takes 64x96, which is its tile: leave --tile out"),
        (facts(), ["--tile", "32"], "takes sides from 64 on"),
        (facts(), ["--fp16"], "--fp16 is no flag of --model"),
        (facts(), ["--til", "64"], "--til is no flag of --model; did you mean '--tile'"),
    ],
)
def test_what_a_file_cannot(says, words, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, picture = write(tmp_path / "net.onnx", says), save(tmp_path / "a.png", noise())
    given = ["--demo-image", str(picture), "--model", str(model), "--save-dir", str(tmp_path / "out"), *words]
    assert message in complaint(demo.main, given, capsys)
    assert not (tmp_path / "out").exists()


@needs_onnx
def test_a_picture_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are done, and --visualize shows each beside its colors."""
    model, pictures = write(tmp_path / "net.onnx", facts()), tmp_path / "in"
    pictures.mkdir()
    save(pictures / "a.png", noise())
    (pictures / "b.png").write_bytes(b"nothing")
    given = ["--demo-folder", str(pictures), "--model", str(model), "--save-dir", str(tmp_path / "out"), "--visualize"]
    assert demo_folder.main(given) == 2
    told = capsys.readouterr()
    assert "1 of 2 pictures could not be read" in told.err and "left out: " in told.out
    assert cv2.imread(str(tmp_path / "out" / "result_a.png")).shape == (60, 166, 3)
