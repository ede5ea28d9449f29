"""Where a weight file comes from: the disk, an installed package, the hub of Hugging Face, an address."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from http.client import HTTPException
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import torch

from utils import digest
from utils.errors import UserError, in_short

ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".tar", ".npz")
IN_FOLDER = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin")
HASH = "#sha256="
_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.\w+$")  # as torch.hub names its files


def file(given: str | os.PathLike[str]) -> Path:
    """The file on this disk that `given` names: a path, a folder as of Hugging Face, `pip:PACKAGE`, `hf:OWNER/NAME`,
    `url:ADDRESS`; the last three may end in #sha256=HEX, which the file is then compared with.

    UserError where it is not to be had, or is another than the hash says.
    """
    kind, colon, rest = os.fspath(given).partition(":")
    if not colon or kind not in SOURCES:
        return _in_folder(Path(given)) if Path(given).is_dir() else Path(given)
    name, _, sha = rest.partition(HASH)
    found = SOURCES[kind](name, sha)
    if sha and (own := digest.sha256([found])) != sha.lower():
        raise UserError(f"{kind}:{name}: its content has the sha256 {own}, not {sha}: another file, or a damaged one")
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


def _of_hub(name: str, sha: str) -> Path:
    """The file of a repository on Hugging Face, kept in its cache; `name` is OWNER/NAME, perhaps with :FILE."""
    repository, _, wanted = name.partition(":")
    hub = _package("huggingface_hub")
    import_module("huggingface_hub.utils.logging").set_verbosity(logging.CRITICAL)  # each retry is two lines
    wrong: Exception | None = None
    for one in [wanted] if wanted else IN_FOLDER:
        try:
            found = Path(hub.hf_hub_download(repository, one))
        except Exception as error:  # whatever the hub or the network says
            wrong = error
            if type(error).__name__ == "LocalEntryNotFoundError":  # there is no network: nor for the next name
                break
            continue
        published = "" if sha else _published_hash(hub, repository, one)
        if published and digest.sha256([found]) != published:
            raise UserError(f"hf:{name}: {found} is not the file of the hub (sha256 {published}): remove it")
        return found
    cure = "where there is no network, give the file itself as --trunk_weights FILE"
    raise UserError(f"hf:{name} cannot be had ({in_short(wrong)}); {cure}" if wrong else f"hf:{name}: no file")


def _published_hash(hub: Any, repository: str, name: str) -> str:
    """The sha256 that the hub tells of a large file; "" of a small one, and where only the hub's cache is at hand."""
    try:
        tag = str(hub.get_hf_file_metadata(hub.hf_hub_url(repository, name)).etag or "")
    except Exception:  # whatever the hub or the network says: it compared the file when it was downloaded
        return ""
    return tag if len(tag) == 64 else ""


def _of_address(address: str, sha: str) -> Path:
    """A file of the network, kept in torch's cache. Its hash stands in its name, as torch.hub has it, or behind it."""
    in_name = _IN_NAME.search(address)
    if not sha and not in_name:
        raise UserError(f"url:{address}: what an address gives may change: give its hash, url:{address}{HASH}HEX")
    kept = Path(torch.hub.get_dir()) / "checkpoints" / f"{sha[:8]}{Path(address).name}"
    if kept.exists():
        return kept
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(kept), sha or (in_name[1] if in_name else None), progress=False)
    except (OSError, ValueError, RuntimeError, HTTPException) as error:
        cure = "where there is no network, give the file itself as --trunk_weights FILE"
        raise UserError(f"url:{address} cannot be had ({in_short(error)}); {cure}") from None
    return kept


SOURCES: dict[str, Callable[[str, str], Path]] = {"pip": _of_package, "hf": _of_hub, "url": _of_address}


def _in_folder(folder: Path) -> Path:
    """The weight file of a folder as Hugging Face's: its usual one, or the only one."""
    found = [folder / name for name in IN_FOLDER if (folder / name).is_file()]
    found = found or [path for path in sorted(folder.iterdir()) if path.suffix in ENDINGS]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UserError(f"{folder}: weight files in this folder: {names}; give one of them, or one with such")
    return found[0]


def _package(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise UserError(f"the package {name} is needed ({in_short(error)}): pip install {name}") from None
