"""Which errors mean that memory ran out, whoever asked for it."""

from __future__ import annotations

_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "alloc_failed")
_OF_RUNTIMES = ("bad_alloc", "bad allocation", "failed to allocate")


def ran_out(error: BaseException) -> bool:
    """Tell whether this is what Python, torch, cuBLAS, cuDNN or a runtime of exported files raise then."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in (*_SIGNS, *_OF_RUNTIMES))
