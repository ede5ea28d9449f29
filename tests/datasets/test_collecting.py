"""One bad annotation is one finding with its file; everything else is looked at, and a training stops as before."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import own_layouts as drawn
import pytest
from datasets_own import split_of
from export_faults import PLANTS, change, cut
from own_layouts import STEMS
from pictures import write_image

from datasets.collecting import Collected, collected, collecting, each, take, tolerated
from scripts import check_data, new_dataset
from utils.errors import MachineError, UserError


def errors(file: Path) -> tuple[int, list[tuple[str, str, str, str]]]:
    """Check a dataset's file: the exit code, and (kind, split, file, what) of the errors."""
    out = file.parent / f"out {file.stem}"
    code = check_data.main(["--dataset", str(file), "--out", str(out)])
    assert (out / "check_data.html").is_file()
    return code, [(r["kind"], r["split"], r["file"], r["what"]) for r in rows(out) if r["severity"] == "error"]


def rows(out: Path) -> list[dict[str, str]]:
    """Read a table of faults."""
    with (out / "check_data.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def made(root: Path, layout: str) -> Path:
    """Draw a set and write its file."""
    {**drawn.LAYOUTS, **drawn.FURTHER}[layout](root)
    assert new_dataset.main([str(root)]) == 0
    return root.with_suffix(".yaml")


@pytest.mark.parametrize("layout", sorted(PLANTS))
def test_planted_faults_are_all_found_with_their_files_and_none_in_clean_sets(layout: str, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    file = made(root, layout)
    assert errors(file) == (0, [])
    assert [row["kind"] for row in rows(tmp_path / "out mine")] == ["repeated-label"]  # two are drawn alike
    planted = [(kind, str(root / name), words) for name, kind, words in PLANTS[layout](root)]
    code, found = errors(file)
    assert code == 1 and {(kind, name) for kind, _, name, _ in found} == {plant[:2] for plant in planted}
    for kind, name, words in planted:
        assert [what for one, _, file_of, what in found if (one, file_of) == (kind, name) and words in what], words
    assert errors(file) == (code, found)  # nothing of it is kept as found and good
    with pytest.raises(UserError):
        split_of(file)


@pytest.mark.parametrize("layout", ["cvat", "labelme", "yolo"])
def test_a_description_is_written_beside_a_bad_annotation_which_is_named(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "mine"
    drawn.LAYOUTS[layout](root)
    bad = {"cvat": "annotations.xml", "yolo": f"train/labels/{STEMS[1]}.txt"}.get(layout, f"{STEMS[1]}.json")
    if layout == "yolo":
        (root / bad).write_text("0 a b\n")
    else:
        cut(root / bad)
    assert new_dataset.main([str(root)]) == 0
    assert f"not read: {root / bad} line 1: " in capsys.readouterr().out
    code, found = errors(root.with_suffix(".yaml"))
    assert code == 1 and [(kind, name) for kind, _, name, _ in found] == [("unreadable-label", str(root / bad))]


def test_faults_of_a_drawn_label_name_image_and_annotation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = made(tmp_path / "mine", "coco")
    assert errors(file) == (0, [])
    assert errors(file) == (0, [])  # of drawings that are there
    said = capsys.readouterr().out
    image, other = (f"{tmp_path}/mine/train2017/{stem}.jpg" for stem in (STEMS[6], STEMS[1]))
    source = f"{tmp_path}/mine/annotations/instances_train2017.json, {STEMS[6]}.jpg"
    assert said.count(f"{image} (label of {source}) is the same as that of {other}\n") == 2
    assert "cache/labels/street" not in said


@pytest.mark.parametrize("mask", [False, True])
def test_a_check_hides_nothing_from_the_training_that_follows(mask: bool, tmp_path: Path) -> None:
    """Drawings that a check has made are not taken for all of them: only drawing finds these faults."""
    root = tmp_path / "mine"
    file = made(root, "binary" if mask else "labelme")
    bad = root / (f"masks/car/{STEMS[1]}.png" if mask else f"{STEMS[1]}.json")
    if mask:
        cut(bad)
    else:
        change(bad, lambda tree: tree.update(imageHeight=50))
    for _ in range(2):
        code, found = errors(file)
        assert code == 1 and [name for _, _, name, _ in found] == [str(bad)]
    with pytest.raises(UserError, match=bad.stem):
        split_of(file)


def test_a_set_beside_a_bad_one_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path / "gray", "gray")
    made(tmp_path / "labelme", "labelme")
    both = tmp_path / "both.yaml"
    both.write_text("sets: [gray.yaml, labelme.yaml]\nmerge: {ground: [ground, background]}\n")
    cut(tmp_path / f"labelme/{STEMS[2]}.json")
    cut(tmp_path / f"gray/masks/{STEMS[1]}.png")
    _, found = errors(both)
    bad = {name for kind, _, name, _ in found if kind != "leak"}  # both sets have the same images
    assert bad == {f"{tmp_path}/labelme/{STEMS[2]}.json", f"{tmp_path}/gray/masks/{STEMS[1]}.png"}
    shutil.rmtree(tmp_path / "labelme")
    code, found = errors(both)
    assert code == 1 and [row[:3] for row in found] == [
        ("not-listed", "train and val", f"{tmp_path}/labelme.yaml"),
        ("unreadable-label", "val", f"{tmp_path}/gray/masks/{STEMS[1]}.png"),
    ]
    shutil.rmtree(tmp_path / "gray")
    assert check_data.main(["--dataset", str(both), "--out", str(tmp_path / "none")]) == 2
    assert "images: " in capsys.readouterr().err


def test_a_bad_image_among_those_that_are_cut(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    file = made(root, "gray")
    file.write_text(file.read_text() + "cut: 64\n")
    for seed, stem in enumerate(STEMS):
        write_image(root / f"images/{stem}.png", drawn.image(seed).repeat(2, 0).repeat(2, 1))
        write_image(root / f"masks/{stem}.png", drawn.label(seed).repeat(2, 0).repeat(2, 1))
    assert errors(file) == (0, [])
    cut(root / f"images/{STEMS[1]}.png")
    (root / f"images/{STEMS[2]}.png").write_bytes(b"\x89PNG")
    cut(root / f"masks/{STEMS[3]}.png")
    code, found = errors(file)
    assert code == 1 and {(kind, name) for kind, _, name, _ in found} == {
        ("unreadable-image", str(root / f"images/{STEMS[1]}.png")),
        ("unreadable-image", str(root / f"images/{STEMS[2]}.png")),
        ("unreadable-label", str(root / f"masks/{STEMS[3]}.png")),
    }


def test_a_stray_color_of_a_label_that_is_cut_is_told_with_its_place(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    file = made(root, "rgb")
    file.write_text(file.read_text() + "cut: 64\n")
    bad, label = root / f"train_labels/{STEMS[2]}_L.png", drawn.colors(2).repeat(2, 0).repeat(2, 1)
    write_image(root / f"train/{STEMS[2]}.png", drawn.image(2).repeat(2, 0).repeat(2, 1))
    write_image(bad, label)
    assert errors(file) == (0, [])
    label[41:45, 70:73] = 1, 2, 3
    write_image(bad, label)
    code, [(kind, split, name, what)] = errors(file)
    assert (code, kind, split, name) == (1, "unmapped-value", "train", str(bad))
    color = "color (1, 2, 3) (12 pixels) is no class of mine, within 3x4 pixels from (70, 41) on"
    assert what == f"(of {root}/train/{STEMS[2]}.png) {color}"
    with pytest.raises(UserError, match=re.escape(f"{bad}: {color}")):
        split_of(file)


def test_who_gathers_gets_each_fault_once_and_others_the_first() -> None:
    def read(number: int, value: str) -> int | None:
        if not value.isdigit():
            raise UserError(f"a.txt, line {number}: {value}")
        return int(value) or None

    with pytest.raises(UserError, match="a.txt, line 2: x"):
        each(["1", "x", "0", "y"], read)
    assert collected() is None
    with collecting() as found:
        for _ in range(2):
            with tolerated("a.txt", "a.jpg"):
                assert each(["1", "x", "0", "y", "2"], read) == [1, 2]
    assert [(bad.file, bad.what) for bad in found.bad] == [("a.txt", "line 2: x"), ("a.txt", "line 4: y")]
    assert found.images == {"a.jpg"} and found.taken == 4


def test_a_full_disk_is_no_fault_of_a_file() -> None:
    with collecting() as found, pytest.raises(MachineError), tolerated("a.png"):
        take(MachineError("cannot write x: No space left on device"))
    assert found == Collected()
