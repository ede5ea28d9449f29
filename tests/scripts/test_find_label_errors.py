"""scripts/find_label_errors.py from a checkpoint to tables and a page."""

from __future__ import annotations

import json
import lzma
import shutil
from pathlib import Path

import cv2
import pytest
from shared import GOLDEN

from engine.label_errors import MEMORIZED
from scripts import find_label_errors


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A trained network of a few thousand weights, of Cityscapes' classes."""
    path = tmp_path_factory.mktemp("net") / "before.pth"
    path.write_bytes(lzma.decompress((GOLDEN / "before_the_house/before.pth.xz").read_bytes()))
    return str(path)


def words(checkpoint: str, scenes: Path, *more: str) -> list[str]:
    """A search in the embedded scenes."""
    return ["--snapshot", checkpoint, "--dataset", "toy", "--data_root", str(scenes), "--num_workers", "0", *more]


def test_what_a_search_leaves(
    checkpoint: str, tiny_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "found"
    assert (
        find_label_errors.main(words(checkpoint, tiny_scenes, "--out", str(out), "--worst", "3", "--most", "20")) == 0
    )
    content = json.loads((out / "label_errors.json").read_text())
    assert content["images"] == 4 and content["split"] == "val" and len(content["classes"]) == 19
    assert len(content["areas"]) == 20 and content["areas_left_out"] > 0
    scores = [one["score"] for one in content["areas"]]
    assert scores == sorted(scores, reverse=True)
    for one in content["areas"]:
        height, width = cv2.imread(one["image"]).shape[:2]
        assert 0 <= one["left"] < one["left"] + one["width"] <= width and one["top"] + one["height"] <= height
    page = (out / "label_errors.html").read_text()
    assert page.count("<figure>") == 3 * 5 and MEMORIZED[:40] not in page
    assert len((out / "label_errors.csv").read_text().splitlines()) == 21
    assert "the worst of" in capsys.readouterr().out
    assert find_label_errors.main(words(checkpoint, tiny_scenes, "--out", str(out))) == 2
    assert "is there already: give another --out, or --overwrite" in capsys.readouterr().err


def test_beside_the_checkpoint_of_its_own_images(checkpoint: str, tiny_scenes: Path, tmp_path: Path) -> None:
    own = str(shutil.copy(checkpoint, tmp_path / "net.pth"))
    argv = words(own, tiny_scenes, "--split", "train", "--worst", "1", "EVAL.NUM_IMAGES", "2")
    assert find_label_errors.main(argv) == 0
    page = (tmp_path / "label_errors_train" / "label_errors.html").read_text()
    assert MEMORIZED[:40] in page and page.count("<figure>") == 5


@pytest.mark.parametrize(
    ("more", "want"),
    [
        (["--dataset", "toyy"], "did you mean 'toy'"),
        (["--worst", "0"], "--worst"),
        (["--least", "2"], "--least"),
        (["--split", "test"], "--split"),
        (["--snapshot", "none.pth"], "none.pth"),
    ],
)
def test_mistakes_are_one_line(
    checkpoint: str, tiny_scenes: Path, tmp_path: Path, more: list[str], want: str, capsys: pytest.CaptureFixture
) -> None:
    try:
        code = find_label_errors.main(words(checkpoint, tiny_scenes, "--out", str(tmp_path / "out"), *more))
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr().err
    assert code == 2 and want in said and "Traceback" not in said
    assert not list(tmp_path.rglob("label_errors.html"))


def test_other_classes_than_the_network_s_are_one_line(
    checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many, called otherwise: areas would be ranked by classes that the labels do not have."""
    (tmp_path / "images").mkdir()
    for count in (19, 3):
        own, names = tmp_path / f"{count}.yaml", ", ".join("abcdefghijklmnopqrs"[:count])
        own.write_text(f"images: images\nlabels: {{kind: gray, path: masks}}\nclasses: [{names}]\n")
        out = ["--out", str(tmp_path / "found"), "--num_workers", "0"]
        assert find_label_errors.main(["--snapshot", checkpoint, "--dataset", str(own), *out]) == 2
        error = capsys.readouterr().err
        assert "was trained on other classes: " in error and len(error.splitlines()) == 1, error
