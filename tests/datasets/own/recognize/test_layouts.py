"""Each layout that people and tools have becomes a file by which every image and every class is read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import own_layouts as drawn
import pytest
import yaml
from pictures import write_image
from PIL import Image

from datasets.base import SegmentationDataset
from datasets.own import entry
from datasets.own.recognize import Draft, Writer, recognize
from datasets.own.recognize.tree import Tree
from transforms import Pipeline
from utils.errors import UserError

STEMS = drawn.STEMS


class Result(NamedTuple):
    """What was found out, the file that was written, and what is read by it: {split: {image: values of its label}}."""

    draft: Draft
    tree: dict
    text: str
    classes: tuple[str, ...]
    read: dict[str, dict[str, set[int]]]


def look(folder: Path) -> Draft:
    return recognize(folder, lambda paths, what: paths)


def described(folder: Path, out: Path | None = None) -> Result:
    """Write the file of a folder, and read all that it names."""
    file = out or folder.with_suffix(".yaml")
    draft = look(folder)
    writer = Writer(draft, folder, file)
    text = writer.text()
    for path, content in {**writer.lists(), file: text}.items():
        path.write_text(content)
    one = entry.of(str(file))
    read: dict[str, dict[str, set[int]]] = {}
    for mode in one.modes:
        items = one.items(one.home, mode, None)
        dataset = SegmentationDataset(getattr(items, "items", items), one.spec, Pipeline())
        labels = [dataset[i].label for i in range(len(dataset))]
        read[mode] = {
            str(Path(item.image).relative_to(folder)): set() if label is None else {*np.unique(label).tolist()}
            for item, label in zip(dataset.items, labels, strict=True)
        }
    return Result(draft, yaml.safe_load(text), text, one.spec.classes, read)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a blank in its name."""
    place = tmp_path / "my streets"
    place.mkdir()
    return place


@pytest.mark.parametrize(
    ("layout", "kind", "classes", "division"),
    [
        ("gray", "gray", drawn.NAMES, "percent"),
        ("palette", "palette", ("building", "road", "car"), "folders"),
        ("rgb", "rgb", drawn.NAMES, "folders"),
        ("binary", "binary", ("background", "car", "road"), "percent"),
        ("coco", "coco", ("background", "road", "car"), "folders"),
        ("labelme", "labelme", ("background", "road", "car"), "percent"),
        ("cvat", "cvat", ("background", "road", "car"), "percent"),
        ("yolo", "yolo", ("background", "road", "car"), "folders"),
    ],
)
def test_a_layout_is_read_whole(folder: Path, layout: str, kind: str, classes: tuple[str, ...], division: str) -> None:
    drawn.LAYOUTS[layout](folder)
    found = described(folder)
    assert found.tree["labels"]["kind"] == kind and found.classes == classes
    assert ("percent" in found.tree["splits"]) == (division == "percent")
    assert sum(map(len, found.read.values())) == 12 and {*found.read} == {"train", "val"}
    assert all(values == {0, 1, 2} for labels in found.read.values() for values in labels.values())


def test_what_is_read_is_what_was_drawn(folder: Path) -> None:
    """Colors and places, of one layout of each kind of drawing."""
    for layout in ("coco", "rgb", "binary"):
        place = folder / layout
        place.mkdir()
        drawn.LAYOUTS[layout](place)
        described(place)
        one = entry.of(str(place.with_suffix(".yaml")))
        items = one.items(one.home, "val", None)
        dataset = SegmentationDataset(items.items, one.spec, Pipeline())
        label = dataset[0].label
        assert label is not None
        car = label == one.spec.classes.index("car")
        seed = STEMS.index(Path(dataset.items[0].image).stem)
        assert (car == (drawn.label(seed) == 2)).all(), layout


def test_images_and_masks_in_one_folder(folder: Path) -> None:
    for seed, stem in enumerate(STEMS):
        write_image(folder / "data" / f"{stem}.png", drawn.image(seed))
        write_image(folder / "data" / f"{stem}_mask.png", drawn.label(seed))
    found = described(folder)
    assert "{stem}_mask" in found.tree["labels"]["path"]
    assert sorted(name for labels in found.read.values() for name in labels) == sorted(f"data/{s}.png" for s in STEMS)


def test_capital_suffixes_and_two_kinds_of_endings(folder: Path) -> None:
    for seed, stem in enumerate(STEMS):
        write_image(folder / f"{seed}_sat.JPG", drawn.image(seed))
        write_image(folder / f"{seed}_mask.PNG", drawn.label(seed))
        del stem
    found = described(folder)
    assert sum(map(len, found.read.values())) == 12


@pytest.mark.parametrize(("image", "label"), [("image_{}", "mask_{}"), ("{}", "{}_P"), ("a{}_RGB_x", "b{}-seg-2")])
def test_names_with_heads_and_tails_of_their_own(folder: Path, image: str, label: str) -> None:
    for seed in range(12):
        write_image(folder / "images" / f"{image.format(10 + seed)}.jpg", drawn.image(seed))
        write_image(folder / "images/labels" / f"{label.format(10 + seed)}.png", drawn.label(seed))
    found = described(folder)
    assert sum(map(len, found.read.values())) == 12
    one = entry.of(str(folder.with_suffix(".yaml")))
    items = one.items(one.home, "train", None).items
    numbers = [[int("".join(filter(str.isdigit, Path(p).stem))[:2]) for p in (i.image, i.label)] for i in items]
    assert all(first == second for first, second in numbers)


def test_names_that_would_be_patterns_or_globs(folder: Path) -> None:
    for seed in range(12):
        write_image(folder / f"images [new]/ä {seed}.jpg", drawn.image(seed))
        write_image(folder / f"masks {{7}}/ä {seed}.png", drawn.label(seed))
    found = described(folder)
    assert sum(map(len, found.read.values())) == 12 and found.tree["images"] == "my streets_images.txt"


def test_links_are_followed_once_and_never_in_circles(folder: Path, tmp_path: Path) -> None:
    drawn.gray(tmp_path / "elsewhere")
    (folder / "data").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(tmp_path / "elsewhere/images")
    (tmp_path / "elsewhere/back").symlink_to(folder)
    tree = Tree.of(folder)
    assert len(tree.pictures) == 12 + 24 and not [path for path in tree.pictures if "back" in path]


def test_ids_come_before_pictures_of_them(folder: Path) -> None:
    drawn.gray(folder)
    for seed, stem in enumerate(STEMS):
        write_image(folder / "annotations_color" / f"{stem}.png", drawn.colors(seed))
        write_image(folder / "overlays" / f"{stem}.png", drawn.image(seed))
    found = described(folder)
    assert found.tree["labels"] == {"kind": "gray", "path": "my streets/masks"}
    assert any("annotations_color" in note and "overlays" in note for note in found.draft.notes)


def test_folders_of_sequences_below_images_and_labels(folder: Path) -> None:
    """Frames of several drives are called alike: the folders tell them apart, and keep them together."""
    for drive in range(6):
        for frame in range(3):
            write_image(folder / f"images/drive {drive}/{frame:03d}.jpg", drawn.image(3 * drive + frame))
            write_image(folder / f"labels/drive {drive}/{frame:03d}.png", drawn.label(3 * drive + frame))
    found = described(folder)
    assert sum(map(len, found.read.values())) == 18
    drives = [{name.split("/")[1] for name in found.read[mode]} for mode in ("train", "val")]
    assert not drives[0] & drives[1]


@pytest.mark.parametrize("place", ["{}/drive {}", "drive {1}/{0}", "{}"])
def test_folders_whose_names_say_nothing_are_told_by_pixels(folder: Path, place: str) -> None:
    for drive in range(5):
        for frame in range(3):
            seed = 3 * drive + frame
            for name, picture in (("Eins", drawn.image(seed)), ("Zwei", drawn.label(seed))):
                write_image(folder / place.format(name, drive) / f"{drive}-{frame}.png", picture)
    found = described(folder)
    assert sum(map(len, found.read.values())) == 15
    assert all("Eins" in image for names in found.read.values() for image in names)


def test_sequences_above_images_and_labels(folder: Path) -> None:
    for drive in range(5):
        for frame in range(2):
            write_image(folder / f"drive{drive}/rgb/{frame:03d}.jpg", drawn.image(2 * drive + frame))
            write_image(folder / f"drive{drive}/mask/{frame:03d}.png", drawn.label(2 * drive + frame))
    found = described(folder)
    assert sum(map(len, found.read.values())) == 10


def test_splits_above_or_below_and_a_test_without_labels(folder: Path) -> None:
    for split, count in (("Train", 6), ("Validation", 4), ("Testing", 2)):
        for seed in range(count):
            write_image(folder / f"img/{split}/{split}{seed}.jpg", drawn.image(seed))
            if split != "Testing":
                write_image(folder / f"ann/{split}/{split}{seed}.png", drawn.label(seed))
    # "ann" is no word that names labels: pixels say it.
    found = described(folder)
    assert {mode: len(names) for mode, names in found.read.items()} == {"train": 6, "val": 4, "test": 2}
    assert found.draft.pictures == "img/Testing"


def test_folders_called_x_and_y(folder: Path) -> None:
    for split, seeds in (("train", range(6)), ("val", range(6, 10))):
        for seed in seeds:
            write_image(folder / f"x_{split}/{seed}.png", drawn.image(seed))
            write_image(folder / f"y_{split}/{seed}.png", drawn.label(seed))
    found = described(folder)
    assert {mode: len(names) for mode, names in found.read.items()} == {"train": 6, "val": 4} and not found.draft.notes


def test_without_val_labeled_test_images_validate(folder: Path) -> None:
    for split, count in (("train", 6), ("test", 4)):
        for seed in range(count):
            write_image(folder / split / "images" / f"{seed}.jpg", drawn.image(seed))
            write_image(folder / split / "masks" / f"{seed}.png", drawn.label(seed))
    found = described(folder)
    assert {mode: len(names) for mode, names in found.read.items()} == {"train": 6, "val": 4}
    assert "No folder is called val" in found.text


def test_lists_that_lie_there_divide(folder: Path) -> None:
    drawn.gray(folder)
    for split, stems in (("train", STEMS[:9]), ("val", STEMS[9:])):
        (folder / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
    found = described(folder)
    assert {mode: len(names) for mode, names in found.read.items()} == {"train": 9, "val": 3}
    assert "lists that lie there" in found.text.lower()


def test_a_list_of_training_and_validation_beside_one_of_the_test(folder: Path) -> None:
    """Lines with more than a name are of another tool: lists are written anew."""
    drawn.gray(folder)
    stems = [f"p{n}" for n in range(12)]
    for old, new in zip(STEMS, stems, strict=True):
        for kind in ("images", "masks"):
            (folder / kind / f"{old}.png").rename(folder / kind / f"{new}.png")
    (folder / "annotations").mkdir()
    (folder / "annotations/trainval.txt").write_text("# name class\n" + "".join(f"{s} 1 1 1\n" for s in stems[:8]))
    (folder / "annotations/test.txt").write_text("".join(f"{s} 1 1 1\n" for s in stems[8:]))
    found = described(folder)
    assert {mode: len(names) for mode, names in found.read.items()} == {"train": 8, "val": 4}
    assert found.tree["splits"] == {"train": "my streets_train.txt", "val": "my streets_val.txt"}


def test_a_split_without_labels_is_for_masks(folder: Path) -> None:
    for seed in range(8):
        write_image(folder / f"train/{seed}_sat.jpg", drawn.image(seed))
        write_image(folder / f"train/{seed}_mask.png", drawn.label(seed))
        write_image(folder / f"valid/{seed + 20}_sat.jpg", drawn.image(seed))
    found = described(folder)
    assert found.draft.pictures == "valid" and "percent" in found.tree["splits"]
    assert "8 images of splits without any label, for masks alone" in found.draft.notes[0]


def test_images_without_label_are_left_out_and_said(folder: Path) -> None:
    drawn.gray(folder)
    write_image(folder / "images/forgotten.png", drawn.image(50))
    write_image(folder / "masks/nobody.png", drawn.label(51))
    found = described(folder)
    assert found.tree["missing"] == "skip" and sum(map(len, found.read.values())) == 12
    assert "1 image without label, left out: images/forgotten.png" in found.draft.notes
    assert "1 label without image, not used: masks/nobody.png" in found.draft.notes


def test_masks_by_the_end_of_the_name_and_by_image(folder: Path) -> None:
    ways: tuple[Callable[[str, str], str], ...] = (lambda s, c: f"{s}_{c}", lambda s, c: f"{s}/{c}")
    for place, way in zip("ab", ways, strict=True):
        drawn.write_images(folder / place / "images")
        for seed, stem in enumerate(STEMS):
            for number, name in enumerate(("street surface", "car"), 1):
                mask = np.where(drawn.label(seed) == number, 1, 0).astype(np.uint8)
                write_image(folder / place / "masks" / f"{way(stem, name)}.png", mask)
        found = described(folder / place)
        assert found.classes == ("background", "car", "street surface") and sum(map(len, found.read.values())) == 12
        assert all(values == {0, 1, 2} for labels in found.read.values() for values in labels.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ids, place: write_image(place.with_suffix(".jpg"), 100 * ids), r"the labels are JPEG \(.*jpg first\)"),
        (lambda ids, place: write_image(place, np.zeros_like(ids)), "all labels hold one value, 0"),
        (lambda ids, place: place.with_suffix(".png").write_bytes(b"no picture"), "holds no classes: cannot read"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(folder: Path, change: Callable, message: str) -> None:
    drawn.write_images(folder / "images")
    (folder / "masks").mkdir()
    for seed, stem in enumerate(STEMS):
        change(drawn.label(seed), folder / "masks" / f"{stem}.png")
    with pytest.raises(UserError, match=message):
        look(folder)


def test_nothing_that_can_be_trained_on_is_one_clear_line(folder: Path) -> None:
    with pytest.raises(UserError, match=r"holds no picture .*found there: no file; no folder"):
        look(folder)
    drawn.write_images(folder / "holiday")
    with pytest.raises(UserError, match=r"images without labels; found there: 12 .png; folders holiday; looked for"):
        look(folder)
    (folder / "masks.gif").write_bytes(b"GIF89a")
    with pytest.raises(UserError, match="images without labels; .gif files are not read: save labels as PNG"):
        look(folder)
    for seed in range(12):
        write_image(folder / "masks" / f"other {seed * seed}x.png", drawn.label(seed))
    with pytest.raises(UserError, match=r"other pictures \(masks\), but none is called as an image is"):
        look(folder)
    with pytest.raises(UserError, match="nowhere is not there"):
        look(folder / "nowhere")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_classes_in_transparency_are_refused(folder: Path, mode: str) -> None:
    drawn.write_images(folder / "images")
    (folder / "masks").mkdir()
    for seed, stem in enumerate(STEMS):
        values = np.zeros((drawn.HEIGHT, drawn.WIDTH, len(mode)), np.uint8)
        values[..., -1] = drawn.label(seed)
        Image.fromarray(values, mode).save(folder / "masks" / f"{stem}.png")
    with pytest.raises(UserError, match=r"masks/.*png: its transparency \(alpha\) differs, its colors do not"):
        look(folder)


def test_images_that_ask_to_be_turned_are_said(folder: Path) -> None:
    drawn.gray(folder)
    exif = Image.Exif()
    exif[0x0112] = 8
    for stem in STEMS:
        Image.open(folder / f"images/{stem}.png").save(folder / f"images/{stem}.png", exif=exif)
    (note,) = look(folder).notes
    assert note.startswith("12 of 12 images looked at ask viewers to turn them (EXIF, images/street a_000.png first)")


def test_one_labeled_image_is_too_few(folder: Path) -> None:
    write_image(folder / "images/a.jpg", drawn.image(0))
    write_image(folder / "masks/a.png", drawn.label(0))
    with pytest.raises(UserError, match="one image has a label; a training needs two, one of them to validate"):
        look(folder)


@pytest.mark.parametrize(("image", "label"), [("image.jpg", "mask.png"), ("img.png", "label.png")])
def test_a_folder_for_each_image(folder: Path, image: str, label: str) -> None:
    for seed in range(6):
        write_image(folder / f"{seed}_json/{image}", drawn.image(seed))
        write_image(folder / f"{seed}_json/{label}", drawn.label(seed))
    found = described(folder)
    assert sum(map(len, found.read.values())) == 6 and found.tree["images"] == "my streets_images.txt"
    one = entry.of(str(folder.with_suffix(".yaml")))
    assert all(Path(i.image).parent == Path(str(i.label)).parent for i in one.items(one.home, "train", None).items)


def test_further_labels_of_images_are_said(folder: Path) -> None:
    drawn.gray(folder)
    shutil.copytree(folder / "masks", folder / "labels/anna")
    shutil.rmtree(folder / "masks")
    shutil.copytree(folder / "labels/anna", folder / "labels/bob")
    found = described(folder)
    assert found.tree["labels"]["path"] == "my streets/labels/anna"
    first = f"{STEMS[0]}.png"
    said = f"of which the first is used: labels/anna/{first}, not labels/bob/{first}"
    assert f"12 images have several labels, {said}" in found.draft.notes


def test_pictures_of_another_camera_are_said(folder: Path) -> None:
    drawn.gray(folder)
    drawn.write_images(folder / "nir")
    assert look(folder).notes == ("not used: pictures in nir",)


def test_values_of_few_pixels_are_doubted(folder: Path) -> None:
    drawn.gray(folder)
    (folder / "classes.txt").unlink()
    for seed, stem in enumerate(STEMS):
        label = 10 * drawn.label(seed)
        label[0, :9] = range(50, 59)
        write_image(folder / f"masks/{stem}.png", label)
    assert "9 of 12 values have under 0.2 % of the pixels each: where labels were resized" in look(folder).notes[0]
