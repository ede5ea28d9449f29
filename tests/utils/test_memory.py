"""Errors that mean that memory ran out, as runtimes of exported files say it, and others."""

from __future__ import annotations

import pytest

from utils.memory import ran_out


@pytest.mark.parametrize(
    ("error", "want"),
    [
        (MemoryError(), True),
        (Exception("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc"), True),
        (RuntimeError("Failed to allocate memory for requested buffer of size 17179869184"), True),
        (RuntimeError("Check 'shape' failed"), False),
    ],
)
def test_ran_out(error: Exception, want: bool) -> None:
    assert ran_out(error) is want
