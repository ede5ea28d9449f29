"""The temperature of a checkpoint in a file beside it: scripts/compare.py --fit writes it, certainties are by it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inference.rule import EvalRule
from network.weights import layouts
from utils import digest, textfile
from utils.files import write_file

FILE = "temperature.json"


def write(
    checkpoint: Path, temperature: float, classes: Sequence[str], rule: EvalRule, measured: Mapping[str, Any]
) -> Path:
    """Write the temperature of `checkpoint` into its folder. `rule`: what its scores were fitted under; `measured`:
    what else the file says.
    """
    content = {
        "temperature": round(temperature, 6),
        "checkpoint": checkpoint.name,
        "digest": digest.of_files(layouts.files(checkpoint)),
        "classes": list(classes),
        "rule": _plain(rule),
        **measured,
    }
    path = checkpoint.parent / FILE
    write_file(path, json.dumps(content, indent=1).encode() + b"\n")
    return path


def others(checkpoint: Path) -> str:
    """Say of what the file beside a checkpoint is that `write` would replace.

    Empty where there is none, or it is of this checkpoint, or of one that is no longer there.
    """
    path = checkpoint.parent / FILE
    if not path.exists():
        return ""
    try:
        content = textfile.read_json(path)
        name, _ = str(content["checkpoint"]), float(content["temperature"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return f"{path} is there already and no temperature of a checkpoint"
    mine = name == checkpoint.name or not (checkpoint.parent / Path(name).name).exists()
    return "" if mine else f"{path} is there already, of {name}, not of {checkpoint.name}"


def of(checkpoint: Path, classes: Sequence[str], rule: EvalRule) -> tuple[float, str]:
    """Give the temperature that was fitted for a checkpoint, 1 where none was, and a line on it."""
    path = checkpoint.parent / FILE
    if not path.is_file():
        return 1.0, f"certainties are the network's own, not calibrated: scripts/compare.py --fit writes {path}"
    unused = f"certainties are not calibrated: {path} is not used,"
    try:
        content = textfile.read_json(path)
        value = float(content["temperature"])
        known, names, trained = str(content["digest"]), list(content["classes"]), content.get("rule")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return 1.0, f"{unused} since it cannot be read: write it anew by scripts/compare.py --fit"
    if known != digest.of_files(layouts.files(checkpoint)):
        return (
            1.0,
            f"{unused} since it is of another checkpoint ({content.get('checkpoint')}), not of {checkpoint.name}",
        )
    if names != list(classes):
        return 1.0, f"{unused} since it is of other classes"
    if not 0 < value < math.inf:
        return 1.0, f"{unused} since {value:g} is no temperature: it has to be above 0"
    line = f"certainties are calibrated with the temperature {value:.3f} of {path}"
    other = "" if trained == _plain(rule) else "; it was fitted under another way of evaluating (scales, flips, rule)"
    return value, line + other


def _plain(rule: EvalRule) -> dict[str, Any]:
    """Write a rule as JSON gives it back, without what is for the sake of memory."""
    values = json.loads(json.dumps(asdict(rule)))
    return {key: value for key, value in values.items() if key not in ("tile", "overlap")}
