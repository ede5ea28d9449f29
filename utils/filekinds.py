"""What a file is that is no checkpoint, by its first bytes, and what to do about it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

START = 4096  # bytes that are looked at
WEIGHTS = (".ckpt", ".pdparams", ".pkl", ".pt", ".pth", ".safetensors", ".tar")  # what may lie inside an archive
ZIP = b"PK\x03\x04"
PICKLE = b"\x80"
TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9"  # its older container
_AGAIN = "download it again"
_UNPACK = "unpack it, and give the file inside"
_EXPORTED = "give the checkpoint that it was exported from"


class File(NamedTuple):
    """What there is to tell by."""

    path: Path
    start: bytes  # the first START bytes

    @property
    def text(self) -> str:
        """The start as text; empty where it is none."""
        try:
            found = self.start.decode("utf-8-sig" if len(self.start) < START else "latin1").strip()
        except UnicodeDecodeError:
            return ""
        return "" if re.search(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]", found) else found


class Kind(NamedTuple):
    """A kind of file: how it is told, what it is called, what to do."""

    sign: Callable[[File], object]
    what: str
    cure: str


def _begins(*starts: bytes) -> Callable[[File], object]:
    return lambda file: file.start.startswith(starts)


def _says(pattern: str) -> Callable[[File], object]:
    return lambda file: re.match(pattern, file.text, re.IGNORECASE)


def _ends(*suffixes: str) -> Callable[[File], object]:
    return lambda file: file.path.name.lower().endswith(suffixes)


def _names(file: File) -> list[str]:
    """Names inside a zip file, without the folder around them all; none where it is no whole one."""
    try:
        with zipfile.ZipFile(file.path) as packed:
            return [str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in packed.namelist()]
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return []


def _inside(file: File) -> list[str]:
    """Whole names inside a zip file."""
    try:
        with zipfile.ZipFile(file.path) as packed:
            return packed.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return []


def _holds(*names: str) -> Callable[[File], object]:
    """A zip file that has one of these, at the top or in its one folder."""
    return lambda file: file.start.startswith(ZIP) and {*names} & {*_names(file), *_inside(file)}


def _cut(file: File) -> bool:
    return file.start.startswith(ZIP) and not zipfile.is_zipfile(file.path)


def _tar(file: File) -> bool:
    return file.start[257:262] == b"ustar"


def _arrays(file: File) -> bool:
    names = _inside(file) if file.start.startswith(ZIP) else []
    return bool(names) and all(name.endswith(".npy") for name in names)


def _around(file: File) -> bool:
    """A zip file that torch did not write."""
    return file.start.startswith((ZIP, b"PK\x05\x06")) and "data.pkl" not in _names(file)


# The first that fits is named. Suffixes alone tell only what has no sign of its own.
KINDS = (
    Kind(lambda file: not file.start, "an empty file", "write or download it again"),
    Kind(_says(r"(<!--.*?-->\s*)?<(!doctype html|html|head|body|script)"), "a web page",
         "the address led to a page about the file: follow its download link (on GitHub and Hugging Face: raw, resolve)"),
    Kind(_says(r"<(\?xml|error|svg)"), "an answer in XML, often a server's refusal", _AGAIN),
    Kind(_says(r"version https://git-lfs"), "a Git LFS pointer, not the file itself", "git lfs pull in its repository"),
    Kind(_ends(".part", ".crdownload", ".partial", ".aria2", ".opdownload"), "a download that has not ended",
         "let it go on, or start it again"),
    Kind(_cut, "cut short (a truncated torch or zip file)", "copy or download it again"),
    Kind(_holds("constants.pkl"), "a TorchScript program", _EXPORTED + ", or save its state_dict()"),
    Kind(_holds("archive_format", "serialized_exported_program.json", "models/model.json"),
         "a program of torch.export (.pt2)", _EXPORTED),
    Kind(_holds("model.weights.h5", "config.json"), "a model of Keras", "only PyTorch's and Paddle's are read"),
    Kind(_arrays, "arrays of NumPy (.npz)", "save them as tensors: torch.save({name: tensor}, FILE)"),
    Kind(_around, "a zip archive", _UNPACK),
    Kind(_begins(b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"), "a compressed file", _UNPACK),
    Kind(_begins(b"7z\xbc\xaf\x27\x1c"), "a 7z archive", _UNPACK),
    Kind(_begins(b"Rar!\x1a\x07"), "a rar archive", _UNPACK),
    Kind(_tar, "a tar archive", _UNPACK),
    Kind(_begins(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*", b"8BPS"), "a picture",
         "give the trained network's file"),
    Kind(lambda file: file.start[:2] == b"BM" and file.start[6:10] == bytes(4), "a picture",
         "give the trained network's file"),
    Kind(lambda file: file.start[:4] == b"RIFF" and file.start[8:12] in (b"WEBP", b"AVI "), "a picture or a video",
         "give the trained network's file"),
    Kind(lambda file: file.start[4:8] == b"ftyp", "a video", "give the trained network's file"),
    Kind(_begins(b"%PDF"), "a PDF", "give the trained network's file"),
    Kind(_begins(b"\x89HDF\r\n\x1a\n"), "an HDF5 file (Keras, MATLAB)", "only PyTorch's and Paddle's are read"),
    Kind(_begins(b"\x93NUMPY"), "an array of NumPy (.npy)", "save tensors: torch.save({name: tensor}, FILE)"),
    Kind(_begins(b"GGUF"), "a GGUF file", "only PyTorch's and Paddle's are read"),
    Kind(lambda file: file.start[4:8] == b"TFL3", "a TensorFlow Lite model", "only PyTorch's and Paddle's are read"),
    Kind(_ends(".pdmodel", ".pdiparams", ".pdiparams.info"), "a part of Paddle's inference model",
         "give the .pdparams that training saved"),
    Kind(lambda file: file.start[:1] == b"\x08" and 3 <= file.start[1] <= 32 and file.start[2:3] in (b"\x12", b":", b"B")
         or _ends(".onnx")(file), "an ONNX model", _EXPORTED),
    Kind(lambda file: file.start[:3] == b"\x08\x01\x12" or _ends(".pb", ".tflite")(file), "a model of TensorFlow",
         "only PyTorch's and Paddle's are read"),
    Kind(lambda file: file.text[:1] in "{[" and '"weight_map"' in file.text,
         "the index of weights in several files", "such sharded weights are not read: save the network as one file"),
    Kind(lambda file: file.text and file.text[0] in "{[", "a JSON file", "give the file of the weights"),
    Kind(_says(r"(#[^\n]*\n|---\s*\n|\s)*[\w.]+:(\s|$)"), "a YAML file", "options go to --cfg; give the file of the weights"),
    Kind(lambda file: file.text, "a text file", "give the file of the weights"),
)  # fmt: skip


def told(path: Path) -> str:
    """ "not a checkpoint but WHAT: CURE" of a file that could not be read; empty where its bytes do not tell."""
    with path.open("rb") as stream:
        file = File(path, stream.read(START))
    kind = next((kind for kind in KINDS if kind.sign(file)), None)
    return "" if kind is None else f"not a checkpoint but {kind.what}: {kind.cure}"


def is_foreign_pickle(path: Path) -> bool:
    """Whether a file is a pickle that torch did not write."""
    with path.open("rb") as stream:
        start = stream.read(len(TORCH))
    return start.startswith(PICKLE) and start != TORCH


def is_safetensors(path: Path) -> bool:
    """Whether a file has the header of one: the length of a JSON text, and the text."""
    with path.open("rb") as stream:
        start = stream.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") <= 100_000_000
