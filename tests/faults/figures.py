"""Figures of the long runs: one JSON file for each kind of faults, in logs/faults."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "logs" / "faults"


def record(kind: str, figures: dict[str, Any]) -> None:
    """Add figures to those of `kind`, with the date."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{kind}.json"
    before = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**before, **figures, "date": time.strftime("%Y-%m-%d %H:%M")}, indent=1) + "\n")
