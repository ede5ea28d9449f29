"""What of a folder is a picture: nothing hidden, no results, each folder once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from datasets import cityscapes, folder
from media import results
from media.files import images_in, read_complete, search
from utils.errors import UserError

PICTURE = np.zeros((4, 4, 3), np.uint8)
Write = Callable[[Path, np.ndarray], None]


def names(root: Path, *without: str) -> list[str]:
    return [str(path.relative_to(root)) for path in search(root, without).paths]


@pytest.mark.parametrize("place", [".ipynb_checkpoints", ".thumbnails", "__MACOSX", "sub/.cache/deep", "@eaDir/a.png"])
def test_hidden_folders_hold_no_pictures(tmp_path: Path, write_file: Write, place: str) -> None:
    for path in ("a.png", "sub/b.JPG".lower(), f"{place}/c.png", "._a.png"):
        write_file(tmp_path / path, PICTURE)
    (tmp_path / "folder.png").mkdir()
    assert names(tmp_path) == ["a.png", "sub/b.jpg"]
    assert [path.name for path in images_in(tmp_path)] == ["a.png"]
    inside = tmp_path / place
    assert images_in(inside, recursive=True) == [inside / "c.png"]  # a folder that is named is looked into


def test_linked_folders_are_followed_once(tmp_path: Path, write_file: Write) -> None:
    root = tmp_path / "root"
    write_file(root / "real/a.png", PICTURE)
    write_file(tmp_path / "elsewhere/b.png", PICTURE)
    for name, target in (("again", root / "real"), ("loop", root), ("one", tmp_path / "elsewhere")):
        (root / name).symlink_to(target)
    (root / "real/two").symlink_to(tmp_path / "elsewhere")
    (root / "c.png").symlink_to(root / "real/a.png")
    (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert names(root) == ["c.png", "gone.png", "one/b.png", "real/a.png"]


RECORDS = [("hparams.json", "train.log"), ("demo.log",), ("autolabels.json",), ("propagation.json",)]


@pytest.mark.parametrize("records", RECORDS)
def test_results_of_any_run_are_no_pictures(tmp_path: Path, write_file: Write, records: tuple[str, ...]) -> None:
    write_file(tmp_path / "a.png", PICTURE)
    write_file(tmp_path / "older/deep/color_mask_a.png", PICTURE)
    write_file(tmp_path / "now/x.png", PICTURE)
    for name in records:
        (tmp_path / "older" / name).touch()
    assert names(tmp_path, str(tmp_path / "now")) == ["a.png"]
    listing = folder.split(str(tmp_path), results=str(tmp_path / "now"))
    assert listing.notes == (f"not taken for pictures: results of a run in {tmp_path / 'older'}",)
    assert [item.name for item in listing.items] == ["a"] and listing.items[0].exif_turned


def test_a_log_alone_makes_no_results(tmp_path: Path, write_file: Write) -> None:
    write_file(tmp_path / "mine/a.png", PICTURE)
    (tmp_path / "mine/train.log").touch()
    assert names(tmp_path) == ["mine/a.png"]


def test_folders_of_results_beside_pictures(tmp_path: Path, write_file: Write) -> None:
    for name in ("a.png", "images/a_prediction.png", "mine/b.png"):
        write_file(tmp_path / name, PICTURE)
    assert len(names(tmp_path)) == 3
    for name in RECORDS[0]:
        (tmp_path / name).touch()
    assert names(tmp_path) == ["a.png", "mine/b.png"]


@pytest.mark.parametrize(
    ("pictures", "target", "made", "refused"),
    [
        ("p", "p", False, True),
        ("p", "p/../p", True, True),
        ("p/images", "p", True, True),
        ("p/images", "p", False, False),
        ("p", "p/out", True, False),
        ("p/photos", "p", True, False),
    ],
)
def test_results_among_the_pictures_are_refused(
    tmp_path: Path, pictures: str, target: str, made: bool, refused: bool
) -> None:
    (tmp_path / "p").mkdir()
    asked = str(tmp_path / pictures), str(tmp_path / target), "--result_dir", made
    if refused:
        with pytest.raises(UserError, match="--result_dir .* would put results among the pictures"):
            results.check_apart(*asked)
    else:
        results.check_apart(*asked)


def test_a_folder_that_is_closed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(UserError, match=r"cannot look into the folder .*: Permission denied"):
        search(tmp_path)


def test_hidden_files_are_no_cities_and_no_frames(tiny_scenes: Path, tmp_path: Path) -> None:
    expected = [item.name for item in cityscapes.split(str(tiny_scenes), "val").items]
    root = tmp_path / "scenes"
    for tree in ("leftImg8bit", "gtFine"):
        (root / tree).mkdir(parents=True)
        for split in (tiny_scenes / tree).iterdir():
            (root / tree / split.name).mkdir()
            for city in split.iterdir():
                (root / tree / split.name / city.name).mkdir()
                for file in city.iterdir():
                    (root / tree / split.name / city.name / file.name).symlink_to(file)
    val = root / "leftImg8bit/val"
    city = next(path for path in val.iterdir())
    (val / ".ipynb_checkpoints").mkdir()
    (city / f"._{expected[0]}.png").touch()
    assert [item.name for item in cityscapes.split(str(root), "val").items] == expected


def test_what_an_older_run_has_left(tmp_path: Path) -> None:
    for name in ("images/a_input.png", "images/b_input.png", "per_image.csv", "mine.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    older = results.FilesBefore(tmp_path, ["images/**/*", "*.csv"])
    part = tmp_path / "images/new"
    part.write_text("x")
    part.replace(tmp_path / "images/b_input.png")
    (tmp_path / "images/c_input.png").write_text("new")
    assert (
        "still holds 2 files of an older run that this one has not replaced (images/a_input.png first)" in older.note()
    )
    assert results.FilesBefore(tmp_path / "none", ["*"]).note() == ""


def test_loops_of_links_and_pipes_are_pictures_that_cannot_be_read(tmp_path: Path, write_file: Write) -> None:
    write_file(tmp_path / "a.png", PICTURE)
    (tmp_path / "b.png").symlink_to("c.png")
    (tmp_path / "c.png").symlink_to("b.png")
    os.mkfifo(tmp_path / "d.png")
    (tmp_path / "e.png").symlink_to("/dev/zero")
    assert names(tmp_path) == ["a.png", "b.png", "c.png", "d.png", "e.png"]
    assert read_complete(str(tmp_path / "a.png"))
    for name, why in (("b", "Too many levels"), ("d", "it is no file, but a pipe"), ("e", "it is no file, but a pipe")):
        with pytest.raises(UserError, match=f"cannot read .*{name}.png: {why}"):
            read_complete(str(tmp_path / f"{name}.png"))
