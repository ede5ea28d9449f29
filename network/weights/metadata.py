"""What a checkpoint says of its network and its data, as options by key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from network.weights import layouts, parse, safe_load
from network.weights.checksum import is_ours
from options import kinds
from options.table import OPTIONS
from utils.errors import UserError

# Options of the run that a checkpoint of ours brings along where the command line names no network.
_RECORDED = ("DATASET.NAME", "DATASET.MAPILLARY_RELEASE", "DATASET.MEAN", "DATASET.STD")
_RECORDED += ("DATASET.IMG_SIZES", "DATASET.IMG_MAX_SIZE", "DATASET.PADDING", "DATASET.CAMVID_CLASSES")
_BUGS = ("grid_false",)  # names of PUBLISHED that are the network's, not its training's
_FILES = ("TRUNK_WEIGHTS", "OFFSET_PRETRAINED", "HRNET_CHECKPOINT", "WRN38_CHECKPOINT", "X71_CHECKPOINT")
WEIGHT_FILES = tuple(f"MODEL.{name}" for name in _FILES)  # options that name files of weights to start from


def of_start(path: Path, arch: str) -> dict[str, Any]:
    """`of_file`, for a command line that names the network `arch` or, empty, none. Where the line speaks, files are
    silent, but for those of a layout that `always` counts.
    """
    layout = layouts.of_path(path)
    return {} if arch and not (layout and layout.always) else of_file(path, arch)


def of_file(path: Path, arch: str = "") -> dict[str, Any]:
    """{config key: value} that a file tells of its network: all of MODEL.* for ours, else the arch, if it has one.

    Raises UserError where a file does not tell enough, and the command line names no network `arch`.
    """
    found = of_content(safe_load.read(path), path, arch)
    for key in OPTIONS.keys() & found:
        OPTIONS[key].coerce(found[key], f"checkpoint {path}: {key}")
    return found


def of_content(content: Any, path: Path, arch: str) -> dict[str, Any]:
    """The same of a file that is read already."""
    if is_ours(content):
        options = recorded(content, path)
        names = [k for k in options if k in _RECORDED or (k.startswith("MODEL.") and k not in WEIGHT_FILES)]
        kept = {key: options[key] for key in names}
        published = bugs_of_network(options.get("PUBLISHED"))
        return kept | ({"PUBLISHED": published} if published else {})
    weights = parse(content, path)
    if not arch and not (weights.arch and all(value != "" for value in weights.options.values())):
        raise UserError(f"checkpoint {path} does not name its network: {weights.question}")
    return {"MODEL.ARCH": weights.arch, **weights.options}


def recorded(content: Any, path: Path) -> Mapping[str, Any]:
    """Give {key: value} of the options of a checkpoint of ours, nothing of another file. UserError for what is none."""
    options = content.get("config") or {} if is_ours(content) else {}
    if not isinstance(options, Mapping):
        raise UserError(f"checkpoint {path}: its config is no keys and values, but {type(options).__name__}")
    if odd := [name for name in options if not isinstance(name, str)]:
        raise UserError(f"checkpoint {path}: its config has a key that is no text, but {odd[0]!r:.40}")
    return options


def bugs_of_network(names: Any) -> str:
    """Those of PUBLISHED's names that are the network's; text with commas."""
    found = kinds.names.read(names)
    return ",".join(name for name in _BUGS if name in found)
