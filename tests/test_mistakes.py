"""A user's mistakes at the command line: one clear line, exit code 2, no traceback, nothing run from a file."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
import torch

import train

Break = Callable[[Path], None]


def complain(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The error line of a command line that has to fail."""
    capsys.readouterr()
    assert train.main(words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and "Traceback" not in error
    return error


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--bs_trm", "4"], ["--bs_trm", "--bs_trn"]),
        (["OPTIM.LRR", "1"], ["OPTIM.LRR", "OPTIM.LR"]),
        (["--arch", "ocrnet.HRNet_Mscal"], ["ocrnet.HRNet_Mscale"]),
        (["--dataset", "cityscape"], ["cityscapes"]),
        (["--lr", "fast"], ["--lr", "fast"]),
        (["--optimizer", "sdg"], ["--optimizer", "sgd"]),
        (["--n_scales", "0.5,2.0"], ["--n_scales", "1.0"]),
        (["--resume", "a.pth", "--snapshot", "b.pth"], ["--resume", "--snapshot"]),
        (["--eval", "folder", "--snapshot", "a.pth"], ["--eval_folder"]),
        (["--eval", "val"], ["--snapshot"]),
        (["--crop_size", "tall"], ["--crop_size", "tall"]),
        (["--published", "img_wtt"], ["img_wt"]),
        (["--cfg", "nowhere.yaml"], ["nowhere.yaml"]),
        (["--dataset", "cityscapes", "--data_root", "/nowhere"], ["/nowhere"]),
        (["--snapshot", "/nowhere.pth"], ["/nowhere.pth"]),
    ],
)
def test_command_line(
    tiny_run: list[str], words: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    line = complain([*tiny_run, *words], capsys)
    assert all(text in line for text in expected), line


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return Path(self.path).touch, ()  # type: ignore[return-value]


@pytest.mark.parametrize("flag", ["--snapshot", "--resume"])
@pytest.mark.parametrize("container", ["pickle", "zip", "legacy"])
def test_malicious_pickle_is_never_executed(
    tiny_run: list[str], tmp_path: Path, flag: str, container: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, mark = tmp_path / "bad.pth", tmp_path / "executed"
    if container == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": Bomb(mark)}))
    else:
        torch.save({"state_dict": Bomb(mark)}, path, _use_new_zipfile_serialization=container == "zip")
    assert str(path) in complain([*tiny_run, flag, str(path)], capsys)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04 torn"])
def test_snapshot_that_is_none(
    tiny_run: list[str], tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    assert "x.pth" in complain([*tiny_run, "--snapshot", str(tmp_path / "x.pth")], capsys)


def test_snapshot_of_another_net(tiny_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"fc.weight": torch.zeros(3, 3), "fc.bias": torch.zeros(3)}, tmp_path / "other.pth")
    line = complain([*tiny_run, "--snapshot", str(tmp_path / "other.pth")], capsys)
    assert "0 of its 2 entries" in line


def test_resume_with_another_arch(tiny_run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([*tiny_run, "--max_epoch", "1"]) == 0
    assert "ocrnet.HRNet_Mscale" in complain([*tiny_run, "--arch", "basic.HRNet", "--resume", "auto"], capsys)


def _first(root: Path, pattern: str) -> Path:
    return sorted(root.glob(pattern))[0]


def no_label(root: Path) -> None:
    _first(root, "gtFine/train/*/*_labelIds.png").unlink()


def other_size(root: Path) -> None:
    path = _first(root, "gtFine/train/*/*_labelIds.png")
    cv2.imwrite(str(path), cv2.imread(str(path), 0)[:-8])


def truncated(root: Path) -> None:
    path = _first(root, "leftImg8bit/train/*/*.png")
    path.write_bytes(path.read_bytes()[:500])


def outside(root: Path) -> None:
    path = _first(root, "gtFine/train/*/*_labelIds.png")
    label = cv2.imread(str(path), 0)
    label[:2, :3] = 99
    cv2.imwrite(str(path), label)


def no_images(root: Path) -> None:
    shutil.rmtree(root / "leftImg8bit" / "train")
    (root / "leftImg8bit" / "train").mkdir()


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (no_label, ["label"]),
        (other_size, ["pixels"]),
        (truncated, ["leftImg8bit.png"]),
        (outside, ["99", "6"]),
        (no_images, ["leftImg8bit"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.parametrize("workers", ["0", "2"])
def test_broken_data(
    tiny_run: list[str],
    tiny_scenes: Path,
    tmp_path: Path,
    damage: Break,
    expected: list[str],
    workers: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "broken"
    shutil.copytree(tiny_scenes, root)
    damage(root)
    words = [*tiny_run, "--data_root", str(root), "--num_workers", workers, "--dataset", "cityscapes"]
    line = complain(words, capsys)
    assert str(root) in line and all(text in line for text in expected), line


@pytest.mark.parametrize("count", ["7", "20"])
def test_wrong_class_count(tiny_run: list[str], count: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = complain([*tiny_run, "DATASET.NUM_CLASSES", count], capsys)
    assert "19" in line and count in line


def test_evaluation_with_weights_of_other_classes(
    tiny_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its heads would be random: no score is better than that one."""
    assert train.main([*tiny_run, "--max_epoch", "1"]) == 0
    best = str(next((tmp_path / "run").glob("best*.pth")))
    words = [*tiny_run, "--eval", "val", "--snapshot", best, "--result_dir", str(tmp_path / "eval")]
    assert "ocr.cls_head" in complain([*words, "DATASET.NUM_CLASSES", "20"], capsys)


def test_folder_without_images(tiny_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([*tiny_run, "--max_epoch", "1"]) == 0
    best = next(Path(tmp_path / "run").glob("best*.pth"))
    (tmp_path / "empty").mkdir()
    words = ["--eval", "folder", "--eval_folder", str(tmp_path / "empty"), "--snapshot", str(best)]
    assert str(tmp_path / "empty") in complain([*words, "--result_dir", str(tmp_path / "out")], capsys)


def test_unwritable_result_folder(tiny_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    line = complain([*tiny_run, "--result_dir", str(tmp_path / "file" / "run")], capsys)
    assert str(tmp_path / "file") in line


def test_ignored_flags_are_named_once(tiny_run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([*tiny_run, "--max_epoch", "1", "--exp", "x", "--trunk", "resnet101", "--scf"]) == 0
    warnings = [line for line in capsys.readouterr().out.splitlines() if "without effect" in line]
    assert len(warnings) == 1 and "--exp --trunk --scf" in warnings[0]


def test_validation_in_which_no_pixel_counts(
    tiny_run: list[str], tiny_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before the first step and at the validation, which keeps no best checkpoint; an evaluation says it, too."""
    root = tmp_path / "ignored"
    shutil.copytree(tiny_scenes, root)
    for path in root.glob("gtFine/val/*/*_labelIds.png"):
        cv2.imwrite(str(path), 0 * cv2.imread(str(path), 0))
    words = [*tiny_run, "--data_root", str(root), "--dataset", "cityscapes", "--max_epoch", "1"]
    assert train.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    before = "warning: all pixels of the 4 validation labels are ignored: no pixel counts, so there is no score and no"
    (place,) = [i for i, line in enumerate(lines) if line.startswith(before)]
    then = "warning: no pixel of the labels counts, so there is no score of epoch 0, and it cannot become the best"
    assert place < [line.startswith("epoch 0 ") for line in lines].index(True)
    assert any(line.startswith(then) for line in lines) and not list((tmp_path / "run").glob("best*"))
    (snapshot,) = (tmp_path / "run").glob("last_checkpoint*.pth")
    evaluated = ["--eval", "val", "--snapshot", str(snapshot), "--result_dir", str(tmp_path / "eval")]
    assert train.main([*words, *evaluated]) == 0
    assert "warning: no pixel of the labels counts, so there is no score\n" in capsys.readouterr().out
