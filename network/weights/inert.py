"""Names in a torch file that stand for plain data: options, paths, dates, arrays, dicts with another name.

torch's restricted reader refuses a whole file for one of them. Here each gets a holder of ours in its place, which
keeps nothing; what fills a dict or a list becomes an ordinary one. Nothing that a file names is ever looked up,
imported or called: walking its opcodes tells which names there are, not by running them. Names of functions, and
of what acts on a machine, get no holder: the file stays refused.
"""

from __future__ import annotations

import lzma
import pickletools
import zipfile
import zlib
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from utils.errors import UserError

# Packages whose classes act: they are refused by name.
_ACTING = ("_winapi", "asyncio", "code", "ctypes", "importlib", "multiprocessing", "nt", "os", "posix", "pty", "runpy")
_ACTING += ("shutil", "signal", "socket", "subprocess", "sys", "threading", "urllib", "webbrowser")
# Data whose names do not look like classes. Python 3.11 writes a member of an enumeration by getattr.
_DATA = {
    "builtins": "bool bytes dict float frozenset getattr int list object range slice str tuple type",
    "collections": "defaultdict deque",
    "copyreg": "_reconstructor",
    "datetime": "date datetime time timedelta timezone",
    "functools": "partial",
    "numpy": "bool bool_ dtype float16 float32 float64 int8 int16 int32 int64 ndarray uint8 uint16 uint32 uint64",
    "numpy.core.multiarray": "_reconstruct",
    "numpy._core.multiarray": "_reconstruct",
    "numpy.random._pickle": "__bit_generator_ctor __generator_ctor __randomstate_ctor",
    "re": "_compile",
}
_NARROW = {"Bool": 1, "Byte": 1, "Char": 1, "Half": 2, "BFloat16": 2, "Short": 2, "Float": 4, "Int": 4}  # bytes
LARGEST = 16  # times as large as its file may be what a file unpacks to
_BROKEN = (KeyError, IndexError, EOFError, ValueError, OSError, RuntimeError, MemoryError, zlib.error, lzma.LZMAError)
NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
_NETWORK = frozenset(("_modules", "_parameters"))  # what the state of a whole network has
_SAME = ("ADDITEMS", "APPEND", "APPENDS", "BUILD", "SETITEM", "SETITEMS")  # give back what they fill
_MADE = ("NEWOBJ", "NEWOBJ_EX", "REDUCE")
_PUT, _GET = ("BINPUT", "LONG_BINPUT", "MEMOIZE", "PUT"), ("BINGET", "GET", "LONG_BINGET")
_HEADER = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch's older container: this pickle, two more, the content


class Inert:
    """In place of something that only code of others could read. `network`: it is a whole pickled network."""

    network = False

    def __new__(cls, *_: Any) -> Inert:
        return object.__new__(cls)

    def __init__(self, *_: Any) -> None:
        """Nothing is kept of what a file gives."""

    def __setstate__(self, _: Any) -> None:
        """Nothing is kept of the state that a file sets afterwards."""


class _Dict:
    """In place of a dict with another name: an ordinary one."""

    def __new__(cls, *_: Any) -> Any:
        return OrderedDict()


class _List:
    """In place of a list with another name."""

    def __new__(cls, *_: Any) -> Any:
        return []


class _Kind(Inert):
    """In place of np.dtype: a kind of number and its byte order."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code, self.order = code if code in NUMBERS else "", "|"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1] if state[1] in ("<", ">", "=") else "|"


def _scalar(kind: Any, data: Any = b"") -> Any:
    """A NumPy number, which training scripts store as scores; anything else is left out."""
    if isinstance(kind, _Kind) and kind.code and isinstance(data, bytes):
        return np.frombuffer(data, kind.order + kind.code)[0]
    return Inert()


@dataclass
class Survey:
    """Names that a file asks for; of which of them things are filled as dicts or lists; whole networks."""

    names: set[str] = field(default_factory=set)
    dicts: set[str] = field(default_factory=set)
    lists: set[str] = field(default_factory=set)
    networks: list[str] = field(default_factory=list)
    storages: dict[Any, int] = field(default_factory=dict)  # bytes that the file says they have


@dataclass(eq=False)
class _Thing:
    """What lies on a pickle's stack, as far as it matters: a name, or something `made` by one."""

    name: str = ""
    made: bool = False
    keys: frozenset[str] = frozenset()


_MARK = _Thing("(")


def survey(path: Path) -> Survey:
    """What the pickle in a torch file asks for; nothing for a file that is none. UserError if it is too large."""
    found, size = Survey(), path.stat().st_size
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                _walk(_index(file, size), found)
            else:
                file.seek(0)
                if file.read(len(_HEADER)) == _HEADER:
                    for _ in range(3):
                        _walk(_Bounded(file, size), found)
    except UserError:
        raise
    except (*_BROKEN, zipfile.BadZipFile):
        return Survey()  # torch's reader says what is wrong
    if sum(found.storages.values()) > LARGEST * size:
        raise UserError("refused, since it says that its tensors are larger than the file")
    return found


class _Bounded:
    """A file that is asked for no more than it has: memory is taken for what is asked for."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.readline, self.tell = file.readline, file.tell

    def read(self, count: int) -> bytes:
        """Read up to `count` bytes."""
        return self.file.read(min(count, self.size))


def _index(file: BinaryIO, size: int) -> bytes:
    """The pickle of a torch file in its newer container."""
    with zipfile.ZipFile(file) as packed:
        (entry,) = (entry for entry in packed.infolist() if entry.filename.split("/")[1:] == ["data.pkl"])
        if entry.file_size > size:
            raise UserError("refused, since its index is larger than the file")
        if sum(one.file_size for one in packed.infolist()) > LARGEST * size:
            raise UserError(f"refused, since it unpacks to more than {LARGEST} times its size")
        return packed.read(entry)


def _walk(stream: _Bounded | bytes, found: Survey) -> None:
    """Follow one pickle's stack without running anything. KeyError and others where it is broken."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(stream):  # type: ignore[arg-type]
        if opcode.name in _PUT:
            memo[len(memo) if argument is None else argument] = stack[-1]
        elif opcode.name in _GET:
            stack.append(memo[argument])
        elif opcode.name == "DUP":
            stack.append(stack[-1])
        elif opcode.name == "MARK":
            stack.append(_MARK)
        else:
            taken = _taken(stack, opcode)
            if opcode.stack_after:
                stack.append(_given(opcode.name, argument, taken, found))


def _taken(stack: list[Any], opcode: pickletools.OpcodeInfo) -> list[Any]:
    """What an opcode takes from the stack, the lowest first: so many things, or some and all down to the last mark."""
    before, end = list(opcode.stack_before), len(stack)
    if pickletools.markobject in before:
        del before[before.index(pickletools.markobject) :]
        end = next((i for i in range(end - 1, -1, -1) if stack[i] is _MARK), -1)  # as a rule near the top
        if end < 0:
            raise IndexError("an opcode needs a mark")
    start = end - len(before)
    if start < 0:
        raise IndexError("an opcode takes more than there is")
    taken = [*stack[start:end], *stack[end + 1 :]]
    del stack[start:]
    return taken


def _given(opcode: str, argument: Any, taken: list[Any], found: Survey) -> Any:
    """What an opcode leaves on the stack; names and what is done to things made by them are noted."""
    if opcode in ("GLOBAL", "STACK_GLOBAL", "INST"):
        module, name = taken if opcode == "STACK_GLOBAL" else argument.split(" ", 1)
        thing = _Thing(_now(str(module), str(name)))
        found.names.add(thing.name)
        return thing
    if opcode in _SAME:
        _note(opcode, taken, found)
        return taken[0]
    if opcode == "BINPERSID":
        return taken[0]
    # How the older container names a network's class.
    if opcode.startswith("TUPLE") and taken[:1] == ["module"] and len(taken) > 1:
        return taken[1]
    # ("storage", its class, its name, the device, how many numbers, ...)
    if opcode == "TUPLE" and taken[:1] == ["storage"] and len(taken) > 4 and isinstance(taken[4], int):
        kind = taken[1].name.rpartition(".")[2].removesuffix("Storage") if isinstance(taken[1], _Thing) else ""
        found.storages[taken[2]] = taken[4] * _NARROW.get(kind, 1 if kind == "Untyped" else 8)
    if opcode in _MADE and isinstance(taken[0], _Thing):
        return _Thing(taken[0].name, made=True)
    return argument if isinstance(argument, (str, int)) else _Thing()


def _now(module: str, name: str) -> str:
    """The name as Python 3 has it; protocol 2 writes those of Python 2, and torch's reader turns them back."""
    if (module, name) in NAME_MAPPING:
        module, name = NAME_MAPPING[module, name]
    return f"{IMPORT_MAPPING.get(module, module)}.{name}"


def _note(opcode: str, taken: list[Any], found: Survey) -> None:
    """A thing is filled: as a dict, as a list, or with its state."""
    thing = taken[0]
    if not isinstance(thing, _Thing):
        return
    if opcode.startswith("SETITEM"):
        thing.keys |= _NETWORK & {key for key in taken[1::2] if isinstance(key, str)}
        if thing.made:
            found.dicts.add(thing.name)
    elif opcode == "BUILD":
        if isinstance(taken[1], _Thing) and taken[1].keys == _NETWORK:
            found.networks.append(thing.name)
    elif thing.made:
        found.lists.add(thing.name)


def stand_ins(found: Survey) -> list[Any]:
    """[(class of ours, name in the file)] for `torch.serialization.safe_globals`. Names that torch knows keep its."""
    made: list[Any] = [(_Kind, "numpy.dtype")]
    made += [(_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    for name in sorted(found.names - {name for _, name in made}):
        if _is_data(name):
            made.append((_holder(name, found), name))
    return made


def _is_data(name: str) -> bool:
    """Whether a name is that of a class, by how it is written, and not one that acts."""
    module, _, last = name.rpartition(".")
    if module.partition(".")[0] in _ACTING:
        return False
    return last in _DATA.get(module, "").split() or last.lstrip("_")[:1].isupper()


def _holder(name: str, found: Survey) -> type:
    if name in found.dicts:
        return _Dict
    if name in found.lists:
        return _List
    return type(name, (Inert,), {"network": name in found.networks})


def network_in(content: Any) -> str:
    """Name of the class of a whole pickled network, at the top of what was read or one level below; "" for none."""
    values = content.values() if isinstance(content, Mapping) else (content,)
    return next((type(x).__name__ for x in values if isinstance(x, Inert) and x.network), "")


def names_in(content: Any, depth: int = 3) -> set[str]:
    """Names of what was left out of a file, of the first levels."""
    level, found = {id(content): content}, set[str]()
    for _ in range(depth + 1):
        found |= {type(part).__name__ for part in level.values() if isinstance(part, Inert)}
        level = {id(x): x for part in level.values() if isinstance(part, Mapping) for x in part.values()}
    return found
