"""A resume with other classes, or other label values, says what an evaluation of the same pair says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from datasets.classes import ids_of, other_names
from engine import checkpoint, restore
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.errors import UserError

SPEC = DatasetSpec("list (mine)", ("sky", "road", "car"), ((0, 0, 0),) * 3)
OPTIONS = {"MODEL.ARCH": "basic.HRNet", "TRAIN.MAX_ITERS": 0, "TRAIN.EPOCH_ITERS": 0}


def with_ids(*ids: int) -> DatasetSpec:
    return DatasetSpec(
        SPEC.name, SPEC.classes, SPEC.palette, id_to_train={v: k for k, v in enumerate(ids)}, train_to_id=ids
    )


def resumed(tmp_path: Path, spec: DatasetSpec, **facts: Any) -> str:
    """The line of a resume that is refused; "none" where the classes are taken."""
    told = {"class_names": list(SPEC.classes), "class_ids": ids_of(SPEC)} | facts
    path = tmp_path / "last_checkpoint_ep0.pth"
    net = {"x": torch.zeros(1)}
    checkpoint.save({"arch": "basic.HRNet", "config": {}, "net": net, "optimizer": {}, **told}, path)
    try:
        restore.resume(path, None, OPTIONS, DistributedContext(), 1, spec=spec)  # type: ignore[arg-type]
    except UserError as error:
        return str(error)
    except KeyError:  # what such a small file lacks for a continuation
        return "none"
    return pytest.fail("not reached")


@pytest.mark.parametrize(
    ("spec", "facts", "line"),
    [
        (SPEC, {}, "none"),
        (SPEC, {"class_names": ["road", "sky", "car"]}, "'road' there is 'sky' in list (mine) here; keep them"),
        (SPEC, {"class_names": ["sky", "road", "bus"]}, "'bus' there is 'car' in list (mine) here"),
        (with_ids(1, 0, 2), {}, "'sky' was 0 in the labels, in list (mine) it is 1; keep them, or use --snapshot"),
        (with_ids(0, 1, 7), {}, "'car' was 2 in the labels, in list (mine) it is 7"),
        (SPEC, {"class_ids": [0, 255, 2]}, "'road' was 255 in the labels, in list (mine) it is 1"),
        (SPEC, {"class_names": ["sky", "road"]}, "other classes: 2 there, 3 in list (mine) here; keep them"),
        (SPEC, {"class_names": ["sky", "road", "car", "bus"], "class_ids": [0, 1, 2, 3]}, "4 there, 3 in list (mine)"),
        (with_ids(0, 1, 7), {"class_names": ["car"]}, "1 there, 3 in list (mine) here"),
        (SPEC, {"class_names": [], "class_ids": []}, "none"),  # of before names were recorded
        (with_ids(0, 1, 2), {}, "none"),  # written down as what they are anyway
        (with_ids(1, 0, 2), {"class_ids": None}, "none"),  # of before ids were recorded
    ],
)
def test_classes_at_resume(tmp_path: Path, spec: DatasetSpec, facts: dict[str, Any], line: str) -> None:
    found = resumed(tmp_path, spec, **facts)
    assert line in found
    if line != "none":
        assert found.startswith(f"--resume {tmp_path}/last_checkpoint_ep0.pth was trained on other classes: ")


def test_another_number_of_classes_is_told_elsewhere() -> None:
    assert other_names(["sky"], SPEC) == "" and other_names([], SPEC) == ""
