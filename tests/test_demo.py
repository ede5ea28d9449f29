"""demo.py and demo_folder.py: from a checkpoint alone, without any dataset; what they write; users' mistakes."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from demos import check, colors, complaint, noise, save
from golden.fill import fill
from PIL import Image
from shared import GOLDEN, shared_path
from torch import nn

import config
import datasets
import demo
import demo_folder
import inference
import network
from engine import checkpoint, demonstrate
from inference import Predictor, from_file, temperature
from media.legend import Legend
from media.video import VideoSink, VideoSource
from network import guess
from runtime.render import RenderedMasks, Renderer
from utils.errors import UserError

ROOT = Path(__file__).parents[1]
PADDLE_NAMES = json.loads((GOLDEN / "paddle" / "key_map.json").read_text())
MSCALE = "ocrnet.HRNet_Mscale"
KINDS = ("color_mask", "overlap", "pred_mask")


@pytest.fixture(scope="module")
def shape(tiny_words: Callable[[Path, Path], list[str]]) -> list[str]:
    """Flags and keys that make a network narrow."""
    words = tiny_words(Path("none"), Path("none"))
    flags = [word for i, word in enumerate(words) if {word, words[i - 1]} & {"--width_mult", "--segattn_bot_ch"}]
    return flags + words[words.index("MODEL.OCR.MID_CHANNELS") :]


@pytest.fixture
def few_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without a name is compared with few networks; with all: test_a_file_that_two_networks_fit."""
    few = ("basic.HRNet", "basic.HRNet_ASP", MSCALE, demonstrate.ARCH)
    monkeypatch.setattr(guess, "ARCHS", {name: guess.ARCHS[name] for name in few})


def made(words: list[str], seed: int = 0) -> nn.Module:
    """A network of a command line, with weights that tell classes apart."""
    torch.manual_seed(seed)
    net = network.build(config.load(words))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
    return net.eval()


@pytest.fixture(scope="module")
def own(shape: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of ours as a training leaves it, as far as prediction reads it."""
    cfg = config.load(["--arch", MSCALE, *shape])
    path = tmp_path_factory.mktemp("own") / "best.pth"
    told = {"arch": MSCALE, "num_classes": 19, "class_names": list(datasets.spec(cfg).classes), "mean_iu": 0.5}
    net = made(["--arch", MSCALE, *shape])
    checkpoint.save({"net": net.state_dict(), "config": config.flat(cfg), "epoch": 1, **told}, path)
    return path


def expected(shape: list[str], image: np.ndarray, arch: str = MSCALE, n_scales: str = "") -> np.ndarray:
    """(H, W) classes by the Predictor itself."""
    words = ["--arch", arch, *shape, *(["--n_scales", n_scales] if n_scales else [])]
    (prediction,) = Predictor(placed(made(words)))([image])
    return prediction.classes.cpu().numpy()


def placed(net: nn.Module) -> nn.Module:
    """Where and in which layout a run has its network, so that near ties fall the same way."""
    gpu = torch.cuda.is_available()
    layout = torch.contiguous_format if gpu else torch.channels_last
    return net.to("cuda" if gpu else "cpu", memory_format=layout)  # type: ignore[call-overload]


def alone(script: str, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A script in a process of its own, in a folder with nothing in it, with no folder of large files."""
    env = os.environ | {"ASSETS_PATH": str(cwd / "nowhere")}
    return subprocess.run(
        [sys.executable, str(ROOT / script), *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
def test_a_picture_from_a_checkpoint_alone(own: Path, shape: list[str], tmp_path: Path) -> None:
    image = noise()
    save(tmp_path / "street.png", image)
    ran = alone("demo.py", tmp_path, "--demo-image", "street.png", "--snapshot", str(own), "--save-dir", "out")
    assert ran.returncode == 0, ran.stderr
    classes = expected(shape, image)
    assert len(np.unique(classes)) > 1
    check(tmp_path / "out", image, classes)
    spec = datasets.spec("cityscapes")
    shares = {spec.classes[k]: float((classes == k).mean()) for k in np.unique(classes)}
    for name, share in shares.items():
        told = [line.split() for line in ran.stdout.splitlines() if line.endswith(f"  {name}")]
        assert [words[:2] for words in told] == ([[f"{100 * share:.2f}", "%"]] if share > 0.001 else [])
    legend = colors(tmp_path / "out" / "legend.png")
    top = max(shares, key=lambda name: shares[name])
    assert tuple(legend[14, 20]) == spec.palette[spec.classes.index(top)]


def test_options_of_train_pass_through(own: Path, shape: list[str], tmp_path: Path) -> None:
    image = noise(70, 64)
    words = ["--demo-image", str(save(tmp_path / "x.png", image)), "--snapshot", str(own), "--save-dir", str(tmp_path)]
    more = ["--n_scales", "0.5,1.0,2.0", "--arch", f"network.{MSCALE}", "EVAL.TILE", "0"]
    assert demo.main([*words, *more]) == 0  # the widths are those of the file, whoever names the network
    check(tmp_path, image, expected(shape, image, n_scales="0.5,1.0,2.0"))
    assert not np.array_equal(expected(shape, image), expected(shape, image, n_scales="0.5,1.0,2.0"))


@pytest.mark.slow
def test_a_folder_of_all_sorts(
    own: Path, shape: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gray, transparent, turned by EXIF, two of one name, one a level down; what cannot be read is named."""
    source = tmp_path / "pictures"
    (source / "deep").mkdir(parents=True)
    rgb, gray = noise(seed=1), noise(41, 64, seed=2)[..., 0]
    save(source / "rgba.png", np.dstack([rgb, np.full(rgb.shape[:2], 90, np.uint8)]))
    save(source / "gray.png", gray)
    save(source / "twin.png", rgb)
    save(source / "twin.bmp", 255 - rgb)
    save(source / "deep" / "low.png", rgb)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgb).save(source / "turned.png", exif=exif)
    (source / "bad.jpg").write_bytes(b"no picture")
    (source / "notes.txt").write_text("none either")
    words = ["--demo-folder", "pictures", "--snapshot", str(own), "--save-dir", "pictures/out"]
    monkeypatch.chdir(tmp_path)
    assert demo_folder.main(words) == 2
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith("error: 1 of 7 pictures could not be read")
    (left_out,) = [line for line in said.out.splitlines() if line.startswith("left out")]
    assert "bad.jpg" in left_out
    assert "pictures 7/7" in said.err
    assert demo_folder.main(words) == 2  # what was written inside the folder is no picture of it
    out = source / "out"
    names = {"rgba": rgb, "gray": np.dstack([gray] * 3), "twin_png": rgb, "twin_bmp": 255 - rgb}
    names["turned"] = np.rot90(rgb, -1).copy()
    for name, image in names.items():
        check(out, image, expected(shape, image), f"_{name}")
    check(out / "deep", rgb, expected(shape, rgb), "_low")
    assert {path.name for path in out.iterdir()} == {
        *(f"{kind}_{name}.png" for kind in KINDS for name in names),
        *("deep", "legend.png", "demo.log", "run.lock"),
    }


@pytest.mark.slow
def test_photographs(own: Path, shape: list[str], tmp_path: Path) -> None:
    photos = shared_path("data/photos")
    words = ["--demo-folder", str(photos), "--snapshot", str(own), "--save-dir", str(tmp_path / "save")]
    assert demo_folder.main(words) == 0
    for photo in sorted(photos.glob("*.jpg")):
        image = cv2.imread(str(photo))[..., ::-1]
        check(tmp_path / "save", image, expected(shape, np.ascontiguousarray(image)), f"_{photo.stem}")
    assert (tmp_path / "save" / "legend.png").is_file()


def write_video(path: Path, frames: int = 5) -> Path:
    """A short video of 83 x 60 pixels."""
    sink = VideoSink(path.with_suffix(""), rate=5)
    for seed in range(frames):
        sink.add(noise(seed=seed))
    sink.close()
    assert sink.path is not None
    return sink.path


def test_a_video_from_a_checkpoint_alone(
    own: Path, shape: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "drive.mp4")
    monkeypatch.chdir(tmp_path)
    assert demo.main(["--demo-video", video.name, "--snapshot", str(own), "--save-dir", "out"]) == 0
    said = capfd.readouterr()
    assert "frames 5/5" in said.err
    source = VideoSource(str(video))
    frames = list(source)
    assert len(frames) == 5 and source.rate == 5 and frames[0].shape == (60, 84, 3)  # an odd side is padded
    ids = np.array(datasets.spec("cityscapes").train_to_id, np.uint8)
    legend = Legend(datasets.spec("cityscapes"))
    for number, frame in enumerate(frames):
        classes = expected(shape, frame)
        legend.add(classes)
        with Image.open(tmp_path / "out" / f"pred_mask_{number:06d}.png") as stored:
            assert np.array_equal(np.array(stored), ids[classes])
    assert "\n".join(legend.lines()) in said.out
    for kind in ("overlap", "color_mask"):
        written = VideoSource(str(next((tmp_path / "out").glob(f"{kind}.*"))))
        assert len(list(written)) == 5 and written.rate == 5
    palette = np.array(datasets.spec("cityscapes").palette)[expected(shape, frames[0])]
    shown = next(iter(VideoSource(str(next((tmp_path / "out").glob("overlap.*"))))))
    assert np.abs(shown - (frames[0] + palette) / 2).mean() < 12  # the codec loses some


def test_pictures_where_there_is_no_codec(
    own: Path, shape: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_video(tmp_path / "drive.mp4")
    monkeypatch.setattr("media.video.CODECS", ())
    out = tmp_path / "out"
    words = ["--demo-video", str(video), "--snapshot", str(own), "--save-dir", str(out), "--max_frames", "2"]
    assert demo.main(words) == 0
    for number, frame in enumerate(list(VideoSource(str(video)))[:2]):
        check(out, frame, expected(shape, frame), f"_{number:06d}")
    assert not list(out.glob("*_000002.png"))


def test_a_video_that_was_cut_off(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is there is painted, and a line says that there should be more."""
    monkeypatch.setattr("media.video.CODECS", ((".avi", "MJPG"),))
    video = write_video(tmp_path / "drive.avi", frames=8)
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    words = ["--demo-video", str(video), "--snapshot", str(own), "--save-dir", str(tmp_path / "out")]
    assert demo.main(words) == 0
    told = capfd.readouterr()
    painted = len(list((tmp_path / "out").glob("pred_mask_*.png")))
    assert 0 < painted < 8
    assert f"warning: {video} tells of" in told.out and f", {painted} of them could be read" in told.out
    assert all(line.startswith("frames ") for line in told.err.splitlines())


def test_ctrl_c_leaves_whole_files(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video, render, calls = write_video(tmp_path / "drive.mp4"), Renderer.render, count()

    def interrupted(self: Renderer, image: np.ndarray) -> RenderedMasks:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return render(self, image)

    monkeypatch.setattr(Renderer, "render", interrupted)
    out = tmp_path / "out"
    assert demo.main(["--demo-video", str(video), "--snapshot", str(own), "--save-dir", str(out)]) == 130
    assert len(list(VideoSource(str(next(out.glob("color_mask.*")))))) == 2
    assert (out / "legend.png").is_file()


@pytest.mark.parametrize(("end", "frames"), [("Ctrl-C", 3), ("q", 2)])
def test_a_camera_until_told_to_end(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, frames: int
) -> None:
    """The device is a file here, behind OpenCV's own interface; Ctrl-C comes in place of the fourth frame."""
    file, opened, shown = write_video(tmp_path / "drive.mp4"), cv2.VideoCapture, count()

    class Camera:
        def __init__(self, number: int) -> None:
            assert number == 3
            self.file, self.frames = opened(str(file)), 0

        def read(self) -> Any:
            self.frames += 1
            if self.frames == 4:
                raise KeyboardInterrupt
            return self.file.read()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.setattr("media.video.Preview.show", lambda self, frame: end == "q" and next(shown) == 1)
    assert demo.main(["--demo-video", "3", "--snapshot", str(own), "--save-dir", str(tmp_path / "out")]) == 0
    monkeypatch.undo()
    assert len(list((tmp_path / "out").glob("pred_mask_*.png"))) == frames
    assert len(list(VideoSource(str(next((tmp_path / "out").glob("overlap.*")))))) == frames
    assert (tmp_path / "out" / "legend.png").is_file()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_foreign_file(shape: list[str], tmp_path: Path, wrapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare state dict, and the layout with `state_dict` that names no network; `network.` before --arch as ever."""
    net, image = made(["--arch", "basic.HRNet", *shape]), noise()
    state = {f"module.{name}": x for name, x in net.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3} if wrapped else net.state_dict(), tmp_path / "theirs.pth")
    save(tmp_path / "x.png", image)
    words = ["--demo-image", "x.png", "--snapshot", "theirs.pth", "--save-dir", "out", "--arch", "network.basic.HRNet"]
    monkeypatch.chdir(tmp_path)
    assert demo.main([*words, *shape]) == 0
    check(tmp_path / "out", image, expected(shape, image, "basic.HRNet"))


@pytest.mark.usefixtures("few_networks")
def test_a_published_file_needs_no_arch(shape: list[str], tmp_path: Path) -> None:
    """A state dict that fits the published network is taken for one, as the published demo takes every file."""
    net, image = made(["--arch", demonstrate.ARCH, *shape]), noise()
    torch.save({"state_dict": {f"module.{name}": x for name, x in net.state_dict().items()}}, tmp_path / "best.pth")
    words = ["--demo-image", str(save(tmp_path / "x.png", image)), "--snapshot", str(tmp_path / "best.pth")]
    assert demo.main([*words, "--save-dir", str(tmp_path), *shape]) == 0
    check(tmp_path, image, expected(shape, image, demonstrate.ARCH))


def test_certainties_beside_the_masks(
    own: Path, shape: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, best = noise(), Path(shutil.copy(own, tmp_path / "best.pth"))
    words = ["--demo-image", str(save(tmp_path / "x.png", image)), "--snapshot", str(best), "--save-dir", str(tmp_path)]
    predictor = inference.load(best)
    (prediction,) = predictor([image], scores=True)
    assert demo.main([*words, "--confidence"]) == 0 and "not calibrated" in capsys.readouterr().out
    plain = np.array(Image.open(tmp_path / "confidence.png"))
    assert np.array_equal(plain, np.rint(prediction.max_prob.numpy() * 255))
    assert predictor.spec is not None and prediction.scores is not None
    temperature.write(best, 0.25, predictor.spec.classes, predictor.rule, {})
    assert demo.main([*words, "--confidence"]) == 0 and "with the temperature 0.250" in capsys.readouterr().out
    wanted = (prediction.scores / 0.25).softmax(0).max(0).values.numpy() * 255
    assert (
        np.abs(np.array(Image.open(tmp_path / "confidence.png")) - wanted).max() < 0.6 and wanted.mean() > plain.mean()
    )
    check(tmp_path, image, expected(shape, image))


def test_a_paddle_file(shape: list[str], tmp_path: Path) -> None:
    file = tmp_path / "model.pdparams"
    words = ["--arch", MSCALE, "--snapshot", str(file), *shape]
    cfg = config.load(words)
    net, image = network.build(cfg), noise()
    state = net.state_dict()
    arrays = {key: fill(key, state[name].shape) for key, name in PADDLE_NAMES.items() if name in state}
    content = {**arrays, "StructuredToParameterName@@": {key: f"p_{i}.w_0" for i, key in enumerate(arrays)}}
    file.write_bytes(pickle.dumps(content, protocol=4))
    save(tmp_path / "x.png", image)
    assert demo.main(["--demo-image", str(tmp_path / "x.png"), "--save-dir", str(tmp_path), *words]) == 0
    network.weights.load(net, file)
    (prediction,) = Predictor(placed(net), inference.eval_rule(cfg))([image])
    check(tmp_path, image, prediction.classes.cpu().numpy())


def test_classes_that_are_no_datasets(shape: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a release of Mapillary that tells its classes in its folder, which is not there: names from the file."""
    words = ["--arch", "basic.HRNet", *shape, "DATASET.NUM_CLASSES", "4"]
    cfg = config.load(words)
    told = {"arch": "basic.HRNet", "num_classes": 4, "class_names": ["sea", "sand", "sky", "gull"], "epoch": 0}
    options = config.flat(cfg) | {"DATASET.NAME": "mapillary", "DATASET.MAPILLARY_RELEASE": "v2.0"}
    checkpoint.save({"net": made(words).state_dict(), "config": options, **told}, tmp_path / "own.pth")
    picture = str(save(tmp_path / "x.png", noise()))
    rest = ["--snapshot", str(tmp_path / "own.pth"), "--save-dir", str(tmp_path)]
    assert demo.main(["--demo-image", picture, *rest]) == 0
    with Image.open(tmp_path / "pred_mask.png") as stored:
        present = np.unique(np.array(stored))
    named = {line.split()[-1] for line in capsys.readouterr().out.splitlines() if " %  #" in line}
    assert named and named <= {told["class_names"][k] for k in present}


@pytest.mark.slow
def test_a_file_that_two_networks_fit(shape: list[str], tmp_path: Path) -> None:
    """The preferred one is taken, if it is one of them; else both are named."""
    narrow = [*shape, "--aspp_bot_ch", "8"]
    torch.save(made(["--arch", "deepv3.DeepV3PlusW38", *narrow]).state_dict(), tmp_path / "x.pth")
    words = ["--snapshot", str(tmp_path / "x.pth"), *narrow]
    assert from_file.build(words, preferred="deepv3.DeepV3PlusW38I").cfg.MODEL.ARCH == "deepv3.DeepV3PlusW38I"
    with pytest.raises(UserError, match=r"give --arch; .*deepv3\.DeepV3PlusW38 or deepv3\.DeepV3PlusW38I"):
        from_file.build(words, preferred="basic.HRNet")


class TestMistakes:
    @pytest.fixture
    def picture(self, tmp_path: Path) -> str:
        return str(save(tmp_path / "x.png", noise()))

    @pytest.mark.parametrize("words", [["--demo-image", "/nowhere/x.png"], ["--demo-video", "/nowhere/x.mp4"]])
    def test_no_such_file(
        self, own: Path, tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert words[1] in complaint(demo.main, [*words, "--snapshot", str(own), "--save-dir", str(tmp_path)], capsys)

    def test_frames_of_a_picture(self, own: Path, picture: str, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["--demo-image", picture, "--snapshot", str(own), "--max_frames", "3"]
        assert "--max_frames is of a video or a camera" in complaint(demo.main, words, capsys)

    @pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n torn"])
    def test_unreadable_picture(
        self, own: Path, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "x.png").write_bytes(content)
        words = ["--demo-image", str(tmp_path / "x.png"), "--snapshot", str(own), "--save-dir", str(tmp_path / "out")]
        assert "x.png" in complaint(demo.main, words, capsys)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("cut", [False, True])
    def test_unreadable_video(self, own: Path, tmp_path: Path, cut: bool, capfd: pytest.CaptureFixture[str]) -> None:
        """The decoders, which write past Python, stay silent."""
        data = write_video(tmp_path / "whole.mp4").read_bytes()
        video = tmp_path / "x.mp4"
        video.write_bytes(data[: len(data) // 2] if cut else b"no video")
        words = ["--demo-video", str(video), "--snapshot", str(own), "--save-dir", str(tmp_path / "out")]
        assert complaint(demo.main, words, capfd).startswith(f"error: video {video} cannot be read: damaged")
        assert not (tmp_path / "out").exists()

    def test_no_camera(self, own: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        words = ["--demo-video", "97", "--snapshot", str(own), "--save-dir", str(tmp_path / "out")]
        assert complaint(demo.main, words, capfd).startswith("error: camera 97 cannot be opened")

    def test_folder_without_pictures(self, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "notes.txt").write_text("none")
        rest = ["--snapshot", str(own), "--save-dir", str(tmp_path / "out")]
        line = complaint(demo_folder.main, ["--demo-folder", str(tmp_path), *rest], capsys)
        assert "no images" in line and "notes.txt" in line
        line = complaint(demo_folder.main, ["--demo-folder", str(tmp_path / "none"), *rest], capsys)
        assert "does not exist" in line

    def test_pictures_into_their_own_folder(
        self, own: Path, picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["--demo-folder", str(tmp_path), "--save-dir", str(tmp_path), "--snapshot", str(own)]
        assert "--save-dir" in complaint(demo_folder.main, words, capsys)

    @pytest.mark.parametrize("arch", ["basic.HRNet", "deepv3.DeepV3PlusR50"])
    def test_wrong_arch(
        self, own: Path, picture: str, tmp_path: Path, arch: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["--demo-image", picture, "--snapshot", str(own), "--save-dir", str(tmp_path / "out"), "--arch", arch]
        line = complaint(demo.main, words, capsys)
        assert MSCALE in line and "--arch" in line

    @pytest.mark.usefixtures("few_networks")
    def test_arch_untold(
        self, shape: list[str], picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Where the entries tell it the line says which; narrow or of nothing we know, it only asks."""
        words = ["--demo-image", picture, "--snapshot", str(tmp_path / "x.pth"), "--save-dir", str(tmp_path / "out")]
        torch.save(made(["--arch", "basic.HRNet_ASP", *shape]).state_dict(), tmp_path / "x.pth")
        line = complaint(demo.main, [*words, *shape], capsys)
        assert line.endswith("give --arch; its entries are those of basic.HRNet_ASP")
        assert complaint(demo.main, words, capsys).endswith("does not name its network: give --arch")

    def test_no_checkpoint(
        self, picture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The published default of --snapshot is not there."""
        monkeypatch.chdir(tmp_path)
        line = complaint(demo.main, ["--demo-image", picture], capsys)
        assert "checkpoint pretrained_models/cityscapes_best.pth: there is nothing here" in line

    def test_save_dir_is_a_file(
        self, own: Path, picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["--demo-image", picture, "--snapshot", str(own), "--save-dir", picture]
        assert picture in complaint(demo.main, words, capsys)

    def test_unknown_flag(self, own: Path, picture: str, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["--demo-image", picture, "--snapshot", str(own), "--n_scale", "0.5,1.0"]
        assert "--n_scales" in complaint(demo.main, words, capsys)
