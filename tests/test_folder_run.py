"""Images and labels in two folders, with classes of their own: a training from them, and what comes after it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import write_image
from runs import folder, last, rows

import demo
import train

CLASSES = """
names: [sea, land, boat]
ids: [10, 20, 300]
ignore: [7]
colors: [[0, 0, 200], [90, 60, 0], [250, 250, 250]]
"""
COLORS = np.array([[0, 0, 200], [90, 60, 0], [250, 250, 250]], np.uint8)


def make_data(root: Path) -> None:
    """Six pictures whose colors say the class, labels of 16 bits, and the file of the classes."""
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for number in range(count):
            kinds = random.integers(0, 3, (4, 4)).repeat(16, 0).repeat(16, 1)  # (64, 64)
            label = np.array([10, 20, 300], np.uint16)[kinds]
            label[:2] = 7
            write_image(root / f"{split}/images/{number}.png", COLORS[kinds])
            write_image(root / f"{split}/labels/{number}.png", label)
    (root / "classes.yaml").write_text(CLASSES)


@pytest.fixture(scope="module")
def run(tiny_words: Callable[[Path, Path], list[str]], once: Callable[..., Path]) -> list[str]:
    """Command line of such a training, which has ended after its first epoch."""

    def words(place: Path) -> list[str]:
        own = ["--dataset", "folder", "--classes", str(place / "data/classes.yaml")]
        return [*tiny_words(place / "data", place), *own]

    def make(place: Path) -> None:
        make_data(place / "data")
        assert train.main([*words(place), "--max_epoch", "1"]) == 0

    return words(once("folder", make))


def test_it_is_looked_at_trained_scored_and_recorded(run: list[str]) -> None:
    log = (folder(run) / "train.log").read_text()
    assert "training: 3.1 % of the pixels of 4 labels are ignored" in log and "validation: 3.1 %" in log
    assert 0 < rows(run, "val")[0]["mean_iu"] <= 1
    state = last(run)
    assert state["class_names"] == ["sea", "land", "boat"] and list(state["class_ids"]) == [10, 20, 300]


@pytest.mark.slow
def test_it_is_resumed_and_evaluated(run: list[str], tmp_path: Path) -> None:
    assert train.main([*run, "--resume", "auto", "--max_epoch", "2"]) == 0
    assert [row["epoch"] for row in rows(run, "train")] == [0, 1]
    evaluation = [*run, "--eval", "val", "--snapshot", str(folder(run) / "last_checkpoint_ep1.pth")]
    evaluation[evaluation.index("--result_dir") + 1] = str(tmp_path / "eval")
    assert train.main(evaluation) == 0
    assert rows(evaluation, "val")[0]["mean_iu"] == rows(run, "val")[-1]["mean_iu"]


def test_a_demo_names_its_classes(run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = str(folder(run).parent / "data/val/images/0.png")
    checkpoint = str(next(folder(run).glob("last_checkpoint_ep*.pth")))
    assert demo.main(["--demo-image", picture, "--snapshot", checkpoint, "--save-dir", str(tmp_path / "out")]) == 0
    named = {line.split()[-1] for line in capsys.readouterr().out.splitlines() if " %" in line}
    assert named & {"sea", "land", "boat"} and not named & {"road", "sky", "building"}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (("labels/0.png", 30), r"label value 30 \(64 pixels\) is no class of folder \(classes\)"),
        (("classes.yaml", "names: [sea, land, sea]"), "the class 'sea' stands twice"),
        (("classes.yaml", "names: [sea, land, boat]\nids: [10, 20]"), "3 names, 2 different ids"),
    ],
)
def test_a_mistake_is_one_line(
    what: tuple[str, object],
    message: str,
    tiny_words: Callable[[Path, Path], list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, (name, content) = tmp_path / "data", what
    make_data(data)
    if isinstance(content, int):
        label = np.full((64, 64), 10, np.uint16)
        label[5] = content
        write_image(data / "train" / name, label)
    else:
        (data / name).write_text(str(content))
    words = [*tiny_words(data, tmp_path), "--dataset", "folder", "--classes", str(data / "classes.yaml")]
    assert train.main(words) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert re.search(message, line), line
