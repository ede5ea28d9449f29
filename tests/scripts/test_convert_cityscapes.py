"""Polygons and published pseudo-labels to train ids: values, files, a second start, mistakes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shared import GOLDEN

from datasets import cityscapes, labelrecord
from datasets.cityscapes import SPEC
from scripts import convert_cityscapes, convert_cityscapes_autolabelling
from utils.visualize import bit_colors

ROOT = Path(__file__).parents[2]
FACTS = json.loads((GOLDEN / "paddle/autolabel.json").read_text())


def write_polygons(root: Path, city: str, frame: int, objects: list[tuple[str, list[list[int]]]]) -> Path:
    """A polygon file of 40 x 20 pixels."""
    path = root / f"gtFine/train/{city}/{city}_000000_{frame:06d}_gtFine_polygons.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"imgHeight": 20, "imgWidth": 40, "objects": [{"label": n, "polygon": p} for n, p in objects]}
    path.write_text(json.dumps(content))
    return path


def box(x: int, y: int, right: int, bottom: int) -> list[list[int]]:
    return [[x, y], [right, y], [right, bottom], [x, bottom]]


def test_polygons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Later objects lie on earlier ones; groups count, plates do not, what has no train id is 255."""
    write_polygons(tmp_path, "aachen", 1, [
        ("road", box(0, 0, 29, 19)), ("cargroup", box(0, 0, 9, 9)), ("license plate", box(0, 0, 4, 4)),
        ("static", box(10, 0, 19, 9)),
    ])  # fmt: skip
    write_polygons(tmp_path, "bonn", 2, [("sky", box(0, 0, 39, 19))])
    words = ["--cityscapes_path", str(tmp_path), "--num_workers", "1"]
    assert convert_cityscapes.main(words) == 0
    assert "2 labels written, 0 were there before" in capsys.readouterr().out
    label = np.array(Image.open(tmp_path / "gtFine/train/aachen/aachen_000000_000001_gtFine_labelTrainIds.png"))
    expected = np.full((20, 40), 255)
    expected[:, :30] = 0
    expected[:10, :10], expected[:10, 10:20] = 13, 255
    assert np.array_equal(label, expected)
    second = tmp_path / "gtFine/train/bonn/bonn_000000_000002_gtFine_labelTrainIds.png"
    second.unlink()
    (second.parent / (second.name + ".part")).write_bytes(b"half")  # what a kill leaves
    assert convert_cityscapes.main(words) == 0
    assert "1 labels written, 1 were there before" in capsys.readouterr().out
    assert (np.array(Image.open(second)) == 10).all() and len(list(tmp_path.rglob("*.part"))) == 0


SIZED = '{"imgHeight": %s, "imgWidth": 3, "objects": [%s]}'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"imgHeight": 1}', "KeyError"),
        ("unicorn", "Label 'unicorn' not known"),
        ("[" * 100_000, "RecursionError"),
        (SIZED % (2, '{"label": "road", "polygon": [[0], [1, 2]]}'), "IndexError"),
        (SIZED % (10**12, ""), "3x1000000000000 pixels"),
        (SIZED % (0, ""), "3x0 pixels"),
    ],
)
def test_bad_polygons(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, reason: str) -> None:
    path = write_polygons(tmp_path, "aachen", 1, [("unicorn", box(0, 0, 3, 3))])
    if content != "unicorn":
        path.write_text(content)
    assert convert_cityscapes.main(["--cityscapes_path", str(tmp_path), "--num_workers", "1"]) == 2
    out, err = capsys.readouterr()
    (line,) = [line for line in err.strip().splitlines() if not line.startswith("labels ")]
    assert str(path) in line and "no polygon file" in line and reason in line and "USAGE" not in out


def test_no_polygons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert_cityscapes.main(["--cityscapes_path", str(tmp_path / "no")]) == 2
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "gtFine").mkdir()
    assert convert_cityscapes.main(["--cityscapes_path", str(tmp_path)]) == 2
    assert "no *_polygons.json" in capsys.readouterr().err


def test_without_cityscapesscripts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cityscapesscripts", None)
    assert convert_cityscapes.main(["--cityscapes_path", str(tmp_path)]) == 2
    assert "pip install cityscapesscripts" in capsys.readouterr().err


def test_table_is_the_published_one() -> None:
    table = convert_cityscapes_autolabelling.table()
    assert table.tolist() == FACTS["id_to_output_value"]
    palette = bit_colors()[: convert_cityscapes_autolabelling.COLORS]
    assert palette[:20].tolist() == FACTS["palette_first_20_rgb"] and len(palette) == FACTS["palette_entries"]


@pytest.mark.in_make_test("1")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_pseudo_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: str) -> None:
    """In so many processes; then once more in this one."""
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    names = [Path(name).relative_to("convert_autolabelled") for name in FACTS["written"]]
    for name in names:
        path = tmp_path / "refinement_final/train_extra" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    words = ["--dataset_root", str(tmp_path)]
    assert convert_cityscapes_autolabelling.main([*words, "--num_workers", workers]) == 0
    assert "2 labels written, 0 were there" in capsys.readouterr().out
    assert convert_cityscapes_autolabelling.main([*words, "--num_workers", "1"]) == 0
    assert "0 labels written, 2 were there" in capsys.readouterr().out
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.glob("convert_autolabelled/*/*")) == FACTS["written"]
    with Image.open(tmp_path / FACTS["written"][0]) as picture:
        assert picture.mode == FACTS["output_mode"]
        assert np.array(picture).ravel().tolist() == FACTS["id_to_output_value"]
    record = labelrecord.check(tmp_path / "convert_autolabelled", SPEC)
    assert record is not None and record.ids == tuple(range(19))


def test_pseudo_label_that_is_no_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "refinement_final/train_extra/bonn/bonn_000000_000001_leftImg8bit.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no image")
    assert convert_cityscapes_autolabelling.main(["--dataset_root", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert str(path) in line
    assert convert_cityscapes_autolabelling.main(["--dataset_root", str(tmp_path / "no")]) == 2


def test_labels_of_train_ids_are_read_where_there_are_no_others(tmp_path: Path) -> None:
    for split, city in (("train", "aachen"), ("val", "lindau")):
        for tree, end in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelTrainIds")):
            path = tmp_path / tree / split / city / f"{city}_000000_000001_{end}.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(np.full((4, 8), 3, np.uint8)).save(path)
    (item,) = cityscapes.split(str(tmp_path), "train").items
    assert item.train_ids and item.label is not None and item.label.endswith("_gtFine_labelTrainIds.png")
