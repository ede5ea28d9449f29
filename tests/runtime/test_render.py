"""Why a picture of a folder is left out; runs stand in tests/test_demo.py."""

from __future__ import annotations

import errno

import pytest

from media.reading import PictureError
from runtime.render import _why_left_out
from utils.errors import MemoryShortageError, UserError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PictureError("a.png is truncated"), "a.png is truncated"),
        (MemoryShortageError("even with 64x64"), "a.png: there is no memory for it"),
        (MemoryError(), "a.png: there is no memory for it"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "a.png: there is no memory for it"),
        (UserError("cannot write x: No space left on device"), ""),
        (OSError(errno.EIO, "broken"), ""),
        (RuntimeError("a fault of ours"), ""),
    ],
)
def test_what_others_would_meet_as_well_ends_the_demo(error: Exception, line: str) -> None:
    assert _why_left_out("a.png", error) == line
