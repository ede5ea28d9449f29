"""CamVid (Brostow et al. 2009) in the SegNet layout: 11 classes, 11 = void, images and annotations side by side."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from datasets.base import Item
from datasets.reading import find_folder, images_in
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

_TREES = ("", "LargeScale/CamVid/", "CamVid/")


def items(root: str, mode: str) -> list[Item]:
    """Items of `mode` (train, val, test or trainval), in the order of the list file if there is one."""
    if mode == "trainval":
        return items(root, "train") + items(root, "val")
    folder = find_folder(root, (tree + mode for tree in _TREES), f"CamVid {mode} images")
    labels = find_folder(str(folder.parent), (f"{mode}annot",), f"CamVid {mode} labels")
    images = {path.stem: path for path in images_in(folder)}
    if not images:
        raise UserError(f"no images in {folder}")
    annotations = {path.stem: path for path in images_in(labels)}
    names = _listed(folder.with_suffix(".txt")) or list(images)
    return [_item(name, images, annotations, folder, labels) for name in names]


def _listed(path: Path) -> list[str]:
    """Stems in a list file. Its paths are those of somebody's machine, so that only the names count."""
    if not path.is_file():
        return []
    lines = path.read_text().splitlines()
    # The Windows flavour splits at both kinds of slashes.
    return [PureWindowsPath(line.split()[0]).stem for line in lines if line.strip()]


def _item(name: str, images: dict[str, Path], annotations: dict[str, Path], folder: Path, labels: Path) -> Item:
    if name not in images:
        raise UserError(f"{folder.with_suffix('.txt')} names {name}, but there is no such image in {folder}")
    if name not in annotations:
        raise UserError(f"image without label: {images[name]} needs {labels / name}.png")
    return Item(str(images[name]), str(annotations[name]), name)
