"""What a file is that is no checkpoint, by its first bytes, and what to do about it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

START = 4096  # bytes that are looked at
ZIP = b"PK\x03\x04"
PICKLE = b"\x80"
TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9"  # its older container
_PAGE = "the address led to a page about the file: follow its download link (GitHub and Hugging Face: raw, resolve)"
_AGAIN, _UNPACK = "copy or download it again", "unpack it, and give the file inside"
_EXPORTED = "give the checkpoint that it was exported from"
_TRAINED, _WEIGHTS = "give the trained network's file", "give the file of the weights"
_OTHERS = "only PyTorch's and Paddle's are read"
FOREIGN_PICKLE = "a pickle that torch.save did not write: save it with that (Paddle's files keep their .pdparams)"
_TENSORS = "save tensors: torch.save({name: tensor}, FILE)"
_SHARDED = "weights in several files are not read: save the network as one"


class File(NamedTuple):
    """What there is to tell by."""

    path: Path
    start: bytes  # the first START bytes

    @property
    def text(self) -> str:
        """The start as text; empty where it is none."""
        found = self.start.decode("utf-8-sig", "replace").strip()
        odd = found.count("\ufffd")  # the last letter may be cut; pages in an older encoding have more
        return "" if odd > len(found) // 20 + 1 or re.search(r"[\x00-\x08\x0e-\x1f\x7f]", found) else found

    @property
    def packed(self) -> list[str]:
        """Names in a zip file; none where it is no whole one."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.namelist()
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
            return []


class Kind(NamedTuple):
    """A kind of file: what tells it, what it is called, what to do."""

    sign: Callable[[File], object]
    what: str
    cure: str


def _begins(*starts: bytes, at: int = 0) -> Callable[[File], object]:
    return lambda file: file.start[at:].startswith(starts)


def _says(pattern: str) -> Callable[[File], object]:
    return lambda file: re.match(pattern, file.text, re.IGNORECASE | re.DOTALL)


def _ends(*suffixes: str) -> Callable[[File], object]:
    return lambda file: file.path.name.lower().endswith(suffixes)


def _holds(*names: str) -> Callable[[File], object]:
    """A zip file that has one of these, at the top or in its one folder."""
    return lambda file: any(name in names or name.partition("/")[2] in names for name in file.packed)


def _cut(file: File) -> bool:
    if not file.start.startswith(ZIP):
        return False
    try:
        return not zipfile.is_zipfile(file.path)
    except zipfile.BadZipFile:  # one of several volumes
        return True


def _arrays(file: File) -> bool:
    """A zip file of nothing but NumPy's arrays."""
    return bool(file.packed) and all(name.endswith(".npy") for name in file.packed)


def _archive(file: File) -> bool:
    """A zip file that torch did not write."""
    return file.start.startswith((ZIP, b"PK\x05\x06")) and not _holds("data.pkl")(file)


def _onnx(file: File) -> bool:
    """Its version, 3 or more, and the name of what wrote it, at the start of a protocol buffer."""
    return bool(re.match(rb"\x08[\x03-\x20][\x12:B]", file.start)) or file.path.suffix == ".onnx"


# The first that fits is named. Suffixes tell only what has no sign of its own.
KINDS = (
    Kind(lambda file: not file.start, "an empty file", "write or download it again"),
    Kind(_says(r"(<!--.*?-->\s*)?<(!doctype html|html|head|body|script)"), "a web page", _PAGE),
    Kind(_says(r"<(\?xml|error)"), "an answer in XML, often a server's refusal", "look into it, and download it again"),
    Kind(_says("version https://git-lfs"), "a Git LFS pointer, not the file itself", "git lfs pull in its repository"),
    Kind(_ends(".part", ".partial", ".crdownload", ".aria2", ".opdownload"), "a download that has not ended",
         "let it go on, or start it again"),
    Kind(_cut, "part of one, truncated", _AGAIN),
    Kind(_holds("constants.pkl"), "a TorchScript program", f"{_EXPORTED}, or save its state_dict()"),
    Kind(_holds("archive_format", "serialized_exported_program.json", "models/model.json"),
         "a program of torch.export (.pt2)", _EXPORTED),
    Kind(_holds("model.weights.h5"), "a model of Keras", _OTHERS),
    Kind(_arrays, "arrays of NumPy (.npz)", _TENSORS),
    Kind(_archive, "a zip archive", _UNPACK),
    Kind(_begins(b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"), "a compressed file (gz, xz)", _UNPACK),
    Kind(_begins(b"7z\xbc\xaf\x27\x1c"), "a 7z archive", _UNPACK),
    Kind(_begins(b"Rar!\x1a\x07"), "a rar archive", _UNPACK),
    Kind(_begins(b"ustar", at=257), "a tar archive", _UNPACK),
    Kind(_begins(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*", b"8BPS"), "a picture", _TRAINED),
    Kind(lambda file: file.start[:2] == b"BM" and file.start[6:10] == bytes(4), "a picture", _TRAINED),
    Kind(_begins(b"WEBP", b"AVI ", at=8), "a picture or a video", _TRAINED),
    Kind(_begins(b"ftyp", at=4), "a video or a picture of a phone", _TRAINED),
    Kind(_begins(b"%PDF"), "a PDF", _TRAINED),
    Kind(_begins(b"\x89HDF\r\n\x1a\n"), "an HDF5 file (Keras, MATLAB)", _OTHERS),
    Kind(_begins(b"\x93NUMPY"), "an array of NumPy (.npy)", _TENSORS),
    Kind(_begins(b"GGUF"), "a GGUF file", _OTHERS),
    Kind(_begins(b"TFL3", at=4), "a TensorFlow Lite model", _OTHERS),
    Kind(_ends(".pdmodel", ".pdiparams", ".pdiparams.info"), "a part of Paddle's inference model",
         "give the .pdparams that training saved"),
    Kind(_onnx, "an ONNX model", _EXPORTED),
    Kind(lambda file: file.start[:3] == b"\x08\x01\x12" or file.path.suffix == ".pb", "a model of TensorFlow", _OTHERS),
    Kind(lambda file: '"weight_map"' in file.text, "the index of weights in several files", _SHARDED),
    Kind(_says(r"[{\[]"), "a JSON file", _WEIGHTS),
    Kind(_says(r"(#[^\n]*\n|---\s*\n|\s)*[\w.]+:(\s|$)"), "a YAML file", f"options go to --cfg; {_WEIGHTS}"),
    Kind(lambda file: not any(file.start), "a file of zeros, as a broken copy leaves it", _AGAIN),
    Kind(lambda file: file.text, "a text file", _WEIGHTS),
)  # fmt: skip


def describe(path: Path) -> str:
    """ "not a checkpoint but WHAT: CURE" of a file that could not be read; empty where its bytes do not tell."""
    file = File(path, _start(path, START))
    kind = next((kind for kind in KINDS if kind.sign(file)), None)
    return "" if kind is None else f"not a checkpoint but {kind.what}: {kind.cure}"


def is_foreign_pickle(path: Path) -> bool:
    """Whether a file is a pickle that torch did not write."""
    start = _start(path, len(TORCH))
    return start.startswith(PICKLE) and start != TORCH


def is_safetensors(path: Path) -> bool:
    """Whether a file has the header of one: the length of a JSON text, and the text."""
    start = _start(path, 9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") <= 100_000_000


def is_arrays(path: Path) -> bool:
    """Whether a file is a whole .npz: a zip file of nothing but NumPy's arrays."""
    start = _start(path, len(ZIP))
    return start == ZIP and _arrays(File(path, start))


def _start(path: Path, count: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(count)
