"""Published data sets by their folders: ours, which need no file, and those of scripts/cfg/datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from datasets.own.recognize import known
from datasets.own.recognize.draft import Draft
from datasets.own.recognize.pairs import read_name
from datasets.own.recognize.part import Part
from datasets.own.recognize.tree import Tree
from datasets.registry import DATASETS

_CLASSES = 0.5  # share of pixels that are a class in labels of the data set


def draft(tree: Tree) -> Draft | None:
    """Recognize a published data set in the folder, or in one of its folders; None where it is none."""
    for base in _bases(tree):
        part = Part(tree, base)
        for name, (title, test) in _OURS.items():
            if test(part):
                return _ours(name, title, part)
        if found := known.draft(part):
            return found
    return None


# Folders of which a published data set has at least one.
_SIGNS = (
    "leftImg8bit", "leftImg8bit_trainvaltest", "rgb_anon", "training", "trainannot", "701_StillsRaw_full", "images",
    "JPEGImages", "seg", "gtFine", "train2017",
)  # fmt: skip


def _bases(tree: Tree) -> list[str]:
    """List where a data set may begin: here, or one or two folders down ("VOCdevkit/VOC2012/")."""
    inner = sorted((f for f in tree.folders if f and f.count("/") < 2), key=lambda f: (f.count("/"), f))
    bases = ["", *(f"{folder}/" for folder in inner)]
    return [base for base in bases if any(f"{base}{sign}" in tree.folders for sign in _SIGNS)]


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


def _ours(name: str, title: str, part: Part) -> Draft:
    inside = [read_name(path) for path in part.tree.pictures if path.startswith(part.base)]
    images = [picture for picture in inside if picture.role in ("image", "")] or inside
    first = ([picture for picture in images if picture.split == "val"] or images)[0].path
    folder = first.rpartition("/")[0]
    beside = [picture for picture in inside if picture.path.rpartition("/")[0] == folder]
    return Draft(
        f"{title}, by its folders and names of files: --dataset {name} reads it, and needs no file",
        pictures=folder if all(picture in images for picture in beside) else first,
        dataset=name,
        root=part.base.rstrip("/"),
    )
