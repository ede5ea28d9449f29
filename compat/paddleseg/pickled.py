"""Bare pickles of arrays, as Paddle saves them, read without calling anything that the file names.

The few names that such a file needs stand for makers of our own, which look at what they get; all else that it asks
for is refused.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from network.weights.inert import NUMBERS
from utils.errors import UserError

SUFFIXES = (".pdparams", ".pdopt")  # weights, optimizer


class _Kind:
    """Stands for np.dtype: a kind of number and its byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        if code not in NUMBERS:
            raise UserError(f"refused, since it holds arrays of {code!r}; only numbers are read")
        self.code, self.order = str(code), "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, parts, names, fields, *_ = state
        if order not in ("<", ">", "|", "=") or (parts, names, fields) != (None, None, None):
            raise UserError("refused, since it holds structured arrays; only plain ones are read")
        self.order = str(order)


class _Allowance:
    """Bytes that the arrays of a file may still have. A file that names one content often would fill the memory."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, count: int) -> None:
        """Raise UserError where it is used up."""
        self.left -= count
        if self.left < 0:
            raise UserError("refused, since its arrays are larger than the file")


class _Array:
    """Stands for an array whose content follows."""

    __slots__ = ("allowance", "value")

    def __init__(self, allowance: _Allowance) -> None:
        self.allowance = allowance
        self.value: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, data = state
        if not isinstance(kind, _Kind) or not isinstance(data, bytes):
            raise UserError("refused, since an array of it is none of numbers")
        self.allowance.take(len(data))
        flat = np.frombuffer(data, np.dtype(kind.order + kind.code)).astype(kind.code)  # a copy that can be written to
        self.value = flat.reshape([int(side) for side in shape], order="F" if fortran else "C")


class _Maker:
    """Something that a file may call or pass on by name. It has nothing that a file could set."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make

    def __call__(self, *args: Any) -> Any:
        return self.make(*args)

    def __setstate__(self, state: Any) -> None:
        raise UserError("refused, since it tries to change a name")


def _tuple(items: tuple[Any, ...] | list[Any]) -> tuple[Any, ...]:
    """(name, array): how a tensor inside a larger object is written."""
    if not isinstance(items, (tuple, list)) or len(items) > 2:
        raise UserError("refused, since it makes a tuple that is no name and array")
    return tuple(items)


def _ndarray(*_: Any) -> Any:
    raise UserError("refused, since it makes an array without content")


def _makers(allowance: _Allowance) -> dict[str, _Maker]:
    """Map names in the file to what takes their place; NumPy 1 and 2 and protocol 2 (Python 2) have other ones."""

    def encode(text: str, encoding: str) -> bytes:
        """Encode as protocol 2 writes bytes."""
        if encoding != "latin1":
            raise UserError(f"refused, since it encodes bytes as {encoding!r}")
        allowance.take(len(text))
        return text.encode("latin1")

    array, as_tuple = _Maker(lambda *_: _Array(allowance)), _Maker(_tuple)
    return {
        "numpy.core.multiarray._reconstruct": array,
        "numpy._core.multiarray._reconstruct": array,
        "numpy.ndarray": _Maker(_ndarray),
        "numpy.dtype": _Maker(_Kind),
        "_codecs.encode": _Maker(encode),
        "builtins.tuple": as_tuple,
        "__builtin__.tuple": as_tuple,
    }


_SHAPES = (pickle.EMPTY_SET, pickle.FROZENSET, pickle.ADDITEMS, pickle.BYTEARRAY8)
_REGISTERED = (pickle.EXT1, pickle.EXT2, pickle.EXT4)


def _unknown(reader: Any) -> None:
    raise UserError("refused, since it holds more than dicts, lists, text, numbers and arrays of them")


def _with_text_as_keys(opcode: bytes, keys: slice) -> Callable[[Any], None]:
    """Do what the opcode does to a dict, its keys being `keys` of the stack. Nested tuples have no bound on their
    hashing: it may take for ever, or more of the stack than there is.
    """
    done = pickle._Unpickler.dispatch[opcode[0]]

    def load(reader: Any) -> None:
        if not all(isinstance(key, str) for key in reader.stack[keys]):
            raise UserError("refused, since a dict of it has keys that are no text")
        done(reader)

    return load


class _Reader(pickle._Unpickler):
    """Knows the names above and no others. The reader in Python: that in C fills memory up to any number that a file
    gives to an object, and has nothing that could be overridden but the names.
    """

    dispatch = {
        **pickle._Unpickler.dispatch,
        **{opcode[0]: _unknown for opcode in (*_SHAPES, *_REGISTERED)},
        pickle.SETITEM[0]: _with_text_as_keys(pickle.SETITEM, slice(-2, -1)),
        pickle.SETITEMS[0]: _with_text_as_keys(pickle.SETITEMS, slice(0, None, 2)),
        pickle.DICT[0]: _with_text_as_keys(pickle.DICT, slice(0, None, 2)),
    }

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self.makers = _makers(_Allowance(2 * size))  # protocol 2 has every content as text, and then as bytes

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Tell what a name of the file stands for; UserError for names that no array needs."""
        name = f"{module_name}.{global_name}"
        if name not in self.makers:
            raise UserError(f"refused, since it asks for {name!r}; only arrays of numbers are read")
        return self.makers[name]


def load(path: Path) -> Any:
    """Read the content of a pickle: dicts, lists, tuples, text, numbers and arrays.

    Raises UserError, without the file's name, for what is refused; anything else for what is broken.
    """
    with path.open("rb") as file:
        return _finished(_Reader(file).load(), {})


def _finished(value: Any, known: dict[int, Any]) -> Any:
    """Put arrays in place of what stood for them, at any depth; `known`: by id, what has been looked at already."""
    if id(value) not in known:
        known[id(value)] = _finish(value, known)
    return known[id(value)]


def _finish(value: Any, known: dict[int, Any]) -> Any:
    if isinstance(value, _Array):
        if value.value is None:
            raise UserError("refused, since it has an array without content")
        return value.value
    if isinstance(value, dict):
        return {key: _finished(x, known) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_finished(x, known) for x in value)
    if isinstance(value, (_Kind, _Maker)):
        raise UserError("refused, since it holds more than arrays and numbers")
    return value
