"""Propagated frames: against the truth, as files, through the trainer; interruptions and users' mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pictures import write_image

import toyworld
import train
from benchmarks import propagation_gain
from datasets import video_clips
from datasets.reading import read_label
from engine import chain_flow, propagation
from engine.checkpoint import load
from media.reading import read_image
from network.flow import sources
from network.flow.warp import warp
from scripts import propagate_labels
from utils import flowfile
from utils.files import write_file

STEM = "altheim_000000"
Scenes = tuple[Path, list[str]]


@pytest.fixture(scope="session")
def scenes(once: Callable[..., Path]) -> Path:
    """Sequences of 5 frames with all that is known of them."""
    counts = {"train": 2, "val": 1, "sequences": 2, "frames": 5}

    def draw(folder: Path) -> None:
        toyworld.write(folder / "scenes", ("fine", "sequence", "motion"), counts=counts, size=(128, 256), workers=1)

    return once("sequences", draw) / "scenes"


@pytest.fixture
def run(scenes: Path, tmp_path: Path) -> Callable[..., int]:
    """run(*words): propagate the scenes by true motion to `tmp_path`/out."""

    def call(*words: str) -> int:
        given = ["--source_dir", str(scenes), "--target_dir", str(tmp_path / "out")]
        given += [] if "--flow" in words else ["--flow", "files"]
        return propagate_labels.main([*given, *words])

    return call


@pytest.fixture
def run_flat(tmp_path: Path) -> Callable[..., int]:
    """The same of a sequence of five gray frames without any flow, for what is told before a label is carried."""
    root = tmp_path / "flat"
    for number in range(17, 22):
        frame = root / "leftImg8bit_sequence/train/altheim" / f"{STEM}_{number:06d}_leftImg8bit.png"
        write_image(frame, np.zeros((128, 256, 3), np.uint8))
    image, label = place(root, 19)
    write_image(image, np.zeros((128, 256, 3), np.uint8))
    write_image(label, np.zeros((128, 256), np.uint8))

    def call(*words: str) -> int:
        given = ["--source_dir", str(root), "--target_dir", str(tmp_path / "out")]
        return propagate_labels.main([*given, *([] if "--flow" in words else ["--flow", "files"]), *words])

    return call


def place(root: Path, number: int) -> tuple[Path, Path]:
    """Image and label of a frame of the first sequence."""
    stem = f"{STEM}_{number:06d}"
    image = root / "leftImg8bit/train/altheim" / f"{stem}_leftImg8bit.png"
    return image, root / "gtFine/train/altheim" / f"{stem}_gtFine_labelIds.png"


def listed(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))


@pytest.mark.slow
def test_labels_reach_the_truth(scenes: Path) -> None:
    """By true motion, one frame on: at least 0.9 mean IoU where the way back agrees, that is nearly everywhere."""
    args = ["--source_dir", str(scenes), "--target_dir", ".", "--flow", "files"]
    flows = chain_flow.flows_of(propagate_labels.parser().parse_args(args))
    found = propagation_gain.quality(scenes, flows, 2)
    whole, kept, share = found[1]
    assert kept >= 0.9 and share > 0.9, found
    assert whole < kept  # what is hidden in the labeled frame cannot be known
    assert found[2][1] < kept and found[2][2] < share

    def still(chain, k: int, both: bool):
        flow, back = flows(chain, k, both)
        return torch.zeros_like(flow), back

    assert propagation_gain.quality(scenes, still, 1)[1][0] < whole - 0.1  # the measure sees wrong motion


@pytest.mark.slow
def test_files_are_what_the_flow_says(scenes: Path, run: Callable[..., int], tmp_path: Path) -> None:
    assert run("--propagate", "2", "--published", "--vis") == 0
    out = tmp_path / "out"
    assert len(listed(out)) == 2 * 5 * 3  # two labeled frames and four each: image, label, colors
    for source, copy in zip(place(scenes, 19), place(out, 19), strict=True):
        assert np.array_equal(read_image(str(source)), read_image(str(copy)))
    image = torch.from_numpy(read_image(str(place(scenes, 19)[0]))).permute(2, 0, 1)[None].float()
    label = torch.from_numpy(read_label(str(place(scenes, 19)[1])))[None, None]
    for number, mode in ((20, "bilinear"), (21, "nearest")):
        path = scenes / "flow_sequence/train/altheim" / flowfile.name(STEM, number, number - 1)
        flow = torch.from_numpy(flowfile.read(path)).permute(2, 0, 1)[None]
        image, label = warp(image, flow, mode), warp(label, flow, "nearest")
        written, ids = place(out, number)
        assert np.array_equal(read_image(str(written)), image[0].permute(1, 2, 0).numpy().astype(np.uint8))
        assert np.array_equal(read_label(str(ids)), label[0, 0].numpy())
        colors = read_image(str(ids).replace("labelIds", "color"))
        assert (colors[label[0, 0].numpy() == 7] == (128, 64, 128)).all()


@pytest.mark.slow
def test_what_does_not_lead_back_is_ignored(scenes: Path, run: Callable[..., int], tmp_path: Path, capsys) -> None:
    assert (
        run("--ignore_inconsistent", "--keep_frames", "--flow", "dis", "--ignore_id", "3", "--raft_checkpoint", "x")
        == 0
    )
    assert "% at 1" in (said := capsys.readouterr().out)
    assert "without effect with --flow dis: --raft_checkpoint" in said
    image, label = (
        read(str(path)) for read, path in zip((read_image, read_label), place(tmp_path / "out", 18), strict=True)
    )
    frame = scenes / "leftImg8bit_sequence/train/altheim" / f"{STEM}_000018_leftImg8bit.png"
    assert np.array_equal(image, read_image(str(frame)))
    assert 0.01 < (label == 3).mean() < 0.3


@pytest.mark.slow
def test_goes_on_where_it_stopped(run: Callable[..., int], tmp_path: Path, capsys, monkeypatch) -> None:
    written = []

    def stop_after_8(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) > 8:
            raise KeyboardInterrupt
        write_file(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(propagation, "write_file", stop_after_8)
        assert run() == 130
    assert "goes on from here" in capsys.readouterr().err
    half = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in listed(tmp_path / "out")}
    assert len(half) == 7  # the first file says how they are made
    assert run() == 0
    after = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in listed(tmp_path / "out")}
    assert len(after) == 12 and sum(after[name] != time for name, time in half.items()) <= 2
    assert run("--propagate", "2") == 0
    assert len(listed(tmp_path / "out")) == 20
    assert run("--ignore_inconsistent") == 2
    assert "made with --ignore_inconsistent False, not True" in capsys.readouterr().err


@pytest.mark.slow
def test_the_trainer_reads_it(
    run: Callable[..., int], scenes: Path, tmp_path: Path, tiny_words: Callable[[Path, Path], list[str]]
) -> None:
    assert run("--ignore_inconsistent") == 0
    for tree in ("leftImg8bit", "gtFine"):
        (tmp_path / "out" / tree / "val").symlink_to(scenes / tree / "val", target_is_directory=True)
    words = tiny_words(tmp_path / "out", tmp_path)
    words[words.index("--max_epoch") + 1] = "1"
    assert train.main(words) == 0
    steps = load(tmp_path / "run" / "last_checkpoint_ep0.pth")["step"]
    assert steps == 6 // 4  # 2 labeled frames and 4 beside them, in batches of 4


def test_plain_folders(tmp_path: Path, capsys) -> None:
    """Frames under names of their own, one label; images and labels as --dataset folder reads them."""
    frames, labels = tmp_path / "frames", tmp_path / "labels"
    street = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 255, (128, 300, 3)), (0, 0), 2).astype(np.uint8)
    for n in (17, 18, 19, 20):  # four pixels to the left each
        write_image(frames / f"drive-{n:04d}.png", street[:, 4 * (n - 17) :][:, :256])
    truth = np.repeat(np.arange(32, dtype=np.uint8), 8)[None].repeat(128, axis=0)
    write_image(labels / "drive-0019_labelIds.png", truth)
    words = ["--frames", str(frames), "--labels", str(labels), "--target_dir", str(tmp_path / "out"), "--flow", "dis"]
    assert propagate_labels.main([*words, "--propagate", "2"]) == 2
    assert "has no frame 21, 2 from the labeled 19" in capsys.readouterr().err
    assert propagate_labels.main([*words, "--propagate", "2", "--skip_missing", "--ignore_inconsistent"]) == 0
    printed = capsys.readouterr().out
    assert "1 steps lack a frame" in printed
    assert "note: pixels that fail the check get the label 255; where that is a class give another" in printed
    names = [f"drive-00{n}.png" for n in (17, 18, 19, 20)]
    assert listed(tmp_path / "out") == [f"train/{kind}/{name}" for kind in ("images", "labels") for name in names]
    moved = read_label(str(tmp_path / "out/train/labels/drive-0020.png"))
    assert 255 in np.unique(moved) and (moved[:, :-8] == truth[:, 4:-4]).mean() > 0.9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--propagate", "9"], "has no frame 22, 3 from the labeled 19: add it, or give --propagate 2"),
        (["--propagate", "0"], "give 1 or more"),
        (["--ignore_id", "300"], "--ignore_id 300: labels are written as bytes, give 0 to 255"),
        (["--ignore_id", "-1"], "give 0 to 255"),
        (["--split", "test"], "no labels"),
        (["--flow", "raft"], "RAFT needs a file of weights"),
        (["--flow", "raft", "--raft_checkpoint", "none.pth"], "none.pth: there is nothing here"),
        (["--device", "gpu"], "--device gpu is none that this machine has"),
        (["--flow_dir", "none"], "none is no folder of flow"),
        (["--flow_dir", "."], "no flow "),
        (["--frames", "x"], "give either --source_dir, or --frames and --labels"),
    ],
)
def test_mistakes_are_one_line(
    run_flat: Callable[..., int], capsys, tmp_path: Path, monkeypatch, words, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_flat(*words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and message in error


def test_other_data_is_not_touched(run_flat: Callable[..., int], capsys, tmp_path: Path) -> None:
    (tmp_path / "out" / "gtFine").mkdir(parents=True)
    assert run_flat("--flow", "dis") == 2
    assert "holds files of other origin" in capsys.readouterr().err


def test_sizes_have_to_fit(tmp_path: Path, capsys) -> None:
    frames, labels, flows = (tmp_path / name for name in ("frames", "labels", "flows"))
    for n in (1, 2):
        write_image(frames / f"x_{n}.png", np.zeros((128, 256, 3), np.uint8))
    flows.mkdir()
    cv2.imwrite(str(flows / flowfile.name("x", 2, 1)), np.ones((8, 8, 3), np.uint16))
    labels.mkdir()
    cv2.imwrite(str(labels / "x_1.png"), np.zeros((128, 256), np.uint8))
    words = ["--frames", str(frames), "--labels", str(labels), "--target_dir", str(tmp_path / "out"), "--flow", "files"]
    words += ["--flow_dir", str(flows), "--skip_missing"]
    assert propagate_labels.main(words) == 2
    assert "has the size (8, 8), its frame (128, 256)" in capsys.readouterr().err
    cv2.imwrite(str(labels / "x_1.png"), np.zeros((8, 8), np.uint8))
    assert propagate_labels.main(words) == 2
    assert "a label of 8 bits and of its frame's size (128, 256)" in capsys.readouterr().err


@pytest.mark.slow
def test_gain_of_a_pair(tmp_path: Path, capsys) -> None:
    """Scenes, labels' figures, two trainings of two steps and their difference."""
    words = ["--out", str(tmp_path), "--seeds", "0", "--labeled", "6", "--val", "1", "--propagate", "1"]
    assert propagation_gain.main([*words, "--iters", "2", "--size", "64x128", "--flows", "files"]) == 0
    out = capsys.readouterr().out
    assert "| files | 1 |" in out and "| seed | labelled | propagated by files |" in out


@pytest.mark.slow
def test_predictions_see_three_frames(scenes: Path) -> None:
    """Step 1: the frames behind, at and after the label; from step 2 on the labeled one comes first."""
    (clip, *_) = video_clips.cityscapes(str(scenes))
    seen: list[list[int]] = []

    def number(frame: torch.Tensor) -> int:
        (n,) = (n for n, path in clip.frames.items() if torch.equal(chain_flow.frame_of(path), frame))
        return n

    def predict(*frames: torch.Tensor) -> torch.Tensor:
        seen.append([number(frame) for frame in frames])
        return torch.zeros(1, 2, 128, 256)

    def between(target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        return torch.full((1, 2, 128, 256), float(number(target) * 100 + number(source)))

    flows = chain_flow.by_prediction(predict, between)
    for way, expected, home in ((1, [[18, 19, 20], [19, 20, 21]], 2021), (-1, [[20, 19, 18], [19, 18, 17]], 1817)):
        chain, seen[:] = video_clips.Chain(clip, 19, way, 2), []
        backs = [flows(chain, k, True)[1] for k in (1, 2)]
        assert seen == expected and backs[1] is not None and float(backs[1].mean()) == home
    assert flows(chain, 1, False)[1] is None


@pytest.mark.slow
def test_predictions_by_name(run: Callable[..., int], tmp_path: Path, monkeypatch, capsys) -> None:
    """Weights go to the prediction, and those of its inputs to their source."""
    asked = []

    def predictor(weights: str, between, device: torch.device):
        asked.append(weights)
        return lambda first, old, new: between(new, old)

    monkeypatch.setitem(sources.PREDICTIONS, "sdcnet", predictor)
    assert run("--flow", "sdcnet", "--pretrained", "sdc.pth", "--ignore_inconsistent") == 0
    assert asked == ["sdc.pth"] and len(listed(tmp_path / "out")) == 12
    assert run("--flow", "sdcnet", "--raft_checkpoint", "none.pth") == 2
    assert "none.pth: there is nothing here" in capsys.readouterr().err
