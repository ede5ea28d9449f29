"""Mapillary Vistas (Neuhold et al. 2017): classes and colors from its own config file, v1.x and v2.0 trees."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from datasets.base import Item, labeled, unlabeled
from datasets.cityscapes import CV_ALL
from datasets.classes import of_table
from datasets.entry import DatasetEntry
from datasets.reading import find_folder
from media.files import listing_for_message
from utils import textfile
from utils.contracts import DatasetSpec
from utils.errors import UserError

# Long edge at which validation images are scored, as published, where --pre_size does not say otherwise.
VAL_SIZE = 2177
SPLITS = {"train": "training", "val": "validation", "test": "testing"}
_MOST = 255  # classes of a file of 8 bits, beside what is ignored


class _Release(NamedTuple):
    """Where a release keeps its config and the labels of a split."""

    configs: tuple[str, ...]
    labels: tuple[str, ...]


RELEASES = {
    "v1.2": _Release(("config_v1.2.json", "config.json"), ("v1.2/labels", "labels")),
    "v2.0": _Release(("config_v2.0.json",), ("v2.0/labels",)),
}
# The 65 classes of v1.2, for networks that are used without the dataset's folder.
_CLASSES = (
    ("Bird", (165, 42, 42)), ("Ground Animal", (0, 192, 0)), ("Curb", (196, 196, 196)), ("Fence", (190, 153, 153)),
    ("Guard Rail", (180, 165, 180)), ("Barrier", (90, 120, 150)), ("Wall", (102, 102, 156)),
    ("Bike Lane", (128, 64, 255)), ("Crosswalk - Plain", (140, 140, 200)), ("Curb Cut", (170, 170, 170)),
    ("Parking", (250, 170, 160)), ("Pedestrian Area", (96, 96, 96)), ("Rail Track", (230, 150, 140)),
    ("Road", (128, 64, 128)), ("Service Lane", (110, 110, 110)), ("Sidewalk", (244, 35, 232)),
    ("Bridge", (150, 100, 100)), ("Building", (70, 70, 70)), ("Tunnel", (150, 120, 90)), ("Person", (220, 20, 60)),
    ("Bicyclist", (255, 0, 0)), ("Motorcyclist", (255, 0, 100)), ("Other Rider", (255, 0, 200)),
    ("Lane Marking - Crosswalk", (200, 128, 128)), ("Lane Marking - General", (255, 255, 255)),
    ("Mountain", (64, 170, 64)), ("Sand", (230, 160, 50)), ("Sky", (70, 130, 180)), ("Snow", (190, 255, 255)),
    ("Terrain", (152, 251, 152)), ("Vegetation", (107, 142, 35)), ("Water", (0, 170, 30)), ("Banner", (255, 255, 128)),
    ("Bench", (250, 0, 30)), ("Bike Rack", (100, 140, 180)), ("Billboard", (220, 220, 220)),
    ("Catch Basin", (220, 128, 128)), ("CCTV Camera", (222, 40, 40)), ("Fire Hydrant", (100, 170, 30)),
    ("Junction Box", (40, 40, 40)), ("Mailbox", (33, 33, 33)), ("Manhole", (100, 128, 160)),
    ("Phone Booth", (142, 0, 0)), ("Pothole", (70, 100, 150)), ("Street Light", (210, 170, 100)),
    ("Pole", (153, 153, 153)), ("Traffic Sign Frame", (128, 128, 128)), ("Utility Pole", (0, 0, 80)),
    ("Traffic Light", (250, 170, 30)), ("Traffic Sign (Back)", (192, 192, 192)),
    ("Traffic Sign (Front)", (220, 220, 0)), ("Trash Can", (140, 140, 20)),
    ("Bicycle", (119, 11, 32)), ("Boat", (150, 0, 255)), ("Bus", (0, 60, 100)),
    ("Car", (0, 0, 142)), ("Caravan", (0, 0, 90)), ("Motorcycle", (0, 0, 230)), ("On Rails", (0, 80, 100)),
    ("Other Vehicle", (128, 64, 64)), ("Trailer", (0, 0, 110)), ("Truck", (0, 0, 70)), ("Wheeled Slow", (0, 0, 192)),
    ("Car Mount", (32, 32, 32)), ("Ego Vehicle", (120, 10, 10)),
)  # fmt: skip

SPEC = of_table("mapillary", _CLASSES, ids=range(len(_CLASSES)), ignored=(len(_CLASSES),))


def release_of(root: str, wanted: str = "") -> tuple[str, Path | None]:
    """Find the release to read and its config file under `root`, None where there is none.

    Where a folder holds both and nothing is `wanted`, v1.2, whose 65 classes are the published ones.
    """
    for name in [wanted] if wanted else RELEASES:
        for config in RELEASES[name].configs:
            if (Path(root) / config).is_file():
                return name, Path(root) / config
    return wanted or "v1.2", None


def read_spec(root: str, cfg: Any) -> DatasetSpec:
    """Read classes and colors as the config file under `root` has them; without one, the 65 of v1.2."""
    name, config = release_of(root, cfg.DATASET.MAPILLARY_RELEASE)
    if config is not None:
        return read_config(config)
    if name != "v1.2":
        raise UserError(_missing(root, name))
    return SPEC


def resolve(root: str, cfg: Any) -> None:
    """Write into `cfg` which release is read, where it does not say so."""
    cfg.DATASET.MAPILLARY_RELEASE = cfg.DATASET.MAPILLARY_RELEASE or release_of(root)[0]


def items(root: str, mode: str, cfg: Any) -> list[Item]:
    """List the images of `mode` (train, val or test), test images without labels; --cv 3 trains on train and val."""
    name, config = release_of(root, cfg.DATASET.MAPILLARY_RELEASE)
    if config is None:
        raise UserError(_missing(root, name))
    both = mode == "train" and cfg.DATASET.CV == CV_ALL
    return [item for part in (("train", "val") if both else (mode,)) for item in _items(root, name, part)]


def _items(root: str, name: str, mode: str) -> list[Item]:
    split = SPLITS[mode]
    images = find_folder(root, (f"{split}/images",), f"Mapillary {split} images")
    if mode == "test":
        return unlabeled(images)
    trees = (f"{split}/{tree}" for tree in RELEASES[name].labels)
    return labeled(images, find_folder(root, trees, f"Mapillary {split} labels {name}"))


def _missing(root: str, name: str) -> str:
    """Word the message for a folder without a config file."""
    looked = " or ".join(
        RELEASES[name].configs if name != "v1.2" else [c for r in RELEASES.values() for c in r.configs]
    )
    base = Path(root)
    there = f"found there: {listing_for_message(base)}" if base.is_dir() else "there is no such folder"
    return (
        f"Mapillary: its classes stand in {looked}, which {root} does not have ({there}); --data_root names the folder"
    )


def read_config(path: Path) -> DatasetSpec:
    """Read classes of a config file: entry i of `labels`, with `readable` and `color`, is label value i.

    "Unlabeled" is ignored; the last entry where none is called so. UserError for a file of another kind.
    """
    text = textfile.read(path)
    try:
        entries = [_entry(label) for label in textfile.parse_json(text)["labels"]]
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f'{path} is no Mapillary config, "labels" with "readable" and "color" ({reason})') from None
    ignored = {i for i, (name, _) in enumerate(entries) if name.lower() == "unlabeled"} or {len(entries) - 1}
    kept = [i for i in range(len(entries)) if i not in ignored]
    if not 2 <= len(kept) <= _MOST:
        raise UserError(f"{path} names {len(kept)} classes, without what is ignored; 2 to {_MOST} can be read")
    return of_table(SPEC.name, [entries[i] for i in kept], kept, ignored)


def _entry(label: dict[str, Any]) -> tuple[str, tuple[int, int, int]]:
    """Read name and color of a class; ValueError if they are none."""
    red, green, blue = (int(channel) for channel in label["color"])
    if not 0 <= min(red, green, blue) <= max(red, green, blue) <= 255:
        raise ValueError(f"color {label['color']}")
    return str(label["readable"]), (red, green, blue)


DATASET = DatasetEntry(SPEC, items, root="MAPILLARY_DIR", read_spec=read_spec, resolve=resolve, val_size=VAL_SIZE)
