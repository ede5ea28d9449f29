"""NumPy's files: numbers as they were, and a ValueError for all that is none."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from utils import arrayfile


def head(shape: tuple[int, ...], kind: str = "<i8") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def packed(path: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(f"{name}.npy", data)
    return path


def test_numbers_are_what_was_saved(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6).reshape(2, 3), "b": np.asfortranarray(np.eye(3)[:2]), "c": np.zeros((0, 2), np.int32)}
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", **arrays)
        found = arrayfile.columns(tmp_path / "x.npz")
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype
    np.save(tmp_path / "x.npy", arrays["b"])
    np.testing.assert_array_equal(arrayfile.mapped(tmp_path / "x.npy"), arrays["b"])
    assert type(arrayfile.mapped(str(tmp_path / "x.npy"))) is np.ndarray


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x" * 200, head((1 << 50,)), head((-1,)), head((2,), "|O"), head((2,)) + b"123",
        b"\x93NUMPY\1\0\xe8\3" + b"(" * 1000, b"\x93NUMPY\3\0" + head((0,))[8:], b"\x93NUMPY\1\0\4\0{,L}",
    ],
    ids=["empty", "text", "huge", "negative", "objects", "short", "brackets", "version", "no table"],
)  # fmt: skip
def test_other_content(tmp_path: Path, data: bytes) -> None:
    """Nothing but a ValueError, and no memory for what a head says alone."""
    with pytest.raises(ValueError):
        arrayfile.columns(packed(tmp_path / "x.npz", a=data))
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises((ValueError, OSError)):
        arrayfile.mapped(tmp_path / "x.npy")


def test_what_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    zeros = head((1 << 23,)) + bytes(1 << 26)
    with pytest.raises(ValueError, match="more than 50 times its size"):
        arrayfile.columns(packed(tmp_path / "x.npz", a=zeros))
    assert len(arrayfile.columns(packed(tmp_path / "x.npz", a=head((1 << 20,)) + bytes(1 << 23)))["a"]) == 1 << 20


def test_damaged_archives(tmp_path: Path) -> None:
    """A byte that is turned anywhere: an error of the one kind, or numbers."""
    data = packed(tmp_path / "x.npz", a=head((3,)) + bytes(24)).read_bytes()
    for place in range(len(data)):
        broken = io.BytesIO(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            arrayfile.columns(broken)
        except ValueError:
            continue
    with pytest.raises(ValueError):
        arrayfile.columns(io.BytesIO(data[:-30]))
    with pytest.raises(OSError):
        arrayfile.columns(tmp_path / "none.npz")
