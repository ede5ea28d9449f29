"""Option files of other systems, written for a test and read by --cfg."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import config
from utils.errors import UserError

Load = Callable[..., Any]


def loader(file: Path) -> Load:
    """`load(tree, *words)`: the options of a command line with such a file."""

    def load(tree: dict[str, Any], *words: str) -> Any:
        file.write_text(yaml.safe_dump(tree))
        return config.load(["--cfg", str(file), *words])

    return load


def one_line(load: Load, tree: dict[str, Any], *words: str) -> str:
    """The message with which such a command line is refused."""
    with pytest.raises(UserError) as caught:
        load(tree, *words)
    assert "\n" not in str(caught.value)
    return str(caught.value)
