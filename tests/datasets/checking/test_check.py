"""What only many items together show, what their names tell, and the verdict."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from data_faults import COLORS, draw, image_of, label_of, scene
from pictures import write_image
from PIL import Image

from datasets.base import Item
from datasets.checking import check as checking
from datasets.checking import names, quick
from datasets.checking.check import Checked, check
from datasets.checking.faults import KEPT, KINDS, Fault, Faults
from datasets.checking.look import Reader, Subject
from utils.contracts import DatasetSpec
from utils.errors import UserError

SPEC = DatasetSpec("drawn", ("ground", "car", "water", "lamp"), COLORS)


def items(root: Path, count: int = 10) -> dict[str, list[Item]]:
    """Ten drawn images, eight for training."""
    draw(root, count)
    found: dict[str, list[Item]] = {"train": [], "val": []}
    for i in range(count):
        image = image_of(root, i, count)
        found[image.parent.parent.name].append(Item(str(image), str(label_of(root, i, count)), image.stem))
    return found


def checked(splits: dict[str, list[Item]], spec: DatasetSpec = SPEC) -> Checked:
    return check(Reader(spec, 0, 64), splits, Faults(), 1, shown=False)


def said(found: Checked) -> list[tuple[str, str, str]]:
    return [(f.kind, f.split, f.what) for kept in found.faults.kept.values() for f in kept]


def change(path: Path, to: np.ndarray) -> None:
    write_image(path, to)


def test_classes_that_a_split_lacks_and_shares_that_are_ignored(tmp_path: Path) -> None:
    splits = items(tmp_path)
    for i in range(10):
        label = scene(i)[1]
        label[label == 3] = 255
        label[: 60 if i >= 8 else 0] = 255
        change(label_of(tmp_path, i, 10), label)
    found = said(checked(splits))
    assert ("class-absent", "train", "no label of 8 has lamp (id 3)") in found
    assert ("class-absent", "val", "no label of 2 has lamp (id 3)") in found
    assert [kind for kind, split, _ in found if split == "val" and "ignored" in kind] == ["mostly-ignored"]


def test_a_split_that_is_ignored_whole_teaches_nothing(tmp_path: Path) -> None:
    splits = items(tmp_path)
    for i in range(8):
        change(label_of(tmp_path, i, 10), np.full((72, 96), 255, np.uint8))
    found = checked(splits)
    assert ("nothing-to-learn", "train", "all pixels of 8 labels are ignored") in said(found)
    assert found.faults.counts["ignored-label"] == 8 and found.faults.verdict == "errors"


def test_one_shift_of_all_labels_is_told_of_the_split(tmp_path: Path) -> None:
    splits = items(tmp_path)
    for i in range(8):
        change(label_of(tmp_path, i, 10), np.roll(scene(i)[1], 9, 1))
    whole = [f for f in checked(splits).faults.kept["misplaced-label"] if not f.file]
    assert [(f.split, f.what) for f in whole] == [
        ("train", "most labels lie about 9 pixels to the right beside their images")
    ]


def test_images_of_both_splits_are_told_once_where_these_are_all(tmp_path: Path) -> None:
    splits = items(tmp_path)
    some = {"train": splits["train"], "val": [*splits["val"], splits["train"][0]]}
    assert said(checked(some)) == [("leak", "train and val", "is listed in both")]
    every = {"train": splits["train"], "val": splits["train"]}
    found = checked(every)
    assert said(found) == [("leak", "train and val", "all 8 images are listed in both")]
    assert [tally.images for tally in found.tallies.values()] == [8, 8]


def test_copies_of_flat_images_are_found_by_their_bytes_alone(tmp_path: Path) -> None:
    splits = items(tmp_path)
    for i, level in ((0, 60), (1, 60), (9, 61)):
        image = np.full((72, 96, 3), level, np.uint8)
        image[:36] += 1  # no details, but not of one color
        change(image_of(tmp_path, i, 10), image)
    assert [kind for kind, _, _ in said(checked(splits)) if kind in ("leak", "duplicate")] == ["duplicate"]
    shutil.copy(image_of(tmp_path, 0, 10), image_of(tmp_path, 9, 10))
    assert {kind for kind, _, _ in said(checked(splits))} >= {"leak", "duplicate"}


def test_few_of_a_trait_are_told_whichever_it_is(tmp_path: Path) -> None:
    splits = items(tmp_path)
    for i in range(9):
        image = scene(i)[0][..., 0]
        change(image_of(tmp_path, i, 10), image if i else image.astype(np.uint16) * 257)
    found = said(checked(splits))
    assert [kind for kind, _, _ in found] == ["deep-image", "color-image"]
    assert found[1][2] == "unlike 9 others"


def test_colors_without_a_class_are_named(tmp_path: Path) -> None:
    """RGB-encoded labels."""
    ids = {color: k for k, color in enumerate(COLORS)}
    spec = DatasetSpec("drawn", SPEC.classes, COLORS, id_to_train={k: k for k in range(4)}, color_to_id=ids)
    splits = items(tmp_path)
    for i in range(10):
        label = np.array(COLORS, np.uint8)[scene(i)[1]]
        if i == 4:
            label[10:12, 30:33] = (1, 2, 3)
        change(label_of(tmp_path, i, 10), label)
    found = checked(splits, spec)
    assert said(found) == [("unmapped-value", "train", "has (1, 2, 3) (6 pixels), within 3x2 pixels from (30, 10) on")]
    assert found.values["(1, 2, 3)"].files == 1 and found.values["(1, 2, 3)"].pixels == 6


def test_memory_keeps_some_faults_and_the_table_gets_all() -> None:
    written: list[Fault] = []
    faults = Faults(("alpha-image",), written.append)
    for i in range(KEPT + 50):
        faults.add(Fault("duplicate", "train", f"{i}.png", "is alike"))
    faults.add(Fault("alpha-image", "val", "a.png", "has transparency"))
    assert len(written) == KEPT + 51 and len(faults.kept["duplicate"]) == KEPT
    assert (faults.verdict, faults.total("warning"), faults.total("accepted")) == ("warnings", KEPT + 50, 1)
    assert (faults.exit_code(False), faults.exit_code(True)) == (0, 1)
    faults.add(Fault("leak", "val", "b.png", "is the same file"))
    assert [*faults.kinds()] == ["leak", "duplicate", "alpha-image"]
    assert (faults.verdict, faults.exit_code(False)) == ("errors", 1)
    assert Faults(tuple(KINDS)).exit_code(True) == 0
    with pytest.raises(UserError, match="--accept 'leek' is no kind of fault; did you mean 'leak'"):
        Faults(("leek",))


def test_few_reads_are_ahead_of_who_counts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the number of images."""
    splits, begun, most = items(tmp_path, 40), [0], [0]
    count = checking._count

    def counting(found: Checked, read: object) -> None:
        most[0] = max(most[0], begun[0])
        begun[0] -= 1
        count(found, read)  # type: ignore[arg-type]

    class Counting(Reader):
        def read(self, subject: Subject):
            begun[0] += 1
            return super().read(subject)

    monkeypatch.setattr(checking, "_count", counting)
    check(Counting(SPEC, 0, 64), splits, Faults(), 1, shown=False)
    assert 0 < most[0] <= 6


def test_labels_of_other_kinds_and_of_unlisted_images_are_no_orphans(tmp_path: Path) -> None:
    images, labels = tmp_path / "leftImg8bit", tmp_path / "gtFine"
    for stem in ("a_1", "a_2"):
        write_image(images / f"{stem}_leftImg8bit.png", np.zeros((4, 4, 3), np.uint8))
    for name in ("a_1_gtFine_labelIds", "a_1_gtFine_color", "a_2_gtFine_labelIds", "a_3_gtFine_labelIds", "a_3_x"):
        write_image(labels / f"{name}.png", np.zeros((4, 4), np.uint8))
    item = Item(str(images / "a_1_leftImg8bit.png"), str(labels / "a_1_gtFine_labelIds.png"), "a_1")
    found = [Path(fault.file).name for fault in names.without_image([Subject(item, ("train",))])]
    assert found == ["a_3_gtFine_labelIds.png"]


def test_the_quick_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = items(tmp_path)
    few = "8 of 8 training and 2 of 2 validation images looked at"
    named = {"training": splits["train"], "validation": splits["val"]}
    assert quick.line(named) == f"data: files are there and sizes agree, of {few}; {quick.ALL}"
    monkeypatch.setattr(quick, "MOST", 4)
    assert "4 of 8 training" in quick.line(named)
    monkeypatch.setattr(quick, "MOST", 200)
    label = label_of(tmp_path, 3, 10)
    change(label, np.zeros((36, 48), np.uint8))
    with pytest.raises(UserError, match=r"0003.png is 48x36 pixels, its image .*0003.png 96x72; python"):
        quick.line(named)
    label_of(tmp_path, 9, 10).unlink()
    with pytest.raises(UserError, match=rf"96x72; 1 more of {few} are like it; python"):
        quick.line(named)


def test_every_kind_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs/own_data.md").read_text(encoding="utf-8")
    assert not [kind for kind in KINDS if f"`{kind}`" not in text]
    assert f"finds {len(KINDS)} kinds" in (Path(__file__).parents[3] / "CHANGELOG.md").read_text(encoding="utf-8")


def with_palette(path: Path, palette: list[tuple[int, int, int]]) -> None:
    picture = Image.fromarray(np.array(Image.open(path)), "P")
    picture.putpalette([value for color in palette for value in color])
    picture.save(path)


def test_a_palette_unlike_the_others_is_told(tmp_path: Path) -> None:
    splits = items(tmp_path)
    for i in range(10):
        palette = [COLORS[1], COLORS[0], *COLORS[2:]] if i == 3 else [*COLORS]
        with_palette(label_of(tmp_path, i, 10), palette)
    (fault,) = checked(splits).faults.kept["palette-differs"]
    assert fault.file == str(label_of(tmp_path, 3, 10))
    assert fault.what == f"has {COLORS[1]} for index 0 in its palette, {COLORS[0]} is that of 9 labels"
    with_palette(label_of(tmp_path, 3, 10), [*COLORS, (1, 2, 3)])  # a color that no pixel has
    assert "palette-differs" not in checked(splits).faults.kept


def test_an_image_that_is_listed_twice_is_told(tmp_path: Path) -> None:
    splits = items(tmp_path)
    splits["train"].append(splits["train"][2])
    kept = checked(splits).faults.kept["duplicate"]
    assert [(f.file, f.what) for f in kept] == [
        (splits["train"][2].image, "is listed 2 times, and counts as often in training and scores")
    ]


def test_a_label_over_the_turned_image_is_told_with_the_cure(tmp_path: Path) -> None:
    splits = items(tmp_path)
    image, label = image_of(tmp_path, 0, 10), label_of(tmp_path, 0, 10)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(image).save(image.with_suffix(".jpg"), exif=exif)
    write_image(label, np.rot90(np.array(Image.open(label)), -1))
    splits["train"][0] = splits["train"][0]._replace(image=str(image.with_suffix(".jpg")))
    (fault,) = checked(splits).faults.kept["size-differs"]
    assert fault.what.endswith("as it is stored, and turned by its EXIF tag as the label is: save the image turned")


def test_images_of_one_label_file_are_named(tmp_path: Path) -> None:
    """As drawings of equal content are."""
    splits = items(tmp_path)
    splits["train"][4] = splits["train"][4]._replace(label=splits["train"][2].label)
    kept = checked(splits).faults.kept["repeated-label"]
    assert [(f.file, f.what) for f in kept] == [
        (splits["train"][4].image, f"has the same label as {splits['train'][2].image}")
    ]
