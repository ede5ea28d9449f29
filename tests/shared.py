"""Files that a clone does not have: found beside the repository, or the test is skipped with a reason."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from yacs.config import CfgNode

from options.table import OPTIONS

GOLDEN = Path(__file__).parent / "golden"


def shared_path(relative: str) -> Path:
    """Path of `relative` in the shared folder beside the repository; skips the calling test where it is absent."""
    path = Path(__file__).parents[2] / "shared" / relative
    if not path.exists():
        pytest.skip(f"needs {relative} in the folder 'shared' beside the repository, which a clone does not have")
    return path


def csail_file(name: str = "") -> dict[str, Any]:
    """The tree of one of CSAIL's seven option files, as it was published; none named: their defaults."""
    told = json.loads((GOLDEN / "csail/options.json").read_text())
    tree = copy.deepcopy(told["config_defaults"])
    for group, changes in told["config_files_differences_from_defaults"].get(name, {}).items():
        tree[group] = tree[group] | changes if isinstance(changes, dict) else changes
    return tree


def hrnet_file(name: str = "cityscapes") -> dict[str, Any]:
    """The tree of a published option file with offset vectors, for Cityscapes or ACDC; "": their defaults."""
    told = json.loads((GOLDEN / "offset/options.json").read_text())
    if not name:
        return told["config_defaults"]
    tree = told["config_cityscapes"]
    for key, value in told["config_acdc_differences"].items() if name == "acdc" else ():
        group, _, leaf = key.partition(".")
        tree[group][leaf] = value
    return tree


def dataset_options(**changed: Any) -> CfgNode:
    """Options DATASET.* with their defaults but for those `changed`, as the entry of a dataset is given them."""
    defaults = {key.split(".")[1]: o.default for key, o in OPTIONS.items() if key.startswith("DATASET.")}
    return CfgNode({"DATASET": CfgNode({**defaults, **changed})})
