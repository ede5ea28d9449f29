"""The C library's heap, as a training on a CPU uses it."""

from __future__ import annotations

import ctypes
import sys

# Parameters of glibc's mallopt, from malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
STEP = 64 << 20  # bytes by which the heap grows


def keep() -> bool:
    """Let glibc keep what is freed for the next step, which asks for tensors of the same sizes; whether it does.

    By itself it gives each large one back to the system, whose pages have to be cleared and mapped again: up to a third
    of the processor time of a step. Other C libraries are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    options = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, STEP))
    return bool(set_option) and all(set_option(option, value) for option, value in options)
