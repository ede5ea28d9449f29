"""A miniature of ADE20K through train.py: sizes of their own on each process, resume, evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from runs import assert_same_end, finish, folder, into, last, on_ranks, rows

import config
import datasets
import train
from engine import checkpoint
from engine.stop import StopRequest
from utils.distributed import DistributedContext

SIZES = [(40, 60), (66, 44), (50, 50), (90, 52), (38, 80), (64, 96), (75, 50), (96, 64)]
VALIDATION = 5
NETWORK = ["--arch_encoder", "resnet18dilated", "--arch_decoder", "c1_deepsup", "--width_mult", "0.125"]


@pytest.fixture
def ade(tmp_path: Path, write_file: Callable[[Path, np.ndarray], None]) -> Path:
    """The plain folder and its lists: 8 training images of 8 sizes, 5 for validation; 0 stands for other."""
    rng = np.random.default_rng(0)
    for split, prefix, count in (("training", "train", len(SIZES)), ("validation", "val", VALIDATION)):
        lines = []
        for i, (height, width) in enumerate(SIZES[:count], 1):
            name = f"ADE_{prefix}_{i:08d}"
            image, label = (f"ADEChallengeData2016/{kind}/{split}/{name}" for kind in ("images", "annotations"))
            write_file(tmp_path / f"{image}.jpg", rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
            classes = rng.integers(0, 151, (height // 8 + 1, width // 8 + 1), dtype=np.uint8)
            write_file(tmp_path / f"{label}.png", classes.repeat(8, 0).repeat(8, 1)[:height, :width])
            paths = {"fpath_img": f"{image}.jpg", "fpath_segm": f"{label}.png", "width": width, "height": height}
            lines.append(json.dumps(paths))
        (tmp_path / f"{split}.odgt").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def words(ade: Path) -> list[str]:
    """A narrow network without dropout; 2 images a process and step, so that 4 batches make an epoch of 2 processes."""
    return [
        *("--dataset", "ade20k", "--root_dataset", str(ade), "--list_train", str(ade / "training.odgt")),
        *("--list_val", str(ade / "validation.odgt"), *NETWORK),
        *("--imgSize", "24", "32", "40", "--imgMaxSize", "80"),
        *("--padding_constant", "8", "--segm_downsampling_rate", "8", "--bs_trn", "2", "--num_epoch", "2"),
        *("--lr", "0.01", "--num_workers", "0", "--color_aug", "0", "--log_every", "1"),
        *("--result_dir", str(ade / "runs" / "run")),
    ]


class Peer(DistributedContext):
    """One of two processes, of which the other has the same to say."""

    def gather(self, value: object) -> list[object]:
        return [value] * self.world


@pytest.mark.slow
def test_two_processes_of_different_sizes_equal_one_that_adds_up(words: list[str]) -> None:
    """Each process's mean loss, then their mean: the gradients of two batches of one process added up."""
    cfg = config.load(words)
    shapes = []
    for rank in range(2):
        batches = list(datasets.build_train(cfg, Peer(rank, 2)))
        shapes.append([batch["image"].shape for batch in batches])
    assert any(mine != other for mine, other in zip(*shapes, strict=True)) and len(shapes[0]) == 2
    one, two = into([*words, "--accum", "2"], "one"), into([*words, "--loss_norm", "rank"], "two")
    assert train.main(one) == 0
    finish(*on_ranks(two))
    ours, theirs = rows(two, "train"), rows(one, "train")
    assert [row["loss"] for row in ours] == pytest.approx([row["loss"] for row in theirs], rel=1e-5)
    assert len(ours) == 2 and ours[1]["loss"] != ours[0]["loss"]


@pytest.mark.slow
def test_it_resumes_to_the_bit_and_evaluates_each_image_once(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """--syncbn over batches of different sizes, --epoch_iters across the end of the images."""
    words = [*words, "--syncbn", "--epoch_iters", "3", "--save_every", "1"]
    whole, parts = into(words, "whole"), into(words, "parts")
    finish(*on_ranks(whole))
    folder(parts).mkdir()
    first = folder(whole) / "checkpoint_ep0.pth"
    (folder(parts) / "last_checkpoint_ep0.pth").write_bytes(first.read_bytes())
    table = (folder(whole) / "metrics.csv").read_text().splitlines(keepends=True)
    (folder(parts) / "metrics.csv").write_text("".join(table[:3]))  # start, train 0, val 0
    finish(*on_ranks([*parts, "--resume", "auto"]))
    assert_same_end(whole, parts)
    best = next(folder(whole).glob("best_checkpoint_ep*.pth"))
    counted = sum(height * width for height, width in SIZES[:VALIDATION])
    one, two = (into(["--eval", "val", "--snapshot", str(best), *words], name) for name in ("e1", "e2"))
    assert train.main(one) == 0 and "evaluated by the rule csail" in capsys.readouterr().out
    assert "evaluated by the rule csail" in finish(*on_ranks(two))
    score = (folder(one) / "confusion.csv").read_text()
    assert (folder(two) / "confusion.csv").read_text() == score
    pixels = sum(int(value) for line in score.splitlines()[1:] for value in line.split(",")[-150:])
    assert pixels + _unlabeled(words) == counted
    # The file brings its sizes along; where the line names the network it is silent, but that is said.
    alone = ["--eval", "val", "--snapshot", str(best), "--root_dataset", words[words.index("--root_dataset") + 1]]
    alone += ["--num_workers", "0", "--result_dir", str(folder(words).with_name("e3"))]
    assert train.main(alone) == 0 and "evaluated by the rule csail" in capsys.readouterr().out
    assert (folder(alone) / "confusion.csv").read_text() == score
    assert train.main(into([*alone, *NETWORK, "--dataset", "ade20k"], "e4")) == 0
    said = capsys.readouterr().out
    assert "evaluated by the rule nvidia" in said and "warning: trained with --imgSize 24,32,40, evaluated wi" in said


def test_a_resume_within_an_epoch_keeps_its_batches(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many images in all are not enough: two processes would queue up other ones."""
    words = [*words, "--epoch_iters", "3"]
    with monkeypatch.context() as patch:
        patch.setattr(StopRequest, "asked", lambda self, ranks: True)
        patch.setattr(StopRequest, "exit_code", 143)
        assert train.main(words) == 143
    for change in (["--epoch_iters", "2"], ["--epoch_iters", "0"]):
        assert train.main([*words, "--resume", "auto", *change]) == 2
        assert "counts in iterations: go on with --epoch_iters 3" in capsys.readouterr().err
    plain = into(words, "plain")
    with monkeypatch.context() as patch:
        patch.setattr(StopRequest, "asked", lambda self, ranks: True)
        patch.setattr(StopRequest, "exit_code", 143)
        assert train.main([*plain, "--epoch_iters", "0"]) == 143
    assert train.main([*plain, "--resume", "auto"]) == 2
    assert "counts in epochs: go on with --max_epoch, without --epoch_iters" in capsys.readouterr().err
    path = next(folder(words).glob("last_checkpoint_ep*.pth"))
    content = checkpoint.load(path)
    checkpoint.save({**content, "world": 2, "config": {**content["config"], "TRAIN.BATCH_SIZE": 1}}, path)
    assert train.main([*words, "--resume", "auto"]) == 2
    assert "within an epoch of --imgSize on 2 process(es) with --bs_trn 1: keep both" in capsys.readouterr().err


def _unlabeled(words: list[str]) -> int:
    loader = datasets.build_val(config.load(words), DistributedContext())
    return sum(int((label == 255).sum()) for batch in loader for label in batch["label"] if label is not None)


@pytest.mark.parametrize(
    ("list_line", "message"),
    [
        ("{broken", "training.odgt, line 3: no JSON object"),
        ('"width": 61', "is 60x40 pixels, its list says 61x40"),
    ],
)
def test_a_wrong_list_is_one_line(
    words: list[str], ade: Path, list_line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (ade / "training.odgt").read_text().splitlines()
    lines = [lines[0].replace('"width": 60', list_line), *lines[1:]] if list_line.startswith('"') else lines
    lines = [*lines[:2], list_line, *lines[3:]] if list_line.startswith("{") else lines
    (ade / "training.odgt").write_text("\n".join(lines))
    assert train.main(words) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1


def test_a_label_above_150_is_one_line(
    words: list[str], ade: Path, write_file: Callable[[Path, np.ndarray], None], capsys: pytest.CaptureFixture[str]
) -> None:
    label = ade / "ADEChallengeData2016/annotations/training/ADE_train_00000003.png"
    write_file(label, np.full(SIZES[2], 151, np.uint8))
    assert train.main(words) == 2
    error = capsys.readouterr().err.strip()
    assert f"{label}: label value 151 (2500 pixels) is no class of ade20k" in error and len(error.splitlines()) == 1


@pytest.mark.slow
def test_a_published_file_trains_and_resumes(ade: Path) -> None:
    """A rate for the encoder and one for the decoder, decay on weights alone, fixed batch norm, a moving average."""
    lists = {"list_train": str(ade / "training.odgt"), "list_val": str(ade / "validation.odgt")}
    tree = {
        "DATASET": {"root_dataset": str(ade), "imgSizes": [24, 32, 40], "imgMaxSize": 80, **lists},
        "MODEL": {"arch_encoder": "resnet18dilated", "arch_decoder": "c1_deepsup", "fc_dim": 64},
        "TRAIN": {"num_epoch": 9, "epoch_iters": 2, "lr_decoder": 0.1, "fix_bn": True, "workers": 0},
    }
    (ade / "published.yaml").write_text(yaml.safe_dump(tree))
    words = ["--cfg", str(ade / "published.yaml"), "--width_mult", "0.125", "--ema", "0.9", "--save_every", "1"]
    words += ["--result_dir", str(ade / "runs" / "run"), "TRAIN.num_epoch", "2", "TRAIN.LOG_EVERY", "1"]
    whole, parts = into(words, "whole"), into(words, "parts")
    assert train.main(whole) == 0
    folder(parts).mkdir()
    first = folder(whole) / "checkpoint_ep0.pth"
    (folder(parts) / "last_checkpoint_ep0.pth").write_bytes(first.read_bytes())
    table = (folder(whole) / "metrics.csv").read_text().splitlines(keepends=True)
    (folder(parts) / "metrics.csv").write_text("".join(table[:3]))  # start, train 0, val 0
    assert train.main([*parts, "--resume", "auto"]) == 0
    assert_same_end(whole, parts)
    end = last(parts)
    groups = [(group["lr"], group["weight_decay"]) for group in end["optimizer"]["param_groups"]]
    left = (1 - 3 / 4) ** 0.9  # of the rates before the fourth and last step
    expected = [(rate * left, decay) for rate in (0.02, 0.1) for decay in (1e-4, 0.0)]
    assert [rate for rate, _ in sorted(groups)] == pytest.approx([rate for rate, _ in sorted(expected)])
    assert [decay for _, decay in sorted(groups)] == [decay for _, decay in sorted(expected)]
    counts = [value for name, value in end["net"].items() if name.endswith("num_batches_tracked")]
    assert counts and not any(counts)
