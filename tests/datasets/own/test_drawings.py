"""Labels of objects are drawn once, named by their content, whole or not at all."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from datasets_own import CLASSES, dataset_of, label_of, split_of, written
from pictures import write_image

from datasets.own import cache, drawings
from datasets.own.contract import IGNORED, LabelKind, LabelRules, OwnClass, Picture, Source
from datasets.own.kinds import KINDS
from datasets.reading import read_label
from utils.errors import UserError

BINARY = f"images: images\nlabels: {{kind: binary, path: binary}}\n{CLASSES}splits: {{percent: {{train: 100}}}}\n"


def drawn(own: Path) -> dict[str, float]:
    """{name of a drawing: when it was written}."""
    return {path.name: path.stat().st_mtime_ns for path in (own / "set.cache" / "labels").glob("*.png")}


def test_a_second_start_draws_nothing(own: Path) -> None:
    split = split_of(written(own, BINARY))
    assert any("4 labels of kind binary are drawn in" in note for note in split.notes)
    assert "4 of the 4 labels of kind binary were drawn now" in split.notes
    before = drawn(own)
    again = split_of(written(own, BINARY))
    assert drawn(own) == before and len(before) == 4 and not any("now" in note for note in again.notes)
    assert any("masks in" in note and "are read as {class}/{stem}" in note for note in again.notes)


def test_a_changed_mask_is_drawn_again_and_no_other(own: Path) -> None:
    file = written(own, BINARY)
    split_of(file)
    before = drawn(own)
    write_image(own / "binary" / "car" / "drive_0_0.png", np.zeros((24, 32), np.uint8))
    data = dataset_of(file)
    after = drawn(own)
    assert len(after.keys() - before.keys()) == 1 and all(after[name] == before[name] for name in before)
    changed = data.label([item.name for item in data.items].index("drive_0_0"))
    assert (changed[label_of(0) == 2] == IGNORED).all() and (changed[label_of(0) == 1] == 0).all()


def test_merging_draws_nothing_and_other_rules_do(own: Path) -> None:
    text = BINARY.replace("classes: [", "classes: [{name: van, id: 9},")
    split_of(written(own, text))
    before = drawn(own)
    merged = dataset_of(written(own, text + "merge: {vehicle: [car, van]}\n"))
    assert drawn(own) == before and merged.spec.classes == ("vehicle", "road")
    number = int(merged.items[0].name[-1])
    assert np.array_equal(merged.label(0), np.where(label_of(number) == 2, 0, 1))
    dataset_of(written(own, text + "background: car\n"))
    assert len(drawn(own)) == len(before) + 4


def test_what_was_cut_off_is_made_again(own: Path) -> None:
    file = written(own, BINARY)
    items = split_of(file).items
    Path(items[0].label).unlink()
    (own / "set.cache" / "labels" / "x.png.1234.part").write_bytes(b"half")
    (record,) = (own / "set.cache").glob("drawn-*.json")
    record.write_text(record.read_text()[:20])
    (own / "set.cache" / "checksums.json").write_bytes(b"\xff")
    data = dataset_of(file)
    assert np.array_equal(data.label(0), label_of(int(data.items[0].name[-1])) - 1)


def test_an_object_that_hides_another(own: Path) -> None:
    write_image(own / "binary" / "road" / "drive_0_0.png", np.full((24, 32), 255, np.uint8))
    for overlap, car in (("last", 2), ("classes", 2), ("smallest", 2)):
        data = dataset_of(written(own, BINARY + f"overlap: {overlap}\n"))
        label = data.label([item.name for item in data.items].index("drive_0_0"))
        assert np.array_equal(label, np.where(label_of(0) == car, 1, 0))


@pytest.mark.parametrize(
    ("overlap", "order"), [("last", [0, 1, 2, 3]), ("smallest", [1, 0, 3, 2]), ("classes", [3, 1, 2, 0])]
)
def test_the_order_of_objects(overlap: str, order: list[int]) -> None:
    classes = tuple(OwnClass(name, (), (0, 0, 0)) for name in "ab")
    rules = LabelRules("x", (), classes, overlap=overlap)
    assert rules.order([5, 9, 2, 5], [1, 0, 0, IGNORED]) == order


def test_masks_of_other_layouts_and_values(own: Path) -> None:
    for i in range(4):
        for value, name in ((1, "road"), (2, "car")):
            gray = np.where(label_of(i) == value, 190, 40 * (i % 2)).astype(np.uint8)
            gray[0, 0] = 255 * (value == 1)  # three values: antialiased
            write_image(own / "flat" / f"drive_{i // 2}_{i}_{name}.png", gray)
            write_image(own / "deep" / f"drive_{i // 2}_{i}" / f"{name}.png", np.uint8(label_of(i) == value))
    for layout in ("flat", "deep"):
        data = dataset_of(written(own, BINARY.replace("path: binary", f"path: {layout}"), f"{layout}.yaml"))
        assert all(np.array_equal(data.label(i), label_of(int(x.name[-1])) - 1) for i, x in enumerate(data.items))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "cra/drive_0_0.png",
            "cra/drive_0_0.png: 'cra' is no class; did you mean 'car'.; add it to classes, to aliases",
        ),
        ("car/drive_0_0.jpg", "are both the mask of 'car' of .*drive_0_0.png"),
    ],
)
def test_masks_that_are_none_of_the_classes(own: Path, name: str, line: str) -> None:
    write_image(own / "binary" / name, np.zeros((24, 32), np.uint8))
    with pytest.raises(UserError, match=line):
        split_of(written(own, BINARY))
    if "cra" in name:
        assert len(split_of(written(own, BINARY + "ignore: [cra]\n")).items) == 4


def test_a_mask_of_another_size(own: Path) -> None:
    write_image(own / "binary" / "car" / "drive_0_0.png", np.zeros((24, 31), np.uint8))
    with pytest.raises(UserError, match="car/drive_0_0.png is 31x24 pixels, its image .*images/drive_0_0.png 32x24"):
        split_of(written(own, BINARY))


def test_images_without_objects(own: Path) -> None:
    for name in ("road", "car"):
        (own / "binary" / name / "drive_0_0.png").unlink()
    with pytest.raises(UserError, match="image without label: 1 of 4 images of train has none"):
        split_of(written(own, BINARY))
    file = written(own, BINARY + "missing: background\nbackground: road\n")
    assert "1 image without label drawn as background (missing: background)" in split_of(file).notes
    data = dataset_of(file)
    assert (data.label([item.name for item in data.items].index("drive_0_0")) == 0).all()


def test_a_folder_that_cannot_be_written(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    (own / "set.cache").write_text("a file stands there")
    split = split_of(written(own, BINARY))
    assert f"set.cache cannot be written: drawn labels are kept in {tmp_path}/home/streetscale/set-" in str(split.notes)
    (tmp_path / "home").rename(tmp_path / "away")
    (tmp_path / "home").write_text("no folder")
    with pytest.raises(UserError, match="neither .*set.cache nor .*/home/streetscale/set-.* can be written"):
        split_of(written(own, BINARY))


def test_many_classes_are_drawn_in_sixteen_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several starts at once draw the same files, and each is whole."""
    write_image(tmp_path / "a.png", np.zeros((8, 8), np.uint8))
    classes = tuple(OwnClass(f"c{i}", (), (0, 0, 0)) for i in range(300))
    calls: list[int] = []

    def draw(source: Source, size: tuple[int, int], rules: LabelRules) -> np.ndarray:
        calls.append(1)
        label = rules.blank(size)
        label[0] = rules.by_name(source.data, source.where)
        return label

    row = LabelKind(
        "name", (".json",), lambda pictures, rules, where: {p.path: Source(b"", "c299", "x") for p in pictures}, draw
    )
    monkeypatch.setitem(KINDS, "many", row)
    (tmp_path / "labels.json").write_text(json.dumps({}))
    rules = LabelRules("many", (str(tmp_path / "labels.json"),), classes, background=(1 << 16) - 1)
    pictures = [Picture(str(tmp_path / "a.png"), "a.png")]
    found: list[str] = []

    def start() -> None:
        found.append(drawings.drawn(pictures, rules, "error", tmp_path / "x.cache", "x").labels[pictures[0].path])

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and calls
    label = read_label(found[0])
    assert label.dtype == np.uint16 and label[0].tolist() == [299] * 8 and (label[1:] == 65535).all()


def test_checksums_are_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    (first,) = cache.checksums([str(path)], tmp_path).values()
    stamp = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    (second,) = cache.checksums([str(path)], tmp_path).values()
    path.write_bytes(b"one")
    assert [first] == [*cache.checksums([str(path)], tmp_path).values()] != [second]
    with pytest.raises(UserError, match="cannot read .*/b: No such file"):
        cache.checksums([str(tmp_path / "b")], tmp_path)
