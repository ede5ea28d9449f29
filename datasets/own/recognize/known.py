"""Published data sets whose classes are tables in scripts/cfg/datasets: how they are told, what lies where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from datasets.own.recognize.draft import Draft, Entry, Place
from datasets.own.recognize.part import Part
from datasets.own.recognize.tree import some
from datasets.own.recognize.values import Classes, Row
from utils import yamlfile
from utils.plural import counted

TABLES = Path(__file__).resolve().parents[3] / "scripts" / "cfg" / "datasets"
_LOOKED_AT = 8
_VOC_NAME = re.compile(r"\d{4}_\d{6}")


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
# What IDD draws and does not score: level3Id 255 in its table.
_IDD_VOID = ("unlabeled", "ego vehicle", "rectification border", "out of roi", "license plate")


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
    text = re.sub(rb"[- ]", b"", part.tree.path(panoptic[0]).read_bytes())
    return b"streetlight" in text and b"roadmarking" in text


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
    """Find the folders, with a slash behind them, in which train2017 of images and of labels lie."""
    for labels in ("annotations/", "stuffthingmaps/", "stuffthingmaps_trainval2017/", ""):
        if part.has_folder(f"{labels}train2017") and part.has(rf"{labels}train2017/\d{{12}}\.png"):
            places = [top for top in ("images/", "") if part.has(rf"{top}train2017/\d{{12}}\.jpg")]
            return (places[0], labels) if places else None
    return None


def _is_stuff(part: Part) -> bool:
    return _stuff_folders(part) is not None


def _of_stuff(part: Part) -> tuple[Entry, ...]:
    images, labels = _stuff_folders(part) or ("", "")
    splits = {
        split: {
            "images": Place(f"{part.base}{images}{split}2017/*.jpg"),
            "labels": Place(f"{part.base}{labels}{split}2017/{{stem}}.png"),
        }
        for split in ("train", "val")
        if part.has(rf"{labels}{split}2017/\d{{12}}\.png")
    }
    return (Entry("labels", {"kind": "gray"}), Entry("splits", splits))


_KNOWN = (
    Known("voc.yaml", "Pascal VOC", _is_voc, _of_voc),
    Known("bdd100k.yaml", "BDD100K", _is_bdd, _of_bdd),
    Known("idd.yaml", "India Driving Dataset", _is_idd, _of_idd),
    Known("wilddash2.yaml", "WildDash 2", _is_wilddash, _of_wilddash),
    Known("cocostuff.yaml", "COCO-Stuff", _is_stuff, _of_stuff),
)


def draft(part: Part) -> Draft | None:
    """Recognize one of them; None where it is none."""
    return next((_draft(known, part) for known in _KNOWN if known.test(part)), None)


def _draft(known: Known, part: Part) -> Draft:
    table = yamlfile.load(TABLES / known.file, text=("classes", "name"))
    entries = known.entries(part)
    shown = f"scripts/cfg/datasets/{known.file}"
    by_name = any(isinstance(e.value, dict) and e.value.get("kind") == "cityscapes" for e in entries)
    rows = tuple(_row(one, by_name) for one in table["classes"])
    ignore = _IDD_VOID if by_name else tuple(table["ignore"])
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


def _first(entries: Sequence[Entry], part: Part) -> str:
    """Choose pictures for masks after the training: a folder of the file."""
    found = {entry.key: entry.value for entry in entries}
    splits = found.get("splits", {})
    chosen = splits.get("val", {}).get("images") if isinstance(splits.get("val"), dict) else found.get("images")
    text = str(chosen).partition("*")[0].rstrip("/")
    return text or part.tree.pictures[0]
