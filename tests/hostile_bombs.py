"""Small files that ask for much: of memory, of time, of levels. Each is refused by a line, or read within the bounds."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hostile_seeds as made
import numpy as np
import torch
from hostile_readers import READERS


class Bomb(NamedTuple):
    """A file of a reader. `words`: what its line says, or "read" where it does no harm."""

    reader: str
    data: Callable[[], bytes]
    words: str

    def write(self, folder: Path) -> Path:
        """Write it where its reader finds it, with what lies beside it."""
        reader = READERS[self.reader]
        path = folder / reader.name
        path.parent.mkdir(parents=True, exist_ok=True)
        reader.beside(folder)
        path.write_bytes(self.data())
        return path

    def read(self, path: Path) -> Any:
        """Read it as its reader does."""
        return READERS[self.reader].read(path)


def _torch(content: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def _ours(net: Any) -> bytes:
    return _torch({"format": "streetscale", "checksum": 1, "net": net})


def _zip(**entries: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in entries.items():
            packed.writestr(name.replace("__", "/").replace("_npy", ".npy").replace("_pkl", ".pkl"), data)
    return stream.getvalue()


def _doubled(levels: int, inner: Any = (1,)) -> list[Any]:
    found: list[Any] = [*inner]
    for _ in range(levels):
        found = [found, found]
    return found


def _shared(width: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(3):
        found = {f"k{i}": found or 1 for i in range(width)}
    return found


def _index(numel: int) -> bytes:
    return made.pickles()[3].replace(b"K\x06", b"\x8a\x05" + numel.to_bytes(5, "little"))


def _legacy(numel: int, listed: bool = True) -> bytes:
    data = made.checkpoints(legacy=True)[3].replace(b"K\x06", b"J" + struct.pack("<i", numel))
    return data if listed else data[: data.rindex(b"\x80\x02]")] + b"\x80\x02]."


def _damaged() -> bytes:
    data = bytearray(_zip(x__data_pkl=made.pickles()[0], x__more=np.random.default_rng(0).bytes(4000)))
    data[60:90] = b"\xff" * 30
    return bytes(data)


def _locked() -> bytes:
    data = bytearray(made.packed(made.pickles()[0]))
    for sign, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(sign) + at] |= 1
    return bytes(data)


def _npy(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<i8", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _tensors(shape: list[int], end: int) -> bytes:
    head = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    return struct.pack("<Q", len(head)) + head


def _png(width: int, height: int) -> bytes:
    data = made.pictures((".png",))[0]
    return made.with_checksums(data[:16] + struct.pack(">II", width, height) + data[24:])


_LAUGHS = "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9) or 'lol'}]\n".replace("*a-1, ", "").replace("*a-1", "lol")
    for k in range(9)
)
_MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 9)}]}}\n" for k in range(1, 9))
_KEYS = (
    "".join(f"{' ' * i}{'k' * 1000}{i}:\n" for i in range(100))
    + " " * 100
    + "{"
    + ",".join(f"x{i}: 1" for i in range(3000))
    + "}"
)
_ENTITIES = (
    '<!DOCTYPE a [<!ENTITY b0 "lol">' + "".join(f'<!ENTITY b{k} "{f"&b{k - 1};" * 9}">' for k in range(1, 10)) + "]>"
)
_OUTSIDE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotations>&b;</annotations>'
_TWICE = "{" + ",".join(f'"k{i}":1' for i in range(200_000)) + ',"k199999":2}'

BOMBS: dict[str, Bomb] = {
    "an index that unpacks to 4 MB": Bomb("pth", lambda: _zip(x__data_pkl=b"\x80\x02" + b"N0" * 2_000_000 + b"N."), "larger than the file"),
    "a storage of 2 GB of zeros": Bomb("pth", lambda: _zip(x__data_pkl=made.pickles()[0], x__data__0=bytes(1 << 27)), "unpacks to more"),
    "an index that is damaged": Bomb("pth", _damaged, "not a readable checkpoint"),
    "an index with a password": Bomb("pth", _locked, "not a readable checkpoint"),
    "storages of 2^36 numbers": Bomb("pth", lambda: made.packed(_index(1 << 36)), "larger than the file"),
    "older: storages of 2^29 numbers": Bomb("pth", lambda: _legacy(1 << 29), "larger than the file"),
    "older: storages that no list has": Bomb("pth", lambda: _legacy(1 << 29, False), "larger than the file"),
    "older: a text of 2^62 letters": Bomb("pth", lambda: made.checkpoints(True)[0][:15] + b"\x80\x04\x8e" + b"\0" * 7 + b"\x40", "readable"),
    "one number as a tensor of 2 GB": Bomb("pth", lambda: _ours({"a": torch.zeros(1).expand(1 << 29)}), "larger than the file"),
    "lists of lists, 2^60 in all": Bomb("pth", lambda: _ours(_doubled(60)), "more often"),
    "empty lists of lists, 2^60 in all": Bomb("pth", lambda: _ours(_doubled(60, ())), "more often"),
    "a text of 100,000 letters named 100,000 times": Bomb("pth", lambda: _ours(["x" * 100_000] * 100_000), "more often"),
    "a tensor named 5,000 times": Bomb("pth", lambda: _ours([torch.zeros(10_000)] * 5000), "more often"),
    "tables of tables, 27 billion in all": Bomb("pth", lambda: _torch(_shared(3000)), "no weights in it"),
    "lists within each other, 100,000 levels": Bomb("pth", lambda: made.packed(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."), "no weights|readable"),
    "pdparams: lists of lists, 2^60 in all": Bomb("pdparams", lambda: made.pickle.dumps(_doubled(60), 4), "no weights in it"),
    "pdparams: 100,000 levels": Bomb("pdparams", lambda: b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "not a readable checkpoint"),
    "safetensors: a head of 2^60 bytes": Bomb("safetensors", lambda: struct.pack("<Q", 1 << 60) + b"{" * 99, "checkpoint"),
    "safetensors: a tensor of 2^60 numbers": Bomb("safetensors", lambda: _tensors([1 << 30, 1 << 30], 1 << 62), "damaged or truncated"),
    "safetensors: 100,000 levels": Bomb("safetensors", lambda: struct.pack("<Q", 500_000) + b'{"a":' * 100_000, "checkpoint"),
    "npz: 200 MB of zeros": Bomb("npz", lambda: _zip(marks_npy=_npy((1 << 25,)) + bytes(1 << 28)), "read"),
    "npz: an array of 2^50 numbers": Bomb("npz", lambda: _zip(marks_npy=_npy((1 << 50,))), "read"),
    "npz: a head of brackets": Bomb("npz", lambda: _zip(marks_npy=b"\x93NUMPY\1\0\xe8\3" + b"(" * 1000), "read"),
    "npy: an array of 2^50 numbers": Bomb("npy", lambda: _npy((1 << 50,)), "delete it"),
    "npy: a .npz of its name": Bomb("npy", lambda: _zip(a_npy=_npy((1,))), "delete it"),
    "yaml: billion laughs": Bomb("yaml", lambda: _LAUGHS.encode(), "more than 100000 values"),
    "yaml: billion merges": Bomb("yaml", lambda: _MERGED.encode(), "more than 100000 values"),
    "yaml: names of 100,000 letters": Bomb("yaml", _KEYS.encode, "a name of more than"),
    "yaml: a number to the base of 60": Bomb("yaml", lambda: b"a: 1" + b":1" * 500_000, "quote it as text"),
    "yaml: a fraction to the base of 60": Bomb("yaml", lambda: b"a: 1" + b":1" * 300 + b".5", "quote it as text"),
    "yaml: 50,000 levels": Bomb("yaml", lambda: b"[" * 50_000, "too many levels"),
    "yaml: a Python object": Bomb("yaml", lambda: b"!!python/object/apply:os.system [touch here]", "no valid YAML"),
    "options: a Python object": Bomb("options", lambda: b"A: !!python/object/apply:os.system [touch here]", "no valid YAML"),
    "json: 100,000 levels": Bomb("coco", lambda: b'{"images":' + b"[" * 100_000, "within each other"),
    "json: a number of 5,000 digits": Bomb("labelme", lambda: b'{"shapes": [' + b"9" * 5000 + b"]}", "no valid JSON"),
    "json: records of 100,000 levels": Bomb("records", lambda: b"[" * 100_000, "read"),
    "json: the last of 200,000 names twice": Bomb("odgt", _TWICE.encode, "stands twice"),
    "xml: billion laughs": Bomb("cvat", lambda: f"{_ENTITIES}<annotations>&b9;</annotations>".encode(), "document type"),
    "xml: a file from outside": Bomb("cvat", _OUTSIDE.encode, "document type"),
    "xml: 100,000 levels": Bomb("cvat", lambda: b"<annotations>" * 100_000, "elements within each other"),
    "metrics.csv: a field of 200,000 letters": Bomb("run", lambda: b"train," + b"x" * 200_000 + b"\n", "read"),
    "metrics.csv: times and epochs of no end": Bomb("run", lambda: b"train,epoch,-inf\nval,epoch,1,timestamp,1e300\nval,epoch,inf,mean_iu,1\n", "read"),
    "hparams.json: 100,000 levels": Bomb("run options", lambda: b"[" * 100_000, "read"),
    "upload: a head of 3.6 gigapixels": Bomb("upload", lambda: _png(60_000, 60_000), "at most"),
    "flow: a head of 2^31 x 2^31": Bomb("flow", lambda: _png(0x7FFFFFFF, 0x7FFFFFFF), "holds no flow"),
    "picture: a head of 2^31 x 2^31": Bomb("picture", lambda: _png(0x7FFFFFFF, 0x7FFFFFFF), "p.png"),
}  # fmt: skip
# Those that take a second or more: `make faults` has them too.
LONG = (
    "yaml: billion merges",
    "yaml: billion laughs",
    "yaml: 50,000 levels",
    "lists within each other, 100,000 levels",
)
LONG += ("npz: 200 MB of zeros", "a storage of 2 GB of zeros")
