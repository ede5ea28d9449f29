"""Any folder of images, of any sizes, with labels in a second folder or none; also as a dataset with own classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import cityscapes, classfile, labelids, labelrecord
from datasets.base import Item, Split
from datasets.entry import DatasetEntry
from datasets.reading import absent_label, require_label
from media.files import Found, existing, listing_for_message, named, search, some, unique_names, visible
from utils.contracts import DatasetSpec
from utils.errors import UserError
from utils.visualize import file_stem

# Without a word on its classes, a folder holds street scenes.
SPEC = replace(cityscapes.SPEC, name="folder")

# Folders of a mode, as it is called here and elsewhere.
_MODES = ("train", "training", "val", "valid", "validation", "test", "testing")
# Endings that an image and its label do not share.
ENDINGS = (
    "_leftImg8bit", "_gtFine_labelIds", "_gtFine_labelTrainIds", "_gtCoarse_labelIds", "_gtCoarse_labelTrainIds",
    "_rgb_anon", "_gt_labelIds", "_gt_labelTrainIds", "_labelIds", "_labelTrainIds", "_L",
)  # fmt: skip


def split(images: str, labels: str = "", spec: DatasetSpec = SPEC, label_ids: str = "auto", results: str = "") -> Split:
    """List all images under a folder, by path; with labels of the same stem from under `labels`.

    `label_ids`: "raw" for the dataset's own ids, "train" for train ids, "auto" to tell by the names of the files.
    Images without labels, and those of pseudo-labels that are upright, are `exif_turned`. Below `results`, where a run
    writes, nothing is a picture; a note says which folders of results were left out.
    """
    found = some(images, labels, results)
    notes = (found.note,) if found.note else ()
    return Split.plain(_items(found, images, labels, spec, label_ids, results), notes)


def _items(seen: Found, images: str, labels: str, spec: DatasetSpec, label_ids: str, results: str) -> list[Item]:
    root, paths = Path(images), seen.paths
    names = unique_names([name_choices(path.relative_to(root)) for path in paths])
    if not labels:
        return [Item(str(path), None, name, exif_turned=True) for path, name in zip(paths, names, strict=True)]
    # Pseudo-labels say what they hold, and are called as `tree` calls their images.
    folder = existing(labels, "labels")
    for home, place in ((folder, folder / "train_extra"), (folder.resolve().parent, folder)):
        record = labelrecord.check(home, spec)
        if record:
            found_for = {item.image: place / f"{item.name}.png" for item in tree(images, labels, results)}
            files = [require_label(found_for[str(path)], path) for path in paths]
            break
    else:
        record, of = None, _label_index(folder)
        files = [str(_label_of(path, root, of, labels)) for path in paths]
        _check_one_image_each(paths, files)
    by_record = record.holds_train_ids(spec) if record and label_ids == "auto" else None
    train_ids = [
        labelids.holds_train_ids(label, spec, label_ids) if by_record is None else by_record for label in files
    ]
    upright = bool(record and record.upright)
    found = zip(paths, files, names, train_ids, strict=True)
    return [Item(str(path), label, name, ids, exif_turned=upright) for path, label, name, ids in found]


def _check_one_image_each(images: Sequence[Path], labels: Sequence[str]) -> None:
    """Raise UserError where two images would have the same label."""
    owner: dict[str, Path] = {}
    for image, label in zip(images, labels, strict=True):
        other = owner.setdefault(label, image)
        if other is not image:
            raise UserError(
                f"{other} and {image} would both have the label {label}: give labels the paths of their images"
            )


def tree(images: str, *without: str) -> list[Item]:
    """List all images under a folder but those below `without`, by path, upright, each called as its path says, without
    suffix (`media.files.named`).
    """
    return [Item(str(path), None, name, exif_turned=True) for path, name in named(images, *without)]


def name_choices(path: Path) -> list[str]:
    """ "x" and "city__x_png"; none from which a sink would cut an ending ("x.png" of x.png.jpg)."""
    flat = "__".join([*path.parts[:-1], f"{path.stem}_{path.suffix[1:]}"])
    return [path.stem, flat] if file_stem(path.stem) == path.stem else [flat]


def _key(path: Path) -> str:
    stem = path.stem
    for ending in ENDINGS:
        if stem.endswith(ending):
            return stem[: -len(ending)]
    return stem


def label_files(labels: Path) -> list[Path]:
    """List labels in any depth of a folder, without the pictures of them that Cityscapes has beside them."""
    return [path for path in search(labels, results=True).paths if not path.stem.endswith(("_color", "_instanceIds"))]


def _label_index(labels: Path) -> dict[str, Path]:
    """Index label files by their place under the folder, with and without ending, and by a stem that no other has."""
    paths = label_files(labels)
    paths.sort(key=lambda path: path.stem.endswith("labelTrainIds"))
    index: dict[str, Path] = {}
    for name in (lambda path: path.stem, _key):
        best: dict[str, Path] = {}
        for path in paths:
            best.setdefault(str(path.relative_to(labels).parent / name(path)), path)
        stems = Counter(name(path) for path in best.values())
        alone = {name(path): path for path in best.values() if stems[name(path)] == 1}
        index = {**alone, **best, **index}
    return index


def _label_of(path: Path, root: Path, of: dict[str, Path], labels: str) -> Path:
    place, key = path.relative_to(root).parent, _key(path)
    for name in (str(place / path.stem), str(place / key), path.stem, key):
        if name in of:
            return of[name]
    missing = f"image without label: {path} has no file {key}.png (or the like) under {labels}"
    return Path(absent_label(Path(labels) / place / f"{key}.png", missing))


def _home(base: Path, mode: str, cfg: Any) -> Path:
    """Find the folder of a mode: `base`/`mode`, or `base` itself; UserError where folders of other modes are there."""
    there = [path.name for path in visible(base.glob("*")) if path.is_dir() and path.name.lower() in _MODES]
    if mode in there or not there or (base / "images").is_dir():
        return base / mode if mode in there else base
    alike = next((f"call {name} {mode}" for name in there if name.lower().startswith(mode)), "add it")
    without = ", or train with --do_eval false" if mode == "val" and not cfg.EVAL.MODE else ""
    raise UserError(f"{base} has {', '.join(there)}, but no folder {mode}: {alike}, or give --list_{mode}{without}")


def items(root: str, mode: str, cfg: Any) -> Split:
    """`<root>/images` and `<root>/labels` (or <root>/<mode>/...), or a folder of images alone."""
    home = _home(Path(root), mode, cfg)
    images, labels = (folder if (folder := home / kind).is_dir() else None for kind in ("images", "labels"))
    if mode == "train" and not cfg.EVAL.MODE and home.is_dir() and not labels:
        there = f"no folder labels in {home}, but {listing_for_message(home)}"
        raise UserError(f"{images or home} has no label; training needs one for each image: {there}")
    return split(str(images or home), str(labels or ""), read_spec(root, cfg), cfg.EVAL.LABEL_IDS)


def read_spec(root: str, cfg: Any) -> DatasetSpec:  # noqa: ARG001
    """Read the classes of --classes, or Cityscapes'."""
    return classfile.read(cfg.DATASET.CLASSES, "folder") if cfg.DATASET.CLASSES else SPEC


def training_labels(root: str, cfg: Any) -> dict[str, list[str]]:
    """List {folder: its labels} of training and validation, which may be the same."""
    folders = [labels for mode in ("train", "val", "") if (labels := Path(root, mode, "labels")).is_dir()]
    return {str(labels): [str(path) for path in label_files(labels)] for labels in folders}


DATASET = DatasetEntry(SPEC, items, read_spec=read_spec, label_files=training_labels, reads=("CLASSES",))
