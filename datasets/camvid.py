"""CamVid (Brostow et al. 2009): 11 classes in the SegNet layout, or the original's pictures painted in 32 colours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PureWindowsPath

from datasets.base import Item, Split
from datasets.files import images_in, some_images
from datasets.reading import find_folder
from datasets.repeated import once
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

SPEC = DatasetSpec(
    name="camvid",
    classes=tuple(name for name, _ in _CLASSES),
    palette=tuple(colour for _, colour in _CLASSES),
    id_to_train={**{c: c for c in range(len(_CLASSES))}, _VOID: 255},
    train_to_id=tuple(range(len(_CLASSES))),
)

# What the original paints: name, colour, and which of the 11 classes SegNet makes of it (none: void).
_PAINTED = (
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
_COLOURS = {colour: value for value, (_, colour, _) in enumerate(_PAINTED)}
_FEW = {value: SPEC.classes.index(few) if few else SPEC.ignore_label for value, (_, _, few) in enumerate(_PAINTED)}
_ALL = {value: value if few else SPEC.ignore_label for value, (_, _, few) in enumerate(_PAINTED)}

# The original's pictures, painted with SegNet's 11 classes, and with all 31 that are not void.
PAINTED_SPEC = replace(SPEC, id_to_train=_FEW, colours=_COLOURS)
ALL_SPEC = DatasetSpec(
    name="camvid",
    classes=tuple(name for name, _, few in _PAINTED if few),
    palette=tuple(colour for _, colour, few in _PAINTED if few),
    id_to_train=_ALL,
    train_to_id=tuple(range(len(_PAINTED) - 1)),
    colours=_COLOURS,
)

_TREES = ("", "LargeScale/CamVid/", "CamVid/")
_STILLS = ("701_StillsRaw_full", "images/701_StillsRaw_full")
_PAINTINGS = ("LabeledApproved_full", "labels/LabeledApproved_full", "LabeledApproved_full/LabeledApproved_full")


def spec(root: str, classes: str = "11") -> DatasetSpec:
    """Classes of what lies in `root`; all of the painted ones if `classes` is "32" (void is no class)."""
    if not _painted(root):
        if classes != "11":
            raise UserError(f"DATASET.CAMVID_CLASSES {classes}: the labels in {root} have SegNet's 11; leave it out")
        return SPEC
    return PAINTED_SPEC if classes == "11" else ALL_SPEC


def listing(root: str, mode: str) -> Split:
    """Items of `mode` (train, val, test or trainval) of either layout, in the order of the list file if any."""
    if mode == "trainval":
        train, val = listing(root, "train"), listing(root, "val")
        return Split.plain(train.items + val.items, train.notes + val.notes)
    if _painted(root):
        return _painted_listing(root, mode)
    folder = find_folder(root, (tree + mode for tree in _TREES), f"CamVid {mode} images")
    labels = find_folder(str(folder.parent), (f"{mode}annot",), f"CamVid {mode} labels")
    images = {path.stem: path for path in some_images(folder)}
    annotations = {path.stem: path for path in images_in(labels)}
    file = folder.with_suffix(".txt")
    names = _listed(file) or list(enumerate(images))
    return Split.plain(*once(((n, _item(name, images, annotations, folder, labels)) for n, name in names), str(file)))


def has_test(root: str) -> bool:
    """Whether test images with labels are there."""
    return _painted(root) or any((Path(root) / f"{tree}testannot").is_dir() for tree in _TREES)


def _painted(root: str) -> bool:
    """Whether the original's pictures lie in `root`, and no annotations in the SegNet layout."""
    base = Path(root)
    segnet = any((base / f"{tree}{mode}annot").is_dir() for tree in _TREES for mode in ("train", "val", "test"))
    return not segnet and any((base / stills).is_dir() for stills in _STILLS)


def _painted_listing(root: str, mode: str) -> Split:
    """Those that train.txt, val.txt and test.txt in `root` name if they are there, else by SegNet's division."""
    folder = find_folder(root, _STILLS, "CamVid images")
    labels = find_folder(root, _PAINTINGS, "CamVid's painted labels")
    images = {path.stem: path for path in images_in(folder)}
    paintings = {path.stem.removesuffix("_L"): path for path in images_in(labels)}
    lists = {split: Path(root) / f"{split}.txt" for split in ("train", "val", "test")}
    lacking = [path.name for path in lists.values() if not path.is_file()]
    if 0 < len(lacking) < len(lists):
        raise UserError(
            f"{root} has no {' and no '.join(lacking)} beside its other lists: put all three there, or none"
        )
    split = [(n, name) for n, name in enumerate(images) if lacking and _split(name) == mode]
    names = split if lacking else _listed(lists[mode])
    if not names:
        raise UserError(f"no image of CamVid's {mode} split in {folder}; a list {root}/{mode}.txt would name others")
    place = Path(root) / mode
    found = ((n, _item(name, images, paintings, place, labels, "_L")) for n, name in names)
    return Split.plain(*once(found, str(lists[mode])))


def _split(name: str) -> str:
    """SegNet's division of the 701 frames, by sequence and frame; UserError for a frame of another sequence."""
    sequence, _, frame = name.rpartition("_")
    number = int(frame.lstrip("f")) if frame.lstrip("f").isdecimal() else -1
    if sequence not in ("0001TP", "0006R0", "0016E5", "Seq05VD") or number < 0:
        raise UserError(f"{name} is no frame of CamVid's four sequences: give train.txt, val.txt and test.txt")
    if sequence == "0016E5" and 7959 <= number <= 8159:
        return "val"
    return "test" if sequence == "Seq05VD" or (sequence == "0001TP" and number > 8520) else "train"


def _listed(path: Path) -> list[tuple[int, str]]:
    """Lines' numbers and stems in a list file. Its paths are those of somebody's machine, so only the names count."""
    if not path.is_file():
        return []
    lines = textfile.lines(path, f"the list {path}", names=True)
    # The Windows flavour splits at both kinds of slashes.
    return [(number, PureWindowsPath(line.split()[0]).stem) for number, line in enumerate(lines, 1) if line.strip()]


def _item(
    name: str, images: dict[str, Path], annotations: dict[str, Path], folder: Path, labels: Path, ending: str = ""
) -> Item:
    if name not in images:
        raise UserError(f"{folder.with_suffix('.txt')} names {name}, but there is no such image in {folder}")
    if name not in annotations:
        raise UserError(f"image without label: {images[name]} needs {labels / name}{ending}.png")
    return Item(str(images[name]), str(annotations[name]), name)
