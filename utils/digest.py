"""Digests: of a file, of names in order, of the source code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from utils.errors import UserError
from utils.files import opened

_SHOWN = 16  # letters


def of_files(paths: Iterable[Path]) -> str:
    """Tells files from others by their bytes, one after another."""
    return sha256(paths)[:_SHOWN]


def sha256(paths: Iterable[Path]) -> str:
    """The SHA-256 of the files' bytes, one after another, in hexadecimal."""
    sha = hashlib.sha256()
    for path in paths:
        with opened(path) as file:
            while block := file.read(1 << 22):
                sha.update(block)
    return sha.hexdigest()


def check(path: Path, sha: str, called: str) -> None:
    """Compare a file with a SHA-256, "" for none. UserError where it is another."""
    if sha and (own := sha256([path])) != sha.lower():
        raise UserError(f"{called}: its content has the sha256 {own}, not {sha}: another file, or a damaged one")


def of_names(names: Iterable[object]) -> str:
    """Tells a sequence of names from others."""
    sha, between = hashlib.sha256(), b""
    for name in names:
        sha.update(between + str(name).encode(errors="surrogateescape"))
        between = b"\n"
    return sha.hexdigest()[:_SHOWN]


def mark(text: str) -> int:
    """Tell a text from others in eight bytes, the same everywhere: of a million texts two are hardly ever alike."""
    return int.from_bytes(
        hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest(), "big", signed=True
    )


def of_code(root: Path) -> str:
    """Tells the Python files of a repository's top and of its packages from others, without asking version control."""
    packages = sorted(path.parent for path in root.glob("*/__init__.py"))
    files = [*sorted(root.glob("*.py")), *(file for folder in packages for file in sorted(folder.rglob("*.py")))]
    sha = hashlib.sha256()
    for file in files:
        sha.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()[:_SHOWN]
