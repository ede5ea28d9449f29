"""The small set that tests of dataset files share."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets_own import make


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The folder of such a set, without a file that describes it."""
    return make(tmp_path / "own")
