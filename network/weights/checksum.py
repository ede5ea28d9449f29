"""Which files are checkpoints of ours, and whether their content is what was written."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, uint8

from network.weights.extent import Allowance
from utils.errors import UserError

FORMAT = "streetscale"
_verified: set[tuple[str, int, int]] = set()  # path, size and time of files whose sum was right in this process


def is_ours(content: Any) -> bool:
    """Whether what was read is a checkpoint of a run of ours."""
    return isinstance(content, dict) and content.get("format") == FORMAT


def verify(content: Mapping[str, Any], path: Path) -> None:
    """Compare the checksum of a file of ours, once a process. UserError, without the file's name, where it is wrong.

    A file without one was written by somebody else from one of ours: there is nothing to compare.
    """
    found = path.stat()
    identity = (str(path.resolve()), found.st_size, found.st_mtime_ns)
    if identity in _verified or "checksum" not in content:
        return
    rest = {name: x for name, x in content.items() if name != "checksum"}
    if content["checksum"] != checksum(rest, Allowance(found.st_size)):
        advice = "copy or download it again, or take an earlier one; where it was changed on purpose, delete that entry"
        raise UserError(f"damaged (its checksum is wrong): {advice}")
    _verified.add(identity)


def checksum(state: Mapping[str, Any], allowance: Allowance | None = None) -> int:
    """CRC-32 over names, values and tensor bytes, in order; UserError beyond `allowance`."""
    crc = 0
    for name, value in _leaves(state, allowance):
        crc = zlib.crc32(name.encode(), crc)
        if isinstance(value, Tensor):
            flat = value.detach().cpu().contiguous().flatten()
            crc = zlib.crc32(flat.view(uint8).numpy() if flat.numel() else b"", crc)  # type: ignore[arg-type]
        else:
            crc = zlib.crc32(repr(value).encode(), crc)
    return crc


def _leaves(tree: Any, allowance: Allowance | None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if allowance:  # also for what is empty: it is gone through as well
        allowance.take(tree, prefix)
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _leaves(value, allowance, f"{prefix}/{key}")
    elif isinstance(tree, (list, tuple)):
        for index, value in enumerate(tree):
            yield from _leaves(value, allowance, f"{prefix}/{index}")
    else:
        yield prefix, tree
