"""The command that writes a dataset's file: what it prints, what it writes, what it leaves as it is."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import own_layouts as drawn
import pytest
import yaml
from pictures import write_image

import config
import demo
import demo_folder
from datasets import splits
from scripts import check_data, new_dataset
from utils.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of ids, in a folder with a blank in its name."""
    place = tmp_path / "my streets"
    place.mkdir()
    drawn.gray(place)
    return place


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = new_dataset.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def following(out: str) -> list[list[str]]:
    """The words of the commands that are printed, as a shell takes them."""
    return [shlex.split(line)[1:] for line in out.splitlines() if line.startswith("  python ")]


def test_the_file_stands_beside_the_folder_and_three_commands_follow(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(new_dataset.ROOT)
    code, out, err = run(capsys, folder)
    file = folder.with_suffix(".yaml")
    assert code == 0 and not err and f"wrote {file}: 3 classes (ground, road, car), train 8 images, val 4 images" in out
    check, train, masks = following(out)
    assert check == ["scripts/check_data.py", "--dataset", str(file)]
    assert train[0] == "train.py" and {"--dataset", str(file)} <= {*train}
    assert masks[:3] == ["demo_folder.py", "--demo-folder", str(folder / "images")]
    demo_folder.parser().parse_args(masks[1:])
    assert yaml.safe_load(file.read_text())["images"] == "my streets/images"
    assert splits.find(str(file)).spec.classes == drawn.NAMES


def test_its_training_command_is_accepted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = following(run(capsys, folder)[1])[1]
    cfg = config.load(train[1:])
    assert cfg.DATASET.NAME == str(folder.with_suffix(".yaml"))
    assert cfg.RESULT_DIR == "runs/my streets"


def test_its_first_command_runs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = following(run(capsys, folder)[1])[0]
    monkeypatch.chdir(tmp_path)
    assert check_data.main(check[1:]) in (0, 1) and "error" not in capsys.readouterr().err
    assert (tmp_path / "logs/check_data/my streets/check_data.html").is_file()


def test_a_slip_in_one_mask_keeps_the_names_and_is_found_by_the_first_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = drawn.label(3)
    ids[0, :12] = 77
    write_image(folder / f"masks/{drawn.STEMS[3]}.png", ids)
    _, out, _ = run(capsys, folder)
    assert "3 classes (ground, road, car)" in out and "77 (in 1 of 12 labels, 0.033 % of the pixels) has no name" in out
    monkeypatch.chdir(tmp_path)
    assert check_data.main(following(out)[0][1:]) == 1
    (row,) = (line for line in capsys.readouterr().out.splitlines() if "77" in line)
    assert f"{drawn.STEMS[3]}.png has 77 (12 pixels)" in row


def test_nothing_is_overwritten_without_being_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder.with_suffix(".yaml")
    file.write_text("mine")
    code, _, err = run(capsys, folder)
    assert code == 2 and file.read_text() == "mine"
    assert f"{file} is there already: give another --out, or --overwrite" in err
    assert run(capsys, folder, "--overwrite")[0] == 0 and "my streets/masks" in file.read_text()


def test_a_file_elsewhere_names_the_whole_path(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sets" / "street set.yaml"
    assert run(capsys, folder, "--out", out)[0] == 0
    tree = yaml.safe_load(out.read_text())
    assert tree["images"] == str(folder / "images") and tree["name"] == "street_set"
    code, _, err = run(capsys, folder, "--out", tmp_path / "set.txt")
    assert code == 2 and "files that end in .yaml" in err


def test_lists_stand_beside_the_file_and_stay_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lists of another machine are written anew, with the labels."""
    folder = tmp_path / "set"
    drawn.write_images(folder / "images")
    for seed, stem in enumerate(drawn.STEMS):
        write_image(folder / "masks" / f"{stem}.png", drawn.label(seed))
    for split, stems in (("train", drawn.STEMS[:9]), ("val", drawn.STEMS[9:])):
        (folder / f"{split}.txt").write_text("".join(f"/home/me/set/{stem}.png\t/x/{stem}.png\n" for stem in stems))
    code, out, _ = run(capsys, folder)
    assert code == 0 and "train 9 images, val 3 images" in out
    first = (tmp_path / "set_train.txt").read_text().splitlines()[0]
    assert first == f"set/images/{drawn.STEMS[0]}.png\tset/masks/{drawn.STEMS[0]}.png"
    (tmp_path / "set.yaml").unlink()
    code, _, err = run(capsys, folder)
    assert code == 2 and "set_train.txt is there already" in err and not (tmp_path / "set.yaml").exists()


def test_a_published_set_of_ours_needs_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "city data"
    drawn.cityscapes(folder)
    code, out, _ = run(capsys, folder, "--out", tmp_path / "c.yaml")
    assert code == 0 and "--dataset cityscapes reads it" in out and "c.yaml is not written" in out
    assert [path.name for path in tmp_path.iterdir()] == ["city data"]
    check, train, masks = following(out)
    assert check[1:] == ["--dataset", "cityscapes", "--data_root", f"{folder}/"] or check[4] == str(folder)
    assert "cityscapes" in train and masks[2] == str(folder / "leftImg8bit/val/lindau")


def test_pictures_among_masks_are_shown_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mixed"
    for seed in range(6):
        write_image(folder / f"{seed}.png", drawn.image(seed))
        write_image(folder / f"{seed}_mask.png", np.where(drawn.label(seed) > 0, 255, 0).astype(np.uint8))
    code, out, _ = run(capsys, folder)
    masks = following(out)[2]
    assert code == 0 and masks[:3] == ["demo.py", "--demo-image", str(folder / "0.png")] or masks[0].endswith("demo.py")
    demo.parser().parse_args(masks[1:])
    assert splits.find(str(tmp_path / "mixed.yaml")).spec.classes == ("class_0", "class_255")


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, tmp_path / "nowhere")
    assert code == 2 and err == f"error: {tmp_path}/nowhere is not there: give the folder of a data set\n"
    drawn.write_images(tmp_path / "holiday")
    code, _, err = run(capsys, tmp_path / "holiday")
    assert code == 2 and "images without labels" in err and len(err.splitlines()) == 1
    assert not (tmp_path / "holiday.yaml").exists()


def test_what_does_not_read_back_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two images of one name, a number beyond all bounds, names that no list can hold."""
    folder = tmp_path / "stems"
    drawn.gray(folder)
    write_image(folder / f"images/{drawn.STEMS[0]}.jpg", drawn.image(0))
    code, _, err = run(capsys, folder)
    assert code == 2 and "stems.yaml is not written, since what was found out does not fit the folder" in err
    assert "would both have the label" in err and len(err.splitlines()) == 1
    folder = tmp_path / "ids"
    drawn.yolo(folder)
    (folder / "data.yaml").unlink()
    for path in folder.glob("*/labels/*.txt"):
        path.write_text(path.read_text().replace("1 ", "99999999999 ", 1))
    code, _, err = run(capsys, folder)
    assert code == 2 and f"{folder}.yaml: classes" in err and "is out of range, 0 to 65535" in err
    folder = tmp_path / "sizes"
    folder.mkdir()
    drawn.labelme(folder)
    for path in folder.glob("*.json"):
        path.write_text(path.read_text().replace('"imageWidth": 64', '"imageWidth": 640'))
    code, _, err = run(capsys, folder)
    assert code == 2 and "640x48" in err and "64x48" in err
    folder = tmp_path / "tabs"
    for seed in range(4):
        write_image(folder / f"images [a]/{seed}\t.jpg", drawn.image(seed))
        write_image(folder / f"masks {{x}}/{seed}\t.png", drawn.label(seed))
    code, _, err = run(capsys, folder)
    assert code == 2 and "its name has a tab or an end of line, which no list can hold: rename it" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ids", "sizes", "stems", "tabs"]


def test_lists_of_a_file_that_does_not_fit_are_taken_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    for seed in range(4):
        write_image(folder / f"images [a]/{seed}.jpg", drawn.image(seed))
        write_image(folder / f"masks {{x}}/{seed}.png", drawn.label(seed))
    assert run(capsys, folder)[0] == 0
    before = {path: path.read_bytes() for path in tmp_path.glob("set*.*")}
    assert len(before) == 2

    def failing(text: str, target: Path) -> str:
        raise UserError("it does not fit")

    monkeypatch.setattr(new_dataset, "_read_back", failing)
    (folder / "images [a]/9.jpg").write_bytes((folder / "images [a]/0.jpg").read_bytes())
    assert run(capsys, folder, "--overwrite")[0] == 2
    assert before == {path: path.read_bytes() for path in tmp_path.glob("set*.*")}
    assert run(capsys, folder, "--out", tmp_path / "other.yaml")[0] == 2 and not [*tmp_path.glob("other*")]
