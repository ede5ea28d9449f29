"""Names in torch files: those of plain data become holders, those of functions are refused; nothing is ever called."""

from __future__ import annotations

import argparse
import collections
import datetime
import enum
import functools
import io
import os
import pathlib
import pickle
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from yacs.config import CfgNode

from network import weights
from network.weights import inert, metadata
from network.weights.safe_load import read
from utils.errors import UserError


class Odd(collections.OrderedDict):
    """As wrappers of training frameworks subclass it."""


class Color(enum.Enum):
    RED = 1


class Slotted:
    __slots__ = ("a",)

    def __init__(self) -> None:
        self.a = torch.ones(2)


class Loud:
    """Says so if it is made, or given its state."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    def __setstate__(self, state: Any) -> None:
        type(self).made += 1


def save(content: Any, path: Path, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


PLAIN = {
    "namespace": argparse.Namespace(lr=1, path=Path("x")),
    "path": pathlib.PurePosixPath("a/b"),
    "windows path": pathlib.PureWindowsPath("c:/b"),
    "time": datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc),
    "days": datetime.timedelta(3),
    "array": np.arange(6.0).reshape(2, 3),
    "text array": np.array(["a", "bc"]),
    "objects": np.array([{}, None], dtype=object),
    "dtype": np.dtype("float32"),
    "number type": np.float32,
    "enum": Color.RED,
    "slots": Slotted(),
    "simple": types.SimpleNamespace(a=1),
    "loud": Loud(),
    "type": dict,
    "random": np.random.RandomState(0),
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", PLAIN)
def test_plain_data_becomes_inert(tmp_path: Path, name: str, legacy: bool) -> None:
    """Whatever stands beside the weights; they are read."""
    Loud.made = 0
    back = read(save({"state_dict": {"a": torch.arange(3)}, "more": [PLAIN[name]]}, tmp_path / "x.pth", legacy))
    assert torch.equal(back["state_dict"]["a"], torch.arange(3))
    (held,) = back["more"]
    assert isinstance(held, inert.Inert) or (isinstance(held, type) and issubclass(held, inert.Inert))
    assert not vars(held).keys() - {"code", "order"} if isinstance(held, inert.Inert) else True
    assert Loud.made == 0


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("content", "right"),
    [
        (Odd(a=torch.ones(2)), {"a": torch.ones(2)}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (CfgNode({"lr": 1, "model": {"width": 3}}), {"lr": 1, "model": {"width": 3}}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.deque([1, 2]), [1, 2]),
    ],
    ids=["ordered", "default", "yacs", "counter", "deque"],
)
def test_dicts_and_lists_of_other_names(tmp_path: Path, content: Any, right: Any, legacy: bool) -> None:
    """They are ordinary ones, so that weights may lie in them."""
    back = read(save({"x": content}, tmp_path / "x.pth", legacy))["x"]
    assert type(back).__module__ in ("builtins", "collections")
    torch.testing.assert_close(dict(back) if isinstance(right, dict) else back, right)


@pytest.mark.parametrize("value", [np.float64(0.5), np.float32(2), np.int64(-3), np.bool_(True), np.uint8(7)])
def test_numbers_of_numpy_stay(tmp_path: Path, value: Any) -> None:
    back = read(save({"v": value}, tmp_path / "x.pth"))["v"]
    assert back == value and type(back) is type(value)


class Call:
    """Pickled as the call of `function` with `words`."""

    def __init__(self, function: Any, *words: Any) -> None:
        self.function, self.words = function, words

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.words


ATTACKS: dict[str, Callable[[Path], Any]] = {
    "system": lambda hit: Call(os.system, f"touch {hit}"),
    "open": lambda hit: Call(open, str(hit), "w"),
    "eval": lambda hit: Call(eval, f"open({str(hit)!r}, 'w')"),
    "exec": lambda hit: Call(exec, f"open({str(hit)!r}, 'w')"),
    "process": lambda hit: Call(subprocess.Popen, ["touch", str(hit)]),
    "run": lambda hit: Call(subprocess.run, ["touch", str(hit)]),
    "method": lambda hit: Call(Path.touch, hit),
    "attribute": lambda hit: Call(getattr, Path(hit), "touch"),
    "partial": lambda hit: Call(functools.partial(open, str(hit), "w")),
    "torch function": lambda hit: Call(torch.save, torch.ones(1), str(hit)),
    "torch load": lambda hit: Call(torch.hub.load_state_dict_from_url, f"file://{hit}"),
    "numpy function": lambda hit: Call(np.save, str(hit), np.ones(1)),
    "class that writes": lambda hit: Call(zipfile.ZipFile, str(hit), "w"),
    "nested": lambda hit: Call(Call, open, str(hit), "w"),
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused_or_inert(tmp_path: Path, name: str, legacy: bool) -> None:
    """Whichever it is, what the file asks for does not happen, and what comes back is nothing of theirs."""
    hit = tmp_path / "hit"
    path = save({"state_dict": {"a": torch.ones(1)}, "x": ATTACKS[name](hit)}, tmp_path / "x.pth", legacy)
    hit.unlink(missing_ok=True)
    try:
        back = read(path)
        assert isinstance(back["x"], inert.Inert)
    except UserError as error:
        assert str(path) in str(error) and "refused, since it asks for" in str(error) and "\n" not in str(error)
    assert not hit.exists()


RAW = {  # by hand, what pickle itself does not write
    "builtin": b"cbuiltins\neval\n(X\x0e\x00\x00\x00open('HIT','w')tR.",
    "dotted": b"cos\npath.os.system\n(X\x03\x00\x00\x00ls tR.",
    "module as a class": b"ctorch\nSystem\n(X\x03\x00\x00\x00ls tR.",
    "state of a class": b"cpathlib\nPath\n}X\x01\x00\x00\x00aK\x01sb.",
    "state of a function": b"ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00__code__K\x01sb.",
    "made of a made": b"cargparse\nNamespace\n)R)R.",
    "torch's own loader": b"ctorch.serialization\nload\n(X\x03\x00\x00\x00ls tR.",
    "import": b"cantigravity\nThing\n)R.",
    "sub-class hook": b"ctorch._tensor\n_rebuild_from_type_v2\n(cbuiltins\nprint\ncargparse\nNamespace\n)NtR.",
}


@pytest.mark.parametrize("name", RAW)
def test_hand_made_pickles(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = dict(vars(Path))
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as packed:
        packed.writestr("x/data.pkl", b"\x80\x02" + RAW[name])
        packed.writestr("x/version", "3\n")
        packed.writestr("x/byteorder", "little")
    try:
        assert isinstance(read(tmp_path / "x.pth"), inert.Inert)
    except UserError as error:
        assert "\n" not in str(error)
    assert dict(vars(Path)) == before and "antigravity" not in sys.modules
    assert not capsys.readouterr().out


def test_nothing_stays_allowed(tmp_path: Path) -> None:
    """What one file needs is not open to the next one, or to torch."""
    before = set(torch.serialization.get_safe_globals())
    read(save({"a": argparse.Namespace()}, tmp_path / "x.pth"))
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "x.pth", weights_only=True)


def test_an_index_larger_than_its_file_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x/data.pkl", b"\x80\x02" + b"N0" * 1_000_000 + b"N.")
    with pytest.raises(UserError, match="its index is larger than the file"):
        read(tmp_path / "x.pth")


class Cell(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 1, 1)
        self.act = torch.nn.functional.relu


def below(net: torch.nn.Module) -> dict[str, Any]:
    return {"model": net, "epoch": 3}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrap", [lambda net: net, below])
@pytest.mark.parametrize("make", [lambda: torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1)), Cell])
def test_whole_networks_say_how_to_save_them(tmp_path: Path, make: Callable, wrap: Callable, legacy: bool) -> None:
    path = save(wrap(make()), tmp_path / "x.pth", legacy)
    with pytest.raises(UserError, match="a whole pickled network .*torch.save.model.state_dict") as caught:
        weights.read_file(path)
    assert type(make()).__name__ in str(caught.value) and "\n" not in str(caught.value)


def legacy(numel: int, listed: bool = True) -> bytes:
    """A file in the older container with a tensor of `numel` numbers, of which six are there, or none."""
    stream = io.BytesIO()
    torch.save({"a": torch.ones(6)}, stream, _use_new_zipfile_serialization=False)
    data = stream.getvalue().replace(b"K\x06", b"J" + numel.to_bytes(4, "little"))
    return data if listed else data[: data.rindex(b"\x80\x02]")] + b"\x80\x02]."


@pytest.mark.parametrize("listed", [True, False])
def test_storages_larger_than_the_file(tmp_path: Path, listed: bool) -> None:
    """torch makes room for what a file says; a storage that no list names would come back as memory of this process."""
    (tmp_path / "x.pth").write_bytes(legacy(1 << 29, listed))
    with pytest.raises(UserError, match="refused, since it says that its tensors are larger than the file"):
        read(tmp_path / "x.pth")
    (tmp_path / "x.pth").write_bytes(legacy(6))
    assert torch.equal(read(tmp_path / "x.pth")["a"], torch.ones(6))


def archive(path: Path, index: bytes, **more: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in {"data.pkl": index, "version": "3\n", "byteorder": "little", **more}.items():
            packed.writestr(f"x/{name}", data)
    return path


def test_archives_that_are_damaged_locked_or_unpack_to_far_more(tmp_path: Path) -> None:
    save({"a": torch.ones(6)}, tmp_path / "good.pth")
    with zipfile.ZipFile(tmp_path / "good.pth") as packed:
        index = packed.read("good/data.pkl")
    assert read(archive(tmp_path / "x.pth", index, **{"data/0": bytes(24)}))["a"].tolist() == [0] * 6
    with pytest.raises(UserError, match="unpacks to more than 16 times its size"):
        read(archive(tmp_path / "x.pth", index, **{"data/0": bytes(1 << 24)}))
    data = bytearray(archive(tmp_path / "x.pth", index, **{"data/0": bytes(24)}).read_bytes())
    broken, locked = data.copy(), data.copy()
    broken[45:75] = b"\xff" * 30
    for sign, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        locked[locked.index(sign) + at] |= 1
    for odd in (broken, locked):
        (tmp_path / "x.pth").write_bytes(odd)
        with pytest.raises(UserError, match="not a readable checkpoint"):
            read(tmp_path / "x.pth")


def test_a_text_of_more_letters_than_there_are(tmp_path: Path) -> None:
    """Nothing asks the system for 2^62 bytes."""
    start = legacy(6)[:15]
    for count in (1 << 62, 1 << 36):
        (tmp_path / "x.pth").write_bytes(start + b"\x80\x04\x8e" + count.to_bytes(8, "little") + b"abc")
        with pytest.raises(UserError, match="x.pth"):
            read(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "more",
    [
        {"class_names": 5},
        {"optimizer_names": 4},
        {"config": {1.5: 2}},
        {"epoch": float("nan")},
        {"epoch": float("inf")},
    ],
    ids=["classes", "optimizer", "config", "nan", "inf"],
)
def test_parts_of_a_checkpoint_of_ours_that_are_of_another_kind(tmp_path: Path, more: dict[str, Any]) -> None:
    """A line, or the number that stands for none."""
    path = save({"format": "streetscale", "net": {"a": torch.ones(1)}, "arch": "x", **more}, tmp_path / "x.pth")
    try:
        assert weights.read_file(path).epoch == 0
        metadata.of_file(path)
    except UserError as error:
        assert str(path) in str(error) and "\n" not in str(error)
