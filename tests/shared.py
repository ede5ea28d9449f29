"""Files that a clone does not have: found beside the repository, or the test is skipped with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


def shared_path(relative: str) -> Path:
    """Path of `relative` in the shared folder beside the repository; skips the calling test where it is absent."""
    path = Path(__file__).parents[2] / "shared" / relative
    if not path.exists():
        pytest.skip(f"needs {relative} in the folder 'shared' beside the repository, which a clone does not have")
    return path
