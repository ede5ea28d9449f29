"""The command around the check: mistakes, what is accepted, splits that cannot be listed, both kinds of exit code."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from data_faults import draw, image_of, label_of

from scripts import check_data


@pytest.fixture
def data(tmp_path: Path, once: Callable[..., Path]) -> Path:
    """Four drawn images for training, two for validation."""
    return Path(shutil.copytree(once("data-faults-six", lambda root: draw(root, 6)), tmp_path / "data"))


def words(root: Path, *more: str) -> list[str]:
    base = ["--dataset", "folder", "--data_root", str(root), "--classes", str(root / "classes.yaml")]
    return [*base, "--out", str(root.parent / "out"), *more]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--accept", "leaks"], "--accept 'leaks' is no kind of fault; did you mean 'leak'"),
        (["--datset", "toy"], "--datset"),
        (["--data_root", "/nowhere"], "/nowhere"),
        (["--dataset", "cityscape"], "did you mean 'cityscapes'?"),
    ],
)
def test_mistakes_are_one_line_and_2(
    data: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert check_data.main(words(data, *more)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and said in line
    assert not (data.parent / "out" / "check_data.html").exists()


def test_codes(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(image_of(data, 0, 6), image_of(data, 1, 6))
    shutil.copy(label_of(data, 0, 6), label_of(data, 1, 6))
    assert check_data.main(words(data)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "verdict: warnings: 1 warning"
    assert check_data.main(words(data, "--strict")) == 1
    assert check_data.main(words(data, "--strict", "--accept", "duplicate")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "verdict: fine: 1 accepted"
    shutil.copy(image_of(data, 0, 6), image_of(data, 5, 6))
    assert check_data.main(words(data)) == 1


def test_a_split_that_cannot_be_listed_is_told_and_the_other_is_checked(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(data / "val" / "images")
    (data / "val" / "images").mkdir()
    assert check_data.main(words(data)) == 1
    printed = capsys.readouterr().out
    assert "error: splits that cannot be listed: 1 (not-listed)" in printed and "no images" in printed
    assert "train: 4 images and 4 labels read" in printed


def test_labels_that_lack_are_all_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A training stops at the first."""
    for i in (0, 2, 5):
        label_of(data, i, 6).unlink()
    assert check_data.main(words(data)) == 1
    assert "images without a label: 3 (missing-label)" in capsys.readouterr().out


def test_a_dataset_that_a_file_describes(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images are parted by a seed and cut into pieces; those without label are told, all of them."""
    every = data / "all"
    for i in range(6):
        for kind, path in (("images", image_of(data, i, 6)), ("masks", label_of(data, i, 6))):
            (every / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, every / kind)
    classes = "".join(f"  - {{name: {name}}}\n" for name in ("ground", "car", "water", "lamp"))
    text = f"images: images\nlabels: {{kind: gray, path: masks}}\nclasses:\n{classes}"
    text += "splits: {percent: {train: 50, val: 50}}\n"
    (every / "drawn.yaml").write_text(text)
    line = ["--dataset", str(every / "drawn.yaml"), "--out", str(data / "out"), "--strict"]
    monkeypatch.chdir(data)
    assert check_data.main(["--dataset", str(every / "drawn.yaml"), "--strict"]) == 0
    assert (data / "logs/check_data/drawn/check_data.html").is_file()
    assert "4 train and 2 val images, 4 classes" in capsys.readouterr().out
    (every / "drawn.yaml").write_text(f"{text}cut: 64\n")
    assert check_data.main([*line, "--accept", "class-absent"]) == 0
    assert "16 train and 8 val images" in capsys.readouterr().out
    (every / "drawn.yaml").write_text(text)
    for i in (1, 4):
        (every / "masks" / f"000{i}.png").unlink()
    assert check_data.main(line) == 1
    assert "images without a label: 2 (missing-label)" in capsys.readouterr().out


def test_a_page_of_another_dataset_stays(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "labels: {kind: gray}\nclasses: [ground, car, water, lamp]\nsplits:\n"
    text += "".join(f"  {m}: {{images: {data}/{m}/images, labels: {data}/{m}/labels}}\n" for m in ("train", "val"))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "set.yaml").write_text(text)
        assert check_data.main(["--dataset", f"{folder}/set.yaml"]) == 0
    page = tmp_path / "logs/check_data/set_2/check_data.html"
    assert page.is_file() and f"page: {page.relative_to(tmp_path)}" in capsys.readouterr().out
    assert check_data.main(["--dataset", "b/set.yaml"]) == 0  # once more: into the same
    assert sorted(path.name for path in (tmp_path / "logs/check_data").iterdir()) == ["set", "set_2"]
    assert check_data.main(["--dataset", "a/set.yaml", "--out", str(page.parent)]) == 2
    assert "check_data.html is there already, not of a check of this dataset" in capsys.readouterr().err
    page.write_text("mine")
    assert check_data.main(["--dataset", "b/set.yaml", "--out", str(page.parent)]) == 2
    assert page.read_text() == "mine" and "or --overwrite to replace it" in capsys.readouterr().err
    (table := tmp_path / "out/check_data.csv").parent.mkdir()
    table.write_text("mine")
    assert check_data.main(["--dataset", "b/set.yaml", "--out", "out"]) == 2
    assert table.read_text() == "mine" and "check_data.csv is there already" in capsys.readouterr().err
    assert check_data.main(["--dataset", "b/set.yaml", "--out", "out", "--overwrite"]) == 0
    assert table.read_text() != "mine"


def test_a_number_of_workers_is_said_in_words(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        check_data.main(words(data, "--workers", "x"))
    assert "argument --workers: invalid whole number (0 to 256) value: 'x'" in capsys.readouterr().err
