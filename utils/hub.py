"""The hub of Hugging Face: weights from a repository there, a folder to one; its package is imported when wanted."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import Any

from utils import digest
from utils.errors import UserError, in_short

START, HASH = "hf:", "#sha256="
WEIGHTS = "model.safetensors"  # as a folder that is shared calls them
NAMES = (WEIGHTS, "open_clip_model.safetensors", "pytorch_model.bin")


def file(name: str, sha: str = "", beside: tuple[str, ...] = ()) -> Path:
    """Get the weights of a repository, kept in the hub's cache; `name` is OWNER/NAME, perhaps with :FILE.

    `beside`: further files that are got where the repository has them. `sha`: the caller compares the file by itself.
    UserError where it is not to be had, or is another than the hub says.
    """
    repository, _, wanted = name.partition(":")
    hub = package()
    wrong: Exception | None = None
    for one in [wanted] if wanted else NAMES:
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
        for other in beside:
            _try(hub, repository, other)
        return found
    cure = "where there is no network, give the file itself: --snapshot FILE, --trunk_weights FILE"
    raise UserError(f"hf:{name} cannot be had ({in_short(wrong)}); {cure}" if wrong else f"hf:{name}: no file")


def checkpoint(given: str, beside: tuple[str, ...]) -> Path:
    """Get the file of `hf:OWNER/NAME`, which may end in #sha256=HEX. UserError as `file`, and for another hash."""
    name, _, sha = given.removeprefix(START).partition(HASH)
    found = file(name, sha, beside)
    digest.check(found, sha, f"{START}{name}")
    return found


def push(folder: Path, repository: str) -> str:
    """Upload a folder to OWNER/NAME, which is made, private, where there is none; gives a line. UserError where the hub
    or the network refuses: the folder stays.
    """
    api = package().HfApi()
    try:
        api.create_repo(repository, exist_ok=True, private=True)
        api.upload_folder(folder_path=str(folder), repo_id=repository, commit_message="Upload a trained network")
    except Exception as error:  # whatever the hub or the network says
        cure = f"log in by `hf auth login`, look at the name and the network; {folder} is whole"
        raise UserError(f"--push {repository}: the hub did not take it ({in_short(error)}); {cure}") from None
    return f"uploaded to hf:{repository}; a new repository is private until you open it there"


def package() -> Any:
    """Import the hub's package, silent. UserError where it is not installed."""
    try:
        found = import_module("huggingface_hub")
        import_module("huggingface_hub.utils.logging").set_verbosity(logging.CRITICAL)  # each retry is two lines
    except ImportError as error:
        raise UserError(
            f"the package huggingface_hub is needed ({in_short(error)}): pip install huggingface_hub"
        ) from None
    return found


def _try(hub: Any, repository: str, name: str) -> None:
    """Get a file that a repository need not have."""
    try:
        hub.hf_hub_download(repository, name)
    except Exception:  # whatever the hub or the network says: who reads the file says that it is not there
        return


def _published_hash(hub: Any, repository: str, name: str) -> str:
    """The sha256 that the hub tells of a large file; "" of a small one, and where only the hub's cache is at hand."""
    try:
        tag = str(hub.get_hf_file_metadata(hub.hf_hub_url(repository, name)).etag or "")
    except Exception:  # whatever the hub or the network says: it compared the file when it was downloaded
        return ""
    return tag if len(tag) == 64 else ""
