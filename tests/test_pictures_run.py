"""What people have in folders of pictures, through every command that takes one: demo, evaluation, pseudo-labels."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import demo
import demo_folder
import train
from datasets import folder
from media.reading import read_turned
from scripts import auto_label

ARCH = "ocrnet.HRNet_Mscale"
LATIN1 = os.fsdecode(b"caf\xe9.png")


def scene(height: int = 32, width: int = 64) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A turned photo, a name in Latin-1, a picture of 12 bits, one of a single pixel, and a damaged one."""
    root = tmp_path / "photos"
    root.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene()).save(root / "turned.png", exif=exif)
    (root / LATIN1).write_bytes(cv2.imencode(".png", scene(24, 24))[1].tobytes())
    cv2.imwrite(str(root / "deep.png"), scene(16, 16).astype(np.uint16) << 4)
    cv2.imwrite(str(root / "dot.png"), scene(1, 1))
    (root / "bad.png").write_bytes((root / "turned.png").read_bytes()[:200])
    return root


def evaluate(snapshot: str, images: Path, out: Path, *more: str) -> int:
    words = ["--eval", "folder", "--eval_folder", str(images), "--snapshot", snapshot, "--num_workers", "0"]
    return train.main([*words, "--result_dir", str(out), *more])


def sizes(out: Path, pattern: str) -> dict[str, tuple[int, int]]:
    return {os.path.basename(path): read_turned(str(path))[0].shape[:2] for path in out.rglob(pattern)}


TURNED = "1 of 5 pictures carry a turn (EXIF): turned upright, as viewers show them, and so are their masks and labels"
LINES = ["bad.png is truncated", "use 12 of them", "1 of 5 pictures could not be read"]


def test_a_folder_is_evaluated(
    tiny_snapshot: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / os.fsdecode(b"r\xe9sultats")
    assert evaluate(tiny_snapshot, photos, out, "--dump_images", "--dump_all_images") == 2  # a picture is missing
    said = capsys.readouterr().out
    assert all(line in said for line in [TURNED, *LINES, "report: "]), said
    found = sizes(out / "pred", "*.png")
    assert found == {"turned.png": (64, 32), LATIN1: (24, 24), "deep.png": (16, 16), "dot.png": (1, 1)}
    shown = read_turned(str(out / "images/deep_input.png"))[0]
    assert np.array_equal(shown, scene(16, 16)[..., ::-1])
    assert "caf\ufffd" in (out / "report.html").read_text(encoding="utf-8")
    assert b"r\xe9sultats" in (out / "train_cmd.sh").read_bytes()


def test_with_labels_the_stored_pixels_stay(
    tiny_snapshot: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, out = tmp_path / "labels", tmp_path / "out"
    for name, size in {"turned.png": (32, 64), LATIN1: (24, 24), "deep.png": (16, 16), "dot.png": (1, 1)}.items():
        labels.mkdir(exist_ok=True)
        (labels / name).write_bytes(cv2.imencode(".png", np.full(size, 3, np.uint8))[1].tobytes())
    cv2.imwrite(str(labels / "bad.png"), np.full((32, 64), 3, np.uint8))
    assert evaluate(tiny_snapshot, photos, out, "--eval_labels", str(labels), "--eval_label_ids", "train") == 2
    said = capsys.readouterr().out
    assert "1 of 5 pictures carry a turn (EXIF): read as they are stored, since labels lie over" in said
    assert "(1 of 5 pictures could not be read and are left out)" in said  # beside the score
    with open(out / "per_image.csv", newline="", encoding="utf-8") as stream:
        assert [row[0] for row in csv.reader(stream)] == ["image", "caf\ufffd", "deep", "dot", "turned"]


def test_a_folder_is_shown(
    tiny_snapshot: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["--demo-folder", str(photos), "--snapshot", tiny_snapshot, "--save-dir"]
    assert demo_folder.main([*words, str(out)]) == 2
    said = capsys.readouterr()
    assert "1 of 5 pictures could not be read" in said.err and "1 picture carries a turn (EXIF)" in said.out
    assert sizes(out, "pred_mask_*")["pred_mask_turned.png"] == (64, 32)
    (photos / "dot.png").unlink()
    (photos / "bad.png").unlink()
    assert demo_folder.main([*words, str(out)]) == 0
    assert "still holds 3 files of an older run that this one has not replaced" in capsys.readouterr().out
    before = (out / "pred_mask_turned.png").stat()
    assert demo_folder.main([*words, str(out), "--do_flip"]) == 2  # another command
    (line,) = capsys.readouterr().err.splitlines()
    assert "is there already, not by this command" in line and (out / "pred_mask_turned.png").stat() == before
    assert demo_folder.main([*words, str(out), "--do_flip", "--overwrite"]) == 0
    assert demo_folder.main([*words, str(out)]) == 2 and "there already" in capsys.readouterr().err


def test_a_picture_of_one_pixel_and_a_turned_one(tiny_snapshot: str, photos: Path, tmp_path: Path) -> None:
    for name, size in (("dot", (1, 1)), ("turned", (64, 32)), ("deep", (16, 16))):
        out = tmp_path / name
        words = ["--demo-image", str(photos / f"{name}.png"), "--snapshot", tiny_snapshot, "--save-dir", str(out)]
        assert demo.main(words) == 0
        assert sizes(out, "overlap.png") == {"overlap.png": size}


def test_pseudo_labels_are_upright_and_read_so(
    tiny_snapshot: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["--snapshot", tiny_snapshot, "--images", str(photos), "--out", str(out), "--threshold", "0"]
    assert auto_label.main([*words, "--num_workers", "0"]) == 2
    said = capsys.readouterr()
    assert all(line in said.out for line in [TURNED, *LINES]) and "(named above)" in said.err
    assert sizes(out / "train_extra", "*.png")["turned.png"] == (64, 32)
    (photos / "bad.png").unlink()
    items = folder.split(str(photos), str(out)).items
    turned = next(item for item in items if item.name == "turned")
    assert turned.exif_turned and read_turned(turned.image, turned.exif_turned)[0].shape == (64, 32, 3)


@pytest.mark.slow
def test_results_below_the_pictures_are_none_of_them(
    tiny_snapshot: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "bad.png").unlink()
    for name in ("one", "one", "two"):  # the same folder again, then another one
        capsys.readouterr()
        assert evaluate(tiny_snapshot, photos, photos / name, "--dump_all_images") == 0
        assert "4 images in " in capsys.readouterr().out
    words = ["--demo-folder", str(photos), "--snapshot", tiny_snapshot, "--save-dir", str(photos / "shown")]
    assert demo_folder.main(words) == 0
    assert "not taken for pictures: results of a run in" in capsys.readouterr().out
    assert len(list((photos / "shown").rglob("pred_mask_*"))) == 4
    assert evaluate(tiny_snapshot, photos, photos) == 2
    assert "would put results among the pictures" in capsys.readouterr().err
