"""Training of video prediction: it learns, goes on to the last bit, can be read again; users' mistakes in one line."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from shared import GOLDEN

from engine import frame_prediction
from engine.checkpoint import load, newest
from engine.log import RunLog
from media.reading import read_image
from network.flow import flownet2, sdcnet
from network.flow.flownet2 import FlowNet2
from scripts import train_sdcnet
from scripts.train_sdcnet import parser
from utils.files import write_file
from utils.visualize import encode_png

pytestmark = pytest.mark.run

# Columns and rows that the picture moves by from frame to frame, one sequence each; the last is for measuring.
MOTIONS = ((3, 0), (-2, 2), (0, -3), (2, 1))
COUNT, HEIGHT, WIDTH = 5, 64, 96
CHANGED = ("-s", "--save", "--save_root", "--val_freq")  # a path's spelling; epochs in place of iterations
Train = Callable[..., int]


@pytest.fixture(autouse=True)
def signals_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `train` and `val` of smooth pictures that move evenly."""
    root, rng = tmp_path_factory.mktemp("frames"), np.random.default_rng(2)
    for i, (dx, dy) in enumerate(MOTIONS):
        picture = cv2.GaussianBlur(rng.uniform(0, 255, (HEIGHT + 40, WIDTH + 40, 3)), (0, 0), 2.5)
        picture = np.clip((picture - 127) * 6 + 127, 0, 255).astype(np.uint8)
        for n in range(COUNT):
            y, x = 20 + dy * n, 20 + dx * n
            part = np.ascontiguousarray(picture[y : y + HEIGHT, x : x + WIDTH])
            split = "train" if i + 1 < len(MOTIONS) else "val"
            write_file(root / split / f"clip{i}_{n:06d}.png", encode_png(part))
    return root


@pytest.fixture
def train(frames: Path, tmp_path: Path) -> Train:
    """train(name, *words): a short training into `tmp_path`/name."""

    def call(name: str, *words: str) -> int:
        given = ["--train_file", str(frames / "train"), "--width", "0.125", "--flow_source", "dis", "-j", "0"]
        given += ["--crop_size", "64", "64", "-b", "3", "--lr", "1e-3", "-s", str(tmp_path), "-n", name]
        return train_sdcnet.main([*given, *words])

    return call


def last(folder: Path) -> dict:
    path = newest(folder)[0]
    assert path is not None
    return load(path)


def assert_equal(one: dict, other: dict) -> None:
    """Weights, moments and place are the same to the last bit."""
    assert (one["epoch"], one["iteration"], one["step"]) == (other["epoch"], other["iteration"], other["step"])
    assert all(torch.equal(x, other["net"][name]) for name, x in one["net"].items())
    for slots, others in zip(one["optimizer"]["state"].values(), other["optimizer"]["state"].values(), strict=True):
        assert all(torch.equal(x, others[name]) for name, x in slots.items())


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """As if a signal came in that step."""
    real, count = frame_prediction.train_step, 0

    def counted(run: frame_prediction.Training, batch: torch.Tensor) -> object:
        nonlocal count
        count += 1
        if count == steps:
            signal.raise_signal(signal.SIGTERM)
        return real(run, batch)

    monkeypatch.setattr(frame_prediction, "train_step", counted)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["SDCNet2D", "SDCNet2DRecon"])
def test_it_learns(train: Train, frames: Path, tmp_path: Path, capsys, model: str) -> None:
    """The loss falls, and what is predicted of unseen frames is nearer to them than the frame before."""
    words = ("--model", model, "--epochs", "30", "--val_freq", "40", "--val_file", str(frames / "val"), "--wd", "0")
    assert train("run", *words, "--lr", "4e-3", "--lr_milestones", "24") == 0
    log = RunLog(tmp_path / "run", main=False)
    losses = [row["loss"] for row in log.history("train")]
    assert len(losses) == 30 and np.mean(losses[-3:]) < 0.4 * np.mean(losses[:3])
    assert [row["lr"] for row in log.history("train")][22:25] == [4e-3, 4e-3, pytest.approx(4e-4)]
    (scores,) = log.history("val")
    assert scores["predicted_l1"] < 0.4 * scores["copied_l1"]
    assert scores["predicted_psnr"] > scores["copied_psnr"] + 3
    assert ("source_l1" in scores) == (model == "SDCNet2DRecon")
    out = capsys.readouterr().out
    assert "15 frames in 3 sequences with 0 gaps make 9 clips of 3" in out and "the frame before L1" in out
    # The file alone gives the same figures.
    path = next((tmp_path / "run").glob("last_checkpoint_ep29.pth"))
    given = ["--eval", "--snapshot", str(path), "--val_file", str(frames / "val"), "--flow_source", "dis", "-j", "0"]
    assert train_sdcnet.main([*given, "--write_images", "-s", str(tmp_path), "-n", "eval"]) == 0
    pictures = sorted((tmp_path / "eval" / "predicted").iterdir())
    assert [path.stem for path in pictures] == [f"{n:05d}_clip3_{n + 2:06d}" for n in range(3)]
    apart = read_image(str(pictures[0])) - read_image(str(frames / "val" / "clip3_000002.png")).astype(float)
    assert np.abs(apart).mean() / 255 == pytest.approx(scores["predicted_l1"], rel=0.5)
    assert f"{model}: predicted frames L1 {scores['predicted_l1']:.5f}" in capsys.readouterr().out


@pytest.mark.slow
def test_resume_is_bit_equal(train: Train, tmp_path: Path, monkeypatch, capsys) -> None:
    """Stopped in the middle of an epoch, and at the end of one."""
    assert train("whole", "--epochs", "3") == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        assert train("parts", "--epochs", "3") == 128 + signal.SIGTERM
    stopped = last(tmp_path / "parts")
    assert (stopped["epoch"], stopped["iteration"], stopped["step"]) == (0, 2, 5)
    assert train("parts", "--epochs", "2", "--resume", "auto") == 0
    assert train("parts", "--epochs", "3", "--resume", str(next((tmp_path / "parts").glob("*_ep1.pth")))) == 0
    assert "epoch 0 done, 2 steps of the next" in capsys.readouterr().out
    assert_equal(last(tmp_path / "whole"), last(tmp_path / "parts"))
    assert train("other", "--epochs", "3", "--seed", "5") == 0
    assert not torch.equal(last(tmp_path / "other")["net"]["conv2.0.weight"], stopped["net"]["conv2.0.weight"])


@pytest.mark.slow
def test_loader_processes_change_nothing(train: Train, tmp_path: Path) -> None:
    for workers in ("0", "2"):
        assert train(f"w{workers}", "--epochs", "1", "-j", workers) == 0
    assert_equal(last(tmp_path / "w0"), last(tmp_path / "w2"))


def test_snapshot_and_checkpoint(train: Train, tmp_path: Path, capsys) -> None:
    """A published file starts a training; what comes of it is read as weights only, as any other file is."""
    net = sdcnet.SDCNet2D(width=0.125)
    torch.save({"state_dict": {f"module.{k}": x for k, x in net.state_dict().items()}}, tmp_path / "sdc.pth.tar")
    assert train("run", "--epochs", "1", "--lr", "0", "--wd", "0", "--snapshot", str(tmp_path / "sdc.pth.tar")) == 0
    assert "37 of 37 entries" in capsys.readouterr().out
    path = tmp_path / "run" / "last_checkpoint_ep0.pth"
    torch.load(path, weights_only=True)
    found = sdcnet.from_file(str(path))
    loaded = found.state_dict()
    assert all(torch.equal(x, loaded[name]) for name, x in net.state_dict().items())


@pytest.mark.slow
def test_flownet2_as_source(train: Train, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(flownet2, "FlowNet2", lambda: FlowNet2(width=1 / 16))
    torch.save({"state_dict": FlowNet2(width=1 / 16).state_dict()}, tmp_path / "flow.pth.tar")
    words = ("--flow_source", "flownet2", "--flownet2_checkpoint", str(tmp_path / "flow.pth.tar"))
    assert train("run", "--epochs", "1", "--train_n_batches", "1", "--skip_aug", "--clip_gradients", "1", *words) == 0
    assert not any(name.startswith("flownet2.") for name in last(tmp_path / "run")["net"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--train_file", "{}/empty"], "no images whose names end with a number"),
        (["--train_file", "{}/gaps"], "with 2 gaps hold no 3 frames"),
        (["--train_file", "{}/none"], "there is no such folder"),
        (["--train_file", ""], "give --train_file"),
        (["-b", "10"], "lower --batch_size"),
        (["--flow_source", "flownet2"], "FlowNet2 needs a file of weights"),
        (["--sequence_length", "1"], "--sequence_length 1: give 2 or more"),
        (["--crop_size", "0", "64"], "--crop_size 0 64"),
        (["--snapshot", "{}/other.pth"], "does not fit the network; give a file of SDCNet2D"),
        (["--resume", "{}/other.pth"], "is no checkpoint of a run of ours"),
        (["--resume", "{}/none.pth"], "there is nothing here"),
        (["--resume", "{}/r.pth", "--snapshot", "{}/r.pth"], "not both"),
        (["--eval"], "--eval needs --snapshot and --val_file"),
        (["--device", "tpu"], "--device tpu is none that this machine has"),
        (["--lr", "1e30"], "lower --lr"),
    ],
)
def test_mistakes_are_one_line(train: Train, tmp_path: Path, capsys, words: Sequence[str], message: str) -> None:
    (tmp_path / "empty").mkdir()
    for n in (1, 3, 4, 6):
        write_file(tmp_path / "gaps" / f"f_{n}.png", encode_png(np.zeros((64, 64, 3), np.uint8)))
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    assert train("run", "--epochs", "2", *(word.format(tmp_path) for word in words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "SDCNet2DRecon"], "model was 'SDCNet2D', is 'SDCNet2DRecon'"),
        (["--width", "0.25"], "width was 0.125, is 0.25"),
        (["-b", "2"], "batch_size was 3, is 2"),
        (["--resume", ""], "holds a training: --resume auto goes on with it"),
    ],
)
def test_resume_of_another_run(train: Train, capsys, words: Sequence[str], message: str) -> None:
    assert train("run", "--epochs", "1", "--train_n_batches", "1") == 0
    assert train("run", "--epochs", "2", "--train_n_batches", "1", "--resume", "auto", *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_published_flags() -> None:
    """Each is ours, too, or the documentation says what stands for it; defaults are the published ones."""
    page = (GOLDEN.parents[1] / "docs" / "coming_from_sdcnet.md").read_text(encoding="utf-8")
    published = json.loads((GOLDEN / "sdcnet" / "options.json").read_text())["entry_points"]["sdcnet/main.py"]
    ours = {name: action for action in parser()._actions for name in action.option_strings}
    assert len(published) > 40
    for option in published:
        for name in option["flags"]:
            assert name in ours or f"`{name}`" in page, name
            if name in ours and "default" in option and name not in CHANGED:
                default = ours[name].default
                assert (str(default) if isinstance(default, Path) else default) == option["default"], name


def test_published_defaults() -> None:
    args = parser().parse_args([])
    assert (args.lr, args.wd, args.lr_milestones, args.lr_gamma) == (1e-4, 1e-3, [250, 450], 0.1)
    assert (args.batch_size, args.crop_size, args.stride, args.epochs, args.seed) == (4, [448, 448], 64, 500, 1234)
    assert (args.model, args.sequence_length, args.save_freq, args.print_freq) == ("SDCNet2D", 2, 20, 100)
