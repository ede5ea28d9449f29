"""CamVid (Brostow et al. 2009): 11 classes in the SegNet layout, or the original's labels, RGB-encoded in 32 colors."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import Any

from datasets.adjacent import FrameLocator, shifted
from datasets.base import Item, Split
from datasets.cityscapes import CV_ALL
from datasets.classes import of_table
from datasets.entry import DatasetEntry
from datasets.reading import absent_label, find_folder
from datasets.repeated import once
from media.files import images_in, some_images
from utils import textfile
from utils.contracts import DatasetSpec
from utils.errors import UserError

_CLASSES = (
    ("Sky", (128, 128, 128)),
    ("Building", (128, 0, 0)),
    ("Column-Pole", (192, 192, 128)),
    ("Road", (128, 64, 128)),
    ("Sidewalk", (0, 0, 192)),
    ("Tree", (128, 128, 0)),
    ("Sign-Symbol", (192, 128, 128)),
    ("Fence", (64, 64, 128)),
    ("Car", (64, 0, 128)),
    ("Pedestrian", (64, 64, 0)),
    ("Bicyclist", (0, 128, 192)),
)
_VOID = 11

SPEC = of_table("camvid", _CLASSES, ids=range(len(_CLASSES)), ignored=(_VOID,))

# What the original encodes: name, color, and which of the 11 classes SegNet makes of it (none: void).
_ENCODED = (
    ("Animal", (64, 128, 64), "Pedestrian"),
    ("Archway", (192, 0, 128), "Building"),
    ("Bicyclist", (0, 128, 192), "Bicyclist"),
    ("Bridge", (0, 128, 64), "Building"),
    ("Building", (128, 0, 0), "Building"),
    ("Car", (64, 0, 128), "Car"),
    ("CartLuggagePram", (64, 0, 192), "Pedestrian"),
    ("Child", (192, 128, 64), "Pedestrian"),
    ("Column_Pole", (192, 192, 128), "Column-Pole"),
    ("Fence", (64, 64, 128), "Fence"),
    ("LaneMkgsDriv", (128, 0, 192), "Road"),
    ("LaneMkgsNonDriv", (192, 0, 64), "Road"),
    ("Misc_Text", (128, 128, 64), "Sign-Symbol"),
    ("MotorcycleScooter", (192, 0, 192), "Bicyclist"),
    ("OtherMoving", (128, 64, 64), "Car"),
    ("ParkingBlock", (64, 192, 128), "Sidewalk"),
    ("Pedestrian", (64, 64, 0), "Pedestrian"),
    ("Road", (128, 64, 128), "Road"),
    ("RoadShoulder", (128, 128, 192), "Sidewalk"),
    ("Sidewalk", (0, 0, 192), "Sidewalk"),
    ("SignSymbol", (192, 128, 128), "Sign-Symbol"),
    ("Sky", (128, 128, 128), "Sky"),
    ("SUVPickupTruck", (64, 128, 192), "Car"),
    ("TrafficCone", (0, 0, 64), "Column-Pole"),
    ("TrafficLight", (0, 64, 64), "Sign-Symbol"),
    ("Train", (192, 64, 128), "Car"),
    ("Tree", (128, 128, 0), "Tree"),
    ("Truck_Bus", (192, 128, 192), "Car"),
    ("Tunnel", (64, 0, 64), "Building"),
    ("VegetationMisc", (192, 192, 0), "Tree"),
    ("Wall", (64, 192, 0), "Building"),
    ("Void", (0, 0, 0), ""),
)
_COLOR_TO_ID = {color: value for value, (_, color, _) in enumerate(_ENCODED)}
_FEW = {value: SPEC.classes.index(few) if few else SPEC.ignore_label for value, (_, _, few) in enumerate(_ENCODED)}

# The original's labels with SegNet's 11 classes, and with all 31 that are not void.
RGB_SPEC = replace(SPEC, id_to_train=_FEW, color_to_id=_COLOR_TO_ID)
ALL_SPEC = of_table(
    "camvid",
    [(name, color) for name, color, few in _ENCODED if few],
    ids=[value for value, (_, _, few) in enumerate(_ENCODED) if few],
    ignored=[value for value, (_, _, few) in enumerate(_ENCODED) if not few],
    color_to_id=_COLOR_TO_ID,
)

_TREES = ("", "LargeScale/CamVid/", "CamVid/")
_STILLS = ("701_StillsRaw_full", "images/701_StillsRaw_full")
_RGB_LABELS = ("LabeledApproved_full", "labels/LabeledApproved_full", "LabeledApproved_full/LabeledApproved_full")


def read_spec(root: str, cfg: Any) -> DatasetSpec:
    """Choose the classes of what lies in `root`; DATASET.CAMVID_CLASSES 32: all of RGB-encoded labels but void."""
    classes = cfg.DATASET.CAMVID_CLASSES
    if not _rgb_encoded(root):
        if classes != "11":
            raise UserError(f"DATASET.CAMVID_CLASSES {classes}: the labels in {root} have SegNet's 11; leave it out")
        return SPEC
    return RGB_SPEC if classes == "11" else ALL_SPEC


def items(root: str, mode: str, cfg: Any) -> Split:
    """List the items of `mode` (train, val or test) of either layout, in the order of the list file if any.

    As published, --cv 3 trains on train and val, and validates on the test images where they are.
    """
    parts = [mode]
    if cfg.DATASET.CV == CV_ALL:
        parts = {"train": ["train", "val"], "val": ["test" if _has_test(root) else "val"]}.get(mode, parts)
    splits = [_split(root, part) for part in parts]
    return Split.plain([item for split in splits for item in split.items], sum((split.notes for split in splits), ()))


def _split(root: str, mode: str) -> Split:
    if _rgb_encoded(root):
        return _rgb_split(root, mode)
    folder = find_folder(root, (tree + mode for tree in _TREES), f"CamVid {mode} images")
    labels = find_folder(str(folder.parent), (f"{mode}annot",), f"CamVid {mode} labels")
    images = {path.stem: path for path in some_images(folder)}
    annotations = {path.stem: path for path in images_in(labels)}
    file = folder.with_suffix(".txt")
    names = _listed(file) or list(enumerate(images))
    return Split.plain(*once(((n, _item(name, images, annotations, folder, labels)) for n, name in names), str(file)))


def _has_test(root: str) -> bool:
    """Whether test images with labels are there."""
    return _rgb_encoded(root) or any((Path(root) / f"{tree}testannot").is_dir() for tree in _TREES)


def _rgb_encoded(root: str) -> bool:
    """Whether the original's files lie in `root`, and no annotations in the SegNet layout."""
    base = Path(root)
    segnet = any((base / f"{tree}{mode}annot").is_dir() for tree in _TREES for mode in ("train", "val", "test"))
    return not segnet and any((base / stills).is_dir() for stills in _STILLS)


def _rgb_split(root: str, mode: str) -> Split:
    """List those that train.txt, val.txt and test.txt in `root` name if they are there, else by SegNet's division."""
    folder = find_folder(root, _STILLS, "CamVid images")
    labels = find_folder(root, _RGB_LABELS, "CamVid's RGB-encoded labels")
    images = {path.stem: path for path in images_in(folder)}
    annotations = {path.stem.removesuffix("_L"): path for path in images_in(labels)}
    lists = {split: Path(root) / f"{split}.txt" for split in ("train", "val", "test")}
    lacking = [path.name for path in lists.values() if not path.is_file()]
    if 0 < len(lacking) < len(lists):
        raise UserError(
            f"{root} has no {' and no '.join(lacking)} beside its other lists: put all three there, or none"
        )
    divided = [(n, name) for n, name in enumerate(images) if lacking and _segnet_split(name) == mode]
    names = divided if lacking else _listed(lists[mode])
    if not names:
        raise UserError(f"no image of CamVid's {mode} split in {folder}; a list {root}/{mode}.txt would name others")
    place = Path(root) / mode
    found = ((n, _item(name, images, annotations, place, labels, "_L")) for n, name in names)
    return Split.plain(*once(found, str(lists[mode])))


def _segnet_split(name: str) -> str:
    """Divide the 701 frames as SegNet did, by sequence and frame; UserError for a frame of another sequence."""
    sequence, _, frame = name.rpartition("_")
    number = int(frame.lstrip("f")) if frame.lstrip("f").isdecimal() else -1
    if sequence not in ("0001TP", "0006R0", "0016E5", "Seq05VD") or number < 0:
        raise UserError(f"{name} is no frame of CamVid's four sequences: give train.txt, val.txt and test.txt")
    if sequence == "0016E5" and 7959 <= number <= 8159:
        return "val"
    return "test" if sequence == "Seq05VD" or (sequence == "0001TP" and number > 8520) else "train"


def _listed(path: Path) -> list[tuple[int, str]]:
    """Read lines' numbers and stems of a list file. Its paths are of somebody's machine, so only the names count."""
    if not path.is_file():
        return []
    lines = textfile.lines(path, f"the list {path}", names=True)
    # The Windows flavor splits at both kinds of slashes.
    return [(number, PureWindowsPath(line.split()[0]).stem) for number, line in enumerate(lines, 1) if line.strip()]


def _item(
    name: str, images: dict[str, Path], annotations: dict[str, Path], folder: Path, labels: Path, ending: str = ""
) -> Item:
    if name not in images:
        raise UserError(f"{folder.with_suffix('.txt')} names {name}, but there is no such image in {folder}")
    if name not in annotations:
        label = labels / f"{name}{ending}.png"
        return Item(str(images[name]), absent_label(label, f"image without label: {images[name]} needs {label}"), name)
    return Item(str(images[name]), str(annotations[name]), name)


_FRAME = re.compile(r"(.+_f?)(\d+)")


def adjacent_frames(root: str, cfg: Any) -> FrameLocator:
    """Find frames <sequence>_<frame>, with as many digits as each sequence has, below <split> and <split>annot."""
    base = Path(cfg.DATASET.AUG_DIR) if cfg.DATASET.AUG_DIR else Path(root) / "camvid_aug3" / "CamVid"
    if _rgb_encoded(root):
        raise UserError(
            f"--maxSkip: {root} is CamVid's RGB-encoded original; frames with labels are of the SegNet layout"
        )

    def files(item: Item, shift: int) -> tuple[Path, Path] | None:
        split, stem = Path(item.image).parent.name, shifted(item.name, _FRAME, shift)
        return (base / split / f"{stem}.png", base / f"{split}annot" / f"{stem}.png") if stem else None

    return FrameLocator(files, f"looked for {base}/train/*.png and {base}/trainannot/*.png")


DATASET = DatasetEntry(
    SPEC, items, root="CAMVID_DIR", read_spec=read_spec, adjacent_frames=adjacent_frames,
    reads_in_training=("MAX_SKIP",),
)  # fmt: skip
