"""Paddle's pickles: every array as it was, and nothing that a file names is called."""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import resource
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.fill import fill
from shared import GOLDEN

from network.weights.safe_load import read
from utils.errors import UserError

PADDLE = GOLDEN / "paddle"
TOLD = json.loads((PADDLE / "sample_pickle.json").read_text())
RECONSTRUCT = np._core.multiarray._reconstruct  # type: ignore[attr-defined]


def describe(value: Any) -> Any:
    return f"ndarray {value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", sorted(TOLD))
def test_samples(name: str) -> None:
    content = read(PADDLE / name)
    assert {key: describe(value) for key, value in content.items()} == TOLD[name]["top"]
    assert list(content) == list(TOLD[name]["top"])
    expected = np.load(PADDLE / "sample_expected.npz")
    for key in expected.files if "opt" not in name else ():
        np.testing.assert_array_equal(content[key], expected[key])
        np.testing.assert_array_equal(content[key], fill("sample." + key, content[key].shape))


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("numpy1", [False, True])
def test_arrays_of_every_kind(tmp_path: Path, protocol: int, numpy1: bool) -> None:
    whole = {
        "half": np.arange(4, dtype=np.float16), "double": np.array(0.5), "flag": np.array([True, False]),
        "bytes": np.arange(256, dtype=np.uint8), "long": np.arange(-3, 3).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "big": np.arange(3, dtype=">f4"),
        "named": ("w_0", np.ones(2, np.float32)), "list": [1, "a", None, 2.5, np.zeros((1, 1))],
    }  # fmt: skip
    data = pickle.dumps(whole, protocol=protocol)
    if numpy1:  # protocol 4 has the length before the name, and that of the whole at the start
        data = data.replace(b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray")
        if protocol == 4:
            data = data[:3] + (len(data) - 11).to_bytes(8, "little") + data[11:]
        data = data.replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
        assert b"numpy.core" in data and b"numpy._core" not in data
    (tmp_path / "x.pdparams").write_bytes(data)
    got = read(tmp_path / "x.pdparams")
    for key in ("half", "double", "flag", "bytes", "long", "columns", "big"):
        np.testing.assert_array_equal(got[key], whole[key])
        assert got[key].dtype == whole[key].dtype.newbyteorder("=") and got[key].flags.writeable
    assert got["named"][0] == "w_0" and got["named"][1].tolist() == [1, 1]
    assert got["list"][:4] == [1, "a", None, 2.5] and got["list"][4].shape == (1, 1)


class Call:
    """Unpickling it calls `what` with these arguments."""

    def __init__(self, what: Any, *args: Any) -> None:
        self.what, self.args = what, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.what, self.args


def refusal(path: Path, data: bytes) -> str:
    """The one line that a file with this content earns."""
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".pdparams", ".pdopt"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("place", ["alone", "value", "after", "array"])
def test_nothing_is_executed(tmp_path: Path, suffix: str, protocol: int, place: str) -> None:
    mark = tmp_path / "sprung"
    trap = Call(os.mkdir, str(mark))
    whole = {
        "alone": trap, "value": {"w": np.ones(2), "x": trap}, "after": [np.ones(2), [trap]],
        "array": {"w": Call(RECONSTRUCT, trap, (0,), b"b")},
    }  # fmt: skip
    data = pickle.dumps(whole[place], protocol=protocol)
    line = refusal(tmp_path / f"evil{suffix}", data)
    assert "posix.mkdir" in line or "nt.mkdir" in line, line
    assert not mark.exists()
    if place == "alone":  # the trap itself works: an unrestricted reader springs it
        pickle.loads(data)
        assert mark.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x031+1\x85R.",
        b"cbuiltins\nexec\n(S'x'\ntR.",
        b"(ios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'x'\no.",  # OBJ
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy\nobject_\n.",
        b"\x80\x04\x8c\x01a\x8c\x0db\nerror: done\x93.",  # a name of two lines
        b"ccopyreg\n_reconstructor\n.",
        b"cpaddle.base.libpaddle\nGeneratorState\n.",
    ],
)
def test_other_names_are_refused(tmp_path: Path, data: bytes) -> None:
    assert "refused, since it asks for" in refusal(tmp_path / "evil.pdparams", data)


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(np.array([1, "a", None], dtype=object), protocol=4),
        pickle.dumps(np.array(["abc"]), protocol=4),
        pickle.dumps(np.zeros(2, dtype=[("a", "f4")]), protocol=4),
        pickle.dumps(np.zeros(2, dtype="c8"), protocol=4),
        pickle.dumps(np.dtype("f4"), protocol=4),
        pickle.dumps(np.ndarray, protocol=4),
        pickle.dumps(Call(np.ndarray, (1 << 40,)), protocol=4),
        pickle.dumps(Call(RECONSTRUCT, np.ndarray, (1 << 40,), b"b"), protocol=4),
        pickle.dumps(np.zeros(2), protocol=5),
    ],
    ids=["objects", "text", "structured", "complex", "kind", "class", "made", "without", "protocol5"],
)
def test_what_is_no_array_of_numbers_is_refused(tmp_path: Path, data: bytes) -> None:
    assert "refused, since" in refusal(tmp_path / "odd.pdparams", data)


def test_a_file_cannot_change_the_reader(tmp_path: Path) -> None:
    """BUILD on a name: it has nothing to set, and the next file is read as ever."""
    for state in (b"}S'make'\nNs", b"N}S'make'\nNs\x86", b"}S'__setstate__'\nNs"):
        assert "refused" in refusal(tmp_path / "evil.pdparams", b"cnumpy\nndarray\n" + state + b"b.")
    assert "conv.weight" in read(PADDLE / "sample.pdparams")


def test_nested_repetitions_take_no_time(tmp_path: Path) -> None:
    bomb: list[Any] = []
    for _ in range(60):
        bomb = [bomb, bomb]
    (tmp_path / "x.pdparams").write_bytes(pickle.dumps(bomb, protocol=4))
    assert len(read(tmp_path / "x.pdparams")) == 2
    loop: list[Any] = []
    loop.append(loop)
    assert "not a readable checkpoint" in refusal(tmp_path / "x.pdparams", pickle.dumps(loop, protocol=4))


KEYS = "keys that are no text"
CONTENT = b"\x80\x04B" + struct.pack("<I", 1 << 16) + bytes(1 << 16) + b"\x94"  # memo 0
SHARED = (
    b"cnumpy\ndtype\n\x8c\x02f4\x89\x88\x87R\x94(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb0"  # memo 1
)
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01M\x00\x40\x85h\x01\x89h\x00tb"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x80\x02})" + b"2\x86" * 60 + b"Ns.", KEYS),  # a hash of 2^60 steps
        (b"\x80\x02})" + b"\x85" * 1_000_000 + b"Ns.", KEYS),  # one that would overflow the stack
        (b"\x80\x02}()" + b"2\x86" * 60 + b"Nu.", KEYS),
        (b"\x80\x02()" + b"2\x86" * 60 + b"Nd.", KEYS),
        (b"}cnumpy\nndarray\nNs.", KEYS),
        (b"\x80\x04\x8f(cnumpy\nndarray\n\x90.", "more than dicts"),
        (b"\x80\x04()" + b"2\x86" * 60 + b"\x91.", "more than dicts"),
        (b"\x80\x02\x82\x01.", "more than dicts"),
        (CONTENT + SHARED + b"(" + ARRAY * 3 + b"l.", "larger than the file"),
        (b"(Vabcdefgh\np0\nc_codecs\nencode\n(g0\nVlatin1\ntRl.", ""),
        (b"(V" + b"a" * 9999 + b"\np0\n" + b"c_codecs\nencode\np1\n" + b"g1\n(g0\nVlatin1\ntR" * 3 + b"l.", "larger"),
        (b"c__builtin__\ntuple\n(](K\x00K\x01K\x02etR.", "no name and array"),
    ],
)
def test_small_files_do_not_take_all_time_or_memory(tmp_path: Path, data: bytes, words: str) -> None:
    """The same trick within bounds is read: once a content is an array, once a text bytes."""
    path = tmp_path / "bomb.pdparams"
    if words:
        assert words in refusal(path, data)
    else:
        path.write_bytes(data)
        assert read(path) == ["abcdefgh", b"abcdefgh"]


def test_a_high_number_of_an_object_costs_nothing(tmp_path: Path) -> None:
    """LONG_BINPUT: a table up to this number would have 16 GB."""
    path = tmp_path / "x.pdparams"
    path.write_bytes(b"\x80\x02}r\x00\x00\x00\x40.")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (pages + (1 << 29), limits[1]))
    try:
        assert read(path) == {}
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    path.write_bytes(CONTENT + SHARED + b"(" + ARRAY * 2 + b"l.")
    assert [x.shape for x in read(path)] == [(1 << 14,)] * 2


@pytest.mark.parametrize("name", ["sample.pdparams", "sample_protocol2.pdparams", "sample.pdopt"])
def test_truncated_and_damaged(tmp_path: Path, name: str) -> None:
    """A cut anywhere is told; a damaged byte gives a line, or other numbers: the format has no checksum."""
    data, path = (PADDLE / name).read_bytes(), tmp_path / name
    assert "empty" in refusal(path, b"")
    for end in range(1, len(data), 7):
        assert "truncated" in refusal(path, data[:end])
    for place in range(0, len(data), 11):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            read(path)
        except UserError as error:
            assert str(path) in str(error) and "\n" not in str(error)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"hello world", "not a checkpoint but a text file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a checkpoint but a picture"),
        (b"PK\x03\x04 torn", "not a checkpoint but part of one, truncated"),
        (b"\x80\x04Pelsewhere\n.", "not a readable checkpoint"),
    ],
)
def test_other_files(tmp_path: Path, data: bytes, what: str) -> None:
    assert what in refusal(tmp_path / "x.pdparams", data)


def test_traps_are_what_they_say() -> None:
    """The hand-written pickles above are well-formed up to the name that is refused."""
    names = [op.name for op, _, _ in pickletools.genops(b"(ios\nsystem\n.")]
    assert names == ["MARK", "INST", "STOP"]
