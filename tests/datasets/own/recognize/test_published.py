"""Published trees are told by what lies in them, and not taken for one where folders are only called alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import own_layouts as drawn
import pytest
from pictures import write_image
from shared import shared_path

from datasets.own.recognize import known, recognize
from tests.datasets.own.recognize.test_layouts import described, look

CAMVID = "0001TP_{:06d}"


def pairs(root: Path, image: str, label: str, ids: tuple[int, ...], splits: tuple[str, ...] = ("train", "val")) -> None:
    """Write two images a split; `image` and `label`: paths with {split} and {n}."""
    for split in splits:
        for n in range(2):
            seed = n + 10 * splits.index(split)
            write_image(root / image.format(split=split, n=n), drawn.image(seed))
            values = np.array(ids, np.uint8)[drawn.label(seed)]
            write_image(root / label.format(split=split, n=n), values)


def cityscapes(root: Path, ids: tuple[int, ...] = (8, 7, 26)) -> None:
    stem = "{split}/ulm/ulm_000000_00000{n}"
    pairs(root, f"leftImg8bit/{stem}_leftImg8bit.png", f"gtFine/{stem}_gtFine_labelIds.png", ids)


def acdc(root: Path) -> None:
    stem = "fog/{split}/GOPR/GOPR_frame_00000{n}"
    pairs(root, f"rgb_anon/{stem}_rgb_anon.png", f"gt/{stem}_gt_labelIds.png", (8, 7, 26))


def kitti(root: Path) -> None:
    pairs(root, "{split}/image_2/00000{n}_10.png", "{split}/semantic/00000{n}_10.png", (8, 7, 26), ("training",))


def ade20k(root: Path) -> None:
    stem = "{split}/ADE_train_0000000{n}"
    pairs(root, f"images/{stem}.jpg", f"annotations/{stem}.png", (0, 1, 2), ("training", "validation"))


def mapillary(root: Path) -> None:
    pairs(root, "{split}/images/a{n}.jpg", "{split}/v2.0/labels/a{n}.png", (0, 1, 2), ("training", "validation"))
    (root / "config_v2.0.json").write_text("{}")


def camvid(root: Path) -> None:
    pairs(root, "{split}/0001TP_00000{n}.png", "{split}annot/0001TP_00000{n}.png", (0, 3, 8))


def original(root: Path) -> None:
    for n in range(4):
        write_image(root / f"701_StillsRaw_full/0001TP_{n:06d}.png", drawn.image(n))
        write_image(root / f"LabeledApproved_full/0001TP_{n:06d}_L.png", drawn.colors(n))


OURS = {
    "cityscapes": cityscapes, "acdc": acdc, "kitti": kitti, "ade20k": ade20k, "mapillary": mapillary, "camvid": camvid,
    "camvid (original)": original,
}  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_ours_need_no_file(tmp_path: Path, name: str) -> None:
    OURS[name](tmp_path / "data" / "inner")
    draft = look(tmp_path / "data")
    assert draft.dataset == name.split()[0] and draft.root == "inner" and not draft.entries
    shown = tmp_path / "data" / draft.pictures
    assert shown.is_dir() or "label" not in draft.pictures


def test_folders_called_alike_with_other_ids_are_an_own_set(tmp_path: Path) -> None:
    """Cityscapes' layout with 0, 1, 2, which are no classes there."""
    cityscapes(tmp_path / "mine", (0, 1, 2))
    found = described(tmp_path / "mine")
    assert not found.draft.dataset and found.classes == ("class_0", "class_1", "class_2")
    assert {mode: len(names) for mode, names in found.read.items()} == {"train": 2, "val": 2}


def bdd100k(root: Path) -> None:
    pairs(root, "images/10k/{split}/a{n}.jpg", "labels/sem_seg/masks/{split}/a{n}.png", (255, 0, 13))
    pairs(root, "images/100k/{split}/b{n}.jpg", "labels/sem_seg/colormaps/{split}/a{n}.png", (255, 0, 13))
    write_image(root / "images/10k/test/t.jpg", drawn.image(90))


def bdd_old(root: Path) -> None:
    pairs(root, "seg/images/{split}/a{n}.jpg", "seg/labels/{split}/a{n}_train_id.png", (255, 0, 13))


def idd(root: Path) -> None:
    stem = "{split}/201/frame000{n}"
    pairs(root, f"leftImg8bit/{stem}_leftImg8bit.jpg", f"gtFine/{stem}_gtFine_labellevel3Ids.png", (255, 0, 9))
    for image in sorted((root / "leftImg8bit").rglob("*.jpg")):  # what else createLabels.py leaves there
        place = root / "gtFine" / image.relative_to(root / "leftImg8bit").parent
        write_image(place / image.name.replace("leftImg8bit.jpg", "gtFine_instancelevel3Ids.png"), drawn.label(0))


def idd_polygons(root: Path) -> None:
    idd(root)
    for path in sorted((root / "gtFine").rglob("*.png")):
        path.unlink()
    for image in sorted((root / "leftImg8bit").rglob("*.jpg")):
        place = root / "gtFine" / image.relative_to(root / "leftImg8bit").parent
        all_of_it = [[0, 0], [drawn.WIDTH, 0], [drawn.WIDTH, drawn.HEIGHT], [0, drawn.HEIGHT]]
        shapes = [("unlabeled", all_of_it)]
        shapes += [
            (name, drawn.corners(box)) for name, box in zip(("road", "vehicle fallback"), drawn.boxes(0), strict=True)
        ]
        objects = [{"label": name, "polygon": points} for name, points in shapes]
        tree = {"imgHeight": drawn.HEIGHT, "imgWidth": drawn.WIDTH, "objects": objects}
        drawn.write_json(place / image.name.replace("leftImg8bit.jpg", "gtFine_polygons.json"), tree)


def wilddash(root: Path) -> None:
    """Panoptic segments, as they are downloaded: numbers of segments as colors."""
    images, annotations = [], []
    for n in range(6):
        name = f"aa000{n}_100000"
        write_image(root / f"images/{name}.jpg", drawn.image(n))
        number = drawn.label(n).astype(np.uint8) + 1
        write_image(root / f"panoptic/{name}.png", np.stack([number, number * 0, number * 0], -1))
        images.append({"id": n, "file_name": f"{name}.jpg", "height": drawn.HEIGHT, "width": drawn.WIDTH})
        segments = [{"id": i + 1, "category_id": c} for i, c in enumerate((0, 41, 26))]
        annotations.append({"image_id": n, "file_name": f"{name}.png", "segments_info": segments})
    names = {0: "unlabeled", 41: "manhole", 26: "car", 37: "street-light", 38: "road-marking"}
    categories = [{"id": i, "name": name, "isthing": 0} for i, name in names.items()]
    (root / "panoptic.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )


def cocostuff(root: Path) -> None:
    stem = "{split}2017/00000000000{n}"
    pairs(root, f"images/{stem}.jpg", f"annotations/{stem}.png", (255, 0, 181))


KNOWN = {
    "voc": (drawn.voc, {0, 1, 7, 255}, 12), "bdd100k": (bdd100k, {255, 0, 13}, 4),
    "bdd_old": (bdd_old, {255, 0, 13}, 4), "idd": (idd, {255, 0, 9}, 4),
    "idd_polygons": (idd_polygons, {255, 0, 12}, 4), "wilddash": (wilddash, {255, 1, 15}, 6),
    "cocostuff": (cocostuff, {255, 0, 170}, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_known_trees_get_the_publishers_classes(tmp_path: Path, name: str) -> None:
    write, values, count = KNOWN[name]
    folder = tmp_path / "the data"
    write(folder)
    found = described(folder)
    labeled = {mode: names for mode, names in found.read.items() if mode != "test"}
    assert {*labeled} == {"train", "val"} and sum(map(len, labeled.values())) == count
    assert all(read == values for names in labeled.values() for read in names.values()), found.read
    assert "scripts/cfg/datasets/" in found.text and all((known.TABLES / one.file).is_file() for one in known._KNOWN)


def test_folders_of_voc_with_own_classes_are_an_own_set(tmp_path: Path) -> None:
    drawn.voc(tmp_path / "tool")
    colors = ["background:0,0,255::", "road:1,0,254::", "car:7,0,248::", "void:255,0,0::"]
    (tmp_path / "tool" / "labelmap.txt").write_text("\n".join(["# label:color_rgb:parts:actions", *colors]))
    found = described(tmp_path / "tool")
    assert found.classes == ("background", "road", "car") and {len(found.read["train"]), len(found.read["val"])} == {
        8,
        4,
    }


def test_camvid_as_it_lies_in_the_shared_folder() -> None:
    folder = shared_path("data/camvid")
    draft = recognize(folder, lambda paths, what: paths)
    assert draft.dataset == "camvid" and draft.pictures == "val"
