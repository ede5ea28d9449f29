"""Files that are no checkpoint are called by their name, each with what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch

from network.weights.safe_load import read
from utils.errors import UserError


def picture(suffix: str) -> bytes:
    return cv2.imencode(suffix, np.zeros((8, 8, 3), np.uint8))[1].tobytes()


def weights() -> bytes:
    file = io.BytesIO()
    torch.save({"a": torch.ones(300)}, file)
    return file.getvalue()


def packed(**names: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in names.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"), io.BytesIO())
    return file.getvalue()


def scripted() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Conv2d(1, 1, 1), torch.ones(1, 1, 2, 2)), file)
    return file.getvalue()


def arrays() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.ones(2))
    return file.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 133\n"
INDEX = json.dumps({"metadata": {"total_size": 1}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}).encode()
CASES: dict[str, tuple[Callable[[], bytes], str, str]] = {  # content, what it is called, what to do
    "page": (lambda: b"<!DOCTYPE html><html><title>Virus scan warning</title></html>\n", "a web page", "download link"),
    "page with mark": (lambda: "\ufeff\n <html lang='de'>Größe".encode(), "a web page", "download link"),
    "long page": (lambda: b"<!-- saved -->\n<HTML>" + "ä".encode() * 5000, "a web page", "download link"),
    "latin page": (lambda: b"<html>" + b"words " * 50 + b"\xe4", "a web page", "download link"),
    "refusal": (lambda: b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an answer in XML", "look"),
    "pointer": (lambda: LFS, "a Git LFS pointer", "git lfs pull"),
    "zip": (lambda: packed(model_dot_pth=weights()), "a zip archive", "unpack it"),
    "zeros": (lambda: bytes(70000), "a file of zeros", "copy or download it again"),
    "start of a large one": (lambda: weights()[:700] + bytes(30000), "part of one, truncated", "download it again"),
    "empty zip": (packed, "a zip archive", "unpack it"),
    "gz": (lambda: gzip.compress(weights()), "a compressed file", "unpack it"),
    "bz2": (lambda: bz2.compress(weights()), "a compressed file", "unpack it"),
    "tar": (tarred, "a tar archive", "unpack it"),
    "7z": (lambda: b"7z\xbc\xaf\x27\x1c" + bytes(50), "a 7z archive", "unpack it"),
    "rar": (lambda: b"Rar!\x1a\x07\x01\x00" + bytes(50), "a rar archive", "unpack it"),
    "png": (lambda: picture(".png"), "a picture", "trained network"),
    "jpeg": (lambda: picture(".jpg"), "a picture", "trained network"),
    "bmp": (lambda: picture(".bmp"), "a picture", "trained network"),
    "webp": (lambda: picture(".webp"), "a picture", "trained network"),
    "text": (lambda: b"hello world", "a text file", "file of the weights"),
    "json": (lambda: b'{"a": 1}', "a JSON file", "file of the weights"),
    "yaml": (lambda: b"# options\nMODEL:\n  ARCH: x\n", "a YAML file", "--cfg"),
    "index": (lambda: INDEX, "the index of weights in several files", "as one"),
    "npz": (arrays, "arrays of NumPy", "torch.save"),
    "script": (scripted, "a TorchScript program", "state_dict"),
    "exported": (lambda: packed(m__archive_format=b"pt2", m__models__model_dot_json=b"{}"), "torch.export", "exported"),
    "onnx": (lambda: b"\x08\x0a\x12\x07pytorch\x1a\x032.1", "an ONNX model", "exported"),
    "hdf": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file", "only PyTorch"),
    "keras": (lambda: packed(model_dot_weights_dot_h5=b"x", config_dot_json=b"{}"), "a model of Keras", "only PyTorch"),
    "tensorflow": (lambda: b"\x08\x01\x12\xd5\x0c\x0a" + bytes(50), "a model of TensorFlow", "only PyTorch"),
    "pickle": (lambda: pickle.dumps({"a": 1}), "a pickle that torch.save did not write", "save it with that"),
    "empty": (lambda: b"", "an empty file", "download it again"),
    "cut": (lambda: weights()[:-200], "truncated", "download it again"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, name: str) -> None:
    content, what, cure = CASES[name]
    path = tmp_path / "net.pth"
    path.write_bytes(content())
    with pytest.raises(UserError) as caught:
        read(path)
    line = str(caught.value)
    assert str(path) in line and what in line and cure in line and "\n" not in line


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("net.pth.part", "a download that has not ended"),
        ("net.pth.crdownload", "a download that has not ended"),
        ("model.pdiparams", "a part of Paddle's inference model"),
        ("model.pdmodel", "a part of Paddle's inference model"),
        ("model.onnx", "an ONNX model"),
        ("frozen.pb", "a model of TensorFlow"),
    ],
)
def test_what_a_suffix_tells(tmp_path: Path, name: str, what: str) -> None:
    """Of files whose bytes tell nothing."""
    (tmp_path / name).write_bytes(weights()[:60] if ".pth" in name else bytes(60))
    with pytest.raises(UserError, match=f"not a checkpoint but {what}"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["net.pth.part", "page.html", "picture.png", "model.onnx", "weights"])
def test_names_alone_do_not_refuse(tmp_path: Path, name: str) -> None:
    """A whole file is read, whatever it is called."""
    (tmp_path / name).write_bytes(weights())
    assert torch.equal(read(tmp_path / name)["a"], torch.ones(300))


@pytest.mark.parametrize("name", ["net.safetensors", "net.pth", "net"])
@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"epoch": "3"}])
def test_safetensors_are_told_by_their_content(tmp_path: Path, name: str, metadata: dict[str, str] | None) -> None:
    state = {
        "a": torch.randn(3, 2),
        "half": torch.randn(4).bfloat16(),
        "count": torch.tensor(7),
        "none": torch.zeros(0),
    }
    safetensors.torch.save_file(state, tmp_path / name, metadata)
    back = read(tmp_path / name)
    assert back.keys() == state.keys()
    assert all(torch.equal(x, state[key]) and x.dtype == state[key].dtype for key, x in back.items())


def test_a_torch_file_called_safetensors(tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_bytes(weights())
    assert torch.equal(read(tmp_path / "net.safetensors")["a"], torch.ones(300))


@pytest.mark.parametrize("kind", ["flax", "tf", "mlx"])
def test_safetensors_of_others_lie_otherwise(tmp_path: Path, kind: str) -> None:
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / "x.safetensors", {"format": kind})
    with pytest.raises(UserError, match=f"safetensors of {kind}"):
        read(tmp_path / "x.safetensors")


@pytest.mark.parametrize("damage", ["cut", "offsets", "json"])
def test_damaged_safetensors(tmp_path: Path, damage: str) -> None:
    data = safetensors.torch.save({"a": torch.ones(50)})
    text = {"offsets": b'{"a":{"dtype":"F32","shape":[50],"data_offsets":[0,9000000]}}', "json": b"{no json"}.get(
        damage
    )
    (tmp_path / "x.pth").write_bytes(struct.pack("<Q", len(text)) + text + bytes(200) if text else data[:-40])
    with pytest.raises(UserError, match="a damaged or truncated safetensors file") as caught:
        read(tmp_path / "x.pth")
    assert "\n" not in str(caught.value)
