"""Published data sets by their folders: ours, which need no file, and those whose classes stand in scripts/cfg/datasets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from datasets.own.recognize.draft import Draft, Entry, Place
from datasets.own.recognize.looks import Looks
from datasets.own.recognize.tree import Tree, some
from datasets.own.recognize.values import Classes, Row
from datasets.registry import DATASETS
from utils import yamlfile
from utils.plural import counted

TABLES = Path(__file__).resolve().parents[3] / "scripts" / "cfg" / "datasets"
_LOOKED_AT = 8
_CLASSES = 0.5  # share of pixels that are a class in labels of the data set
_VOC_NAME = re.compile(r"\d{4}_\d{6}")


class Part(NamedTuple):
    """Files below the folder that a data set begins in: `base` in front of their paths, "" for the folder itself."""

    tree: Tree
    base: str

    def files(self, pattern: str) -> list[str]:
        """List files and pictures whose path from the base on matches an expression as a whole."""
        expression = re.compile(re.escape(self.base) + pattern)
        return [path for path in (*self.tree.pictures, *self.tree.files) if expression.fullmatch(path)]

    def has(self, *patterns: str) -> bool:
        """Tell whether there is a file for each expression."""
        return all(self.files(pattern) for pattern in patterns)

    def looks(self, pattern: str) -> Looks:
        """Look at some pictures."""
        return Looks.of(self.tree.path(path) for path in some(self.files(pattern), _LOOKED_AT))


def draft(tree: Tree) -> Draft | None:
    """Recognize a published data set in the folder, or in one of its folders; None where it is none."""
    for base in _bases(tree):
        part = Part(tree, base)
        for name, (title, test) in _OURS.items():
            if test(part):
                return _ours(name, title, part)
        for known in _KNOWN:
            if known.test(part):
                return _known(known, part)
    return None


def _bases(tree: Tree) -> list[str]:
    """List where a data set may begin: here, or one or two folders down ("VOCdevkit/VOC2012/")."""
    inner = sorted((f for f in tree.folders if f and f.count("/") < 2), key=lambda f: (f.count("/"), f))
    return ["", *(f"{folder}/" for folder in inner[:60])]


# Ours: --dataset NAME --------------------------------------------------------------------------------------------------

_CITIES = r"(leftImg8bit_trainvaltest/)?leftImg8bit/train/[^/]+/[^/]+_leftImg8bit\.png"
_CITY_IDS = r"(gtFine_trainvaltest/)?gtFine/train/[^/]+/[^/]+_gtFine_label(Ids|TrainIds)\.png"
_FRAMES = r"(0001TP|0006R0|0016E5|Seq05VD)_[f0-9]+[^/]*"


def _holds_classes(part: Part, labels: str, name: str) -> bool:
    """Tell whether labels have a data set's values alone, and mostly classes: folders are often called as its are."""
    looks, spec = part.looks(labels), DATASETS[name].spec
    known = spec.values()
    if looks.kind not in ("gray", "palette") or not {*looks.values} <= {*known}:
        return False
    classes = sum(n for value, n in looks.pixels.items() if known[int(str(value))] != spec.ignore_label)
    return classes >= _CLASSES * sum(looks.pixels.values())


def _is_toy(part: Part) -> bool:
    return part.has(r"toy_fine\.json", _CITIES)


def _is_cityscapes(part: Part) -> bool:
    return part.has(_CITIES, _CITY_IDS) and _holds_classes(part, _CITY_IDS, "cityscapes")


def _is_acdc(part: Part) -> bool:
    return part.has(r"rgb_anon/(fog|night|rain|snow)/train/.*_rgb_anon\.png", r"gt/.*_gt_labelIds\.png")


def _is_kitti(part: Part) -> bool:
    labels = r"training/semantic/[^/]+\.png"
    return part.has(r"training/image_2/[^/]+\.png", labels) and _holds_classes(part, labels, "kitti")


def _is_ade20k(part: Part) -> bool:
    return part.has(r"images/training/ADE_train_\d+\.jpg", r"annotations/training/ADE_train_\d+\.png")


def _is_mapillary(part: Part) -> bool:
    configs = r"config(_v1\.2|_v2\.0)?\.json"
    return part.has(configs, r"training/images/[^/]+\.jpg", r"training/((v1\.2|v2\.0)/)?labels/[^/]+\.png")


def _is_camvid(part: Part) -> bool:
    original = part.has(rf"(images/)?701_StillsRaw_full/{_FRAMES}", rf"(.*/)?LabeledApproved_full/{_FRAMES}_L\.png")
    segnet = part.has(rf"train/{_FRAMES}", rf"trainannot/{_FRAMES}", rf"val/{_FRAMES}", rf"valannot/{_FRAMES}")
    return original or (segnet and _holds_classes(part, rf"trainannot/{_FRAMES}", "camvid"))


_OURS: Mapping[str, tuple[str, Callable[[Part], bool]]] = {
    "toy": ("the embedded street scenes", _is_toy),
    "cityscapes": ("Cityscapes", _is_cityscapes),
    "acdc": ("ACDC", _is_acdc),
    "kitti": ("KITTI semantics", _is_kitti),
    "ade20k": ("ADE20K scene parsing", _is_ade20k),
    "mapillary": ("Mapillary Vistas", _is_mapillary),
    "camvid": ("CamVid", _is_camvid),
}
_FIRST_LOOK = r".*(leftImg8bit/val/.*|rgb_anon/[^/]+/val/.*|image_2/.*|images/validation/.*|validation/images/.*|val/.*|\d+.*)"


def _ours(name: str, title: str, part: Part) -> Draft:
    inside = [path for path in part.tree.pictures if path.startswith(part.base)]
    pictures = [path for path in inside if re.fullmatch(_FIRST_LOOK, path.removeprefix(part.base))]
    shown = (pictures or inside)[0]
    return Draft(
        f"{title}, by its folders and names of files: --dataset {name} reads it, and needs no file",
        pictures=shown,
        dataset=name,
        root=part.base.rstrip("/"),
    )


# Known by a table --------------------------------------------------------------------------------------------------------


class Known(NamedTuple):
    """A data set whose classes are a table. `entries(part)`: images, labels and splits as they lie there."""

    file: str
    title: str
    test: Callable[[Part], bool]
    entries: Callable[[Part], tuple[Entry, ...]]


def _is_voc(part: Part) -> bool:
    """Tell VOC's own images by their names: annotation tools export folders of the same names."""
    lists, labels = r"ImageSets/Segmentation/train\.txt", part.files(r"SegmentationClass/[^/]+\.png")
    own = [path for path in labels if _VOC_NAME.fullmatch(PurePosixPath(path).stem)]
    tool = part.has(r"(labelmap|class_names)\.txt")
    if not part.has(lists, r"JPEGImages/[^/]+\.jpg") or 2 * len(own) < len(labels) or not own or tool:
        return False
    return {*part.looks(r"SegmentationClass/[^/]+\.png").values} <= {*range(21), 255}


def _of_voc(part: Part) -> tuple[Entry, ...]:
    lists = {split: Place(f"{part.base}ImageSets/Segmentation/{split}.txt") for split in ("train", "val")}
    return (
        Entry("images", Place(f"{part.base}JPEGImages")),
        Entry("labels", {"kind": "palette", "path": Place(f"{part.base}SegmentationClass")}),
        Entry("splits", lists),
    )


def _is_bdd(part: Part) -> bool:
    return _bdd_folders(part) is not None


def _bdd_folders(part: Part) -> tuple[str, str] | None:
    """Find the folders of images and labels, in the layout of today or in the first one."""
    for images, labels in (("images/10k", "labels/sem_seg/masks"), ("seg/images", "seg/labels")):
        if part.has(rf"{images}/train/[^/]+\.jpg", rf"{labels}/train/[^/]+\.png"):
            return images, labels
    return None


def _of_bdd(part: Part) -> tuple[Entry, ...]:
    images, labels = _bdd_folders(part) or ("", "")
    tail = "/{stem}_train_id.png" if part.has(rf"{labels}/train/[^/]+_train_id\.png") else ""
    splits = _splits(part, images, labels, ("train", "val"), tail)
    return (Entry("labels", {"kind": "gray"}), *_unlabeled(splits, part, images))


def _splits(part: Part, images: str, labels: str, names: Iterable[str], tail: str = "") -> dict[str, Any]:
    return {
        ("val" if name.startswith("val") else name.rstrip("0123456789")): {
            "images": Place(f"{part.base}{images}/{name}"),
            "labels": Place(f"{part.base}{labels}/{name}{tail}"),
        }
        for name in names
        if part.has(rf"{images}/{name}/.*")
    }


def _unlabeled(splits: dict[str, Any], part: Part, images: str) -> tuple[Entry, ...]:
    """Add test images where they are there."""
    tests = {"test": {"images": Place(f"{part.base}{images}/test")}} if part.has(rf"{images}/test/.*") else {}
    return (Entry("splits", {**splits, **tests}),)


_IDD_IMAGE = r"leftImg8bit/train/[^/]+/[^/]+_leftImg8bit\.(png|jpg)"
_IDD_IDS = r"gtFine/train/[^/]+/[^/]+_gtFine_labellevel3Ids\.png"
_IDD_POLYGONS = r"gtFine/train/[^/]+/[^/]+_gtFine_polygons\.json"


def _is_idd(part: Part) -> bool:
    """Tell IDD, which lies as Cityscapes does, by its ids' name or by the classes that Cityscapes lacks."""
    if not part.has(_IDD_IMAGE):
        return False
    return part.has(_IDD_IDS) or any(
        word in part.tree.path(path).read_bytes()
        for path in some(part.files(_IDD_POLYGONS), 2 * _LOOKED_AT)
        for word in (b"autorickshaw", b"fallback")
    )


def _of_idd(part: Part) -> tuple[Entry, ...]:
    drawn = part.has(_IDD_IDS)
    tail = "/**/*_gtFine_labellevel3Ids.png" if drawn else ""
    splits = _splits(part, "leftImg8bit", "gtFine", ("train", "val"), tail)
    why = () if drawn else ("There are no *_labellevel3Ids.png: the polygons are drawn, by the names of classes.",)
    return (Entry("labels", {"kind": "gray" if drawn else "cityscapes"}, why), *_unlabeled(splits, part, "leftImg8bit"))


def _is_wilddash(part: Part) -> bool:
    panoptic = part.files(r"panoptic\.json")
    if not part.has(r"images/[^/]+\.jpg") or not panoptic:
        return False
    text = part.tree.path(panoptic[0]).read_bytes()
    return b"streetlight" in text.replace(b"-", b"").replace(b" ", b"") and b"roadmarking" in text.replace(
        b"-", b""
    ).replace(b" ", b"")


def _of_wilddash(part: Part) -> tuple[Entry, ...]:
    drawn = part.has(r"labels/[^/]+\.png")
    labels = {"kind": "gray", "path": Place(f"{part.base}labels")}
    panoptic = {"kind": "coco", "path": Place(f"{part.base}panoptic.json")}
    return (
        Entry("images", Place(f"{part.base}images")),
        Entry("labels", labels if drawn else panoptic),
        Entry("splits", {"percent": {"train": 80, "val": 20}, "seed": 0}, ("It has no published division.",)),
    )


def _stuff_folders(part: Part) -> tuple[str, str] | None:
    for labels in ("annotations", "stuffthingmaps", "stuffthingmaps_trainval2017", "."):
        for images in ("images", "."):
            below, beside = (f"{re.escape(top)}/" if top != "." else "" for top in (images, labels))
            if part.has(rf"{below}train2017/\d{{12}}\.jpg", rf"{beside}train2017/\d{{12}}\.png"):
                return images, labels
    return None


def _is_stuff(part: Part) -> bool:
    return _stuff_folders(part) is not None


def _of_stuff(part: Part) -> tuple[Entry, ...]:
    images, labels = _stuff_folders(part) or ("", "")
    tails = [f"{part.base}{top}/".replace("./", "") for top in (images, labels)]
    splits = {
        split: {"images": Place(f"{tails[0]}{split}2017/*.jpg"), "labels": Place(f"{tails[1]}{split}2017/{{stem}}.png")}
        for split in ("train", "val")
        if part.has(rf".*{split}2017/\d{{12}}\.png")
    }
    return (Entry("labels", {"kind": "gray"}), Entry("splits", splits))


_KNOWN = (
    Known("voc.yaml", "Pascal VOC", _is_voc, _of_voc),
    Known("bdd100k.yaml", "BDD100K", _is_bdd, _of_bdd),
    Known("idd.yaml", "India Driving Dataset", _is_idd, _of_idd),
    Known("wilddash2.yaml", "WildDash 2", _is_wilddash, _of_wilddash),
    Known("cocostuff.yaml", "COCO-Stuff", _is_stuff, _of_stuff),
)


def _known(known: Known, part: Part) -> Draft:
    table = yamlfile.load(TABLES / known.file, text=("classes", "name"))
    entries = known.entries(part)
    shown = f"scripts/cfg/datasets/{known.file}"
    by_name = any(isinstance(e.value, dict) and e.value.get("kind") == "cityscapes" for e in entries)
    rows = tuple(_row(one, by_name) for one in table["classes"])
    ignore = _void_names(known) if by_name else tuple(table["ignore"])
    return Draft(
        f"{known.title}, by its folders and names of files; {counted(len(rows), 'class', 'classes')} of {shown}",
        entries,
        Classes(rows, ignore, f"the publisher's table, {shown}, which says where to look it up"),
        pictures=_first(entries, part),
    )


def _row(one: Mapping[str, Any], by_name: bool) -> Row:
    color = one.get("color")
    ids = None if by_name else one.get("id")
    return Row(one["name"], ids, tuple(color) if color else None, aliases=tuple(one.get("aliases", ())))


def _void_names(known: Known) -> tuple[str, ...]:
    """List what IDD draws and does not score: level3Id 255 in its table."""
    del known
    return ("unlabeled", "ego vehicle", "rectification border", "out of roi", "license plate")


def _first(entries: Sequence[Entry], part: Part) -> str:
    """Choose pictures for masks after the training: a folder of the file."""
    found = {entry.key: entry.value for entry in entries}
    splits = found.get("splits", {})
    chosen = splits.get("val", {}).get("images") if isinstance(splits.get("val"), dict) else found.get("images")
    text = str(chosen).partition("*")[0].rstrip("/")
    return text or part.tree.pictures[0]
