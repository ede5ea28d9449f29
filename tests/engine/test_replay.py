"""What the record of a run says is taken with care: where it was kept, by how many processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine import replay
from utils.errors import UserError

HEADER = "2026-12-01 00:00:00 timm:resnet18+plain, a, b.yaml, {} process(es) on cpu, run folder x"
OTHERS = (
    "2026-12-01 00:00:00 warning: a, 7 process(es) on cpu, run folder x.png is left out",
    "2026-12-01 00:00:00 /a, b, 7 process(es) on cpu, run folder x.png: no label",
    "the rest of a line, of a name, 7 process(es) on cpu, run folder x.png",
    HEADER.format(0),
    HEADER.format("9" * 5000),
)


@pytest.mark.parametrize("line", OTHERS, ids=lambda line: line[20:60])
def test_processes_are_those_of_the_last_start(tmp_path: Path, line: str) -> None:
    """Not what a name says in another line, nor what no start has logged."""
    for before, count in (([], 1), ([HEADER.format(4), HEADER.format(2)], 2)):
        (tmp_path / "train.log").write_text("\n".join([*before, line, ""]))
        assert replay.world_of(tmp_path) == count


def test_a_record_names_no_place_to_write_and_no_processes(tmp_path: Path) -> None:
    kept, scratch = tmp_path / "kept", tmp_path / "scratch"
    for folder in (kept, scratch):
        folder.mkdir()
    (kept / "camvid.npz").write_bytes(b"made before")
    options: dict[str, Any] = {"MODEL.ARCH": "ocrnet.HRNet_Mscale", "DATASET.NAME": "camvid"}
    options |= {"DATASET.CENTROID_ROOT": str(kept), "DATASET.CACHE_DECODED": str(tmp_path / "decoded")}
    for _ in range(2):
        cfg = replay.read_config(options | {"DATASET.NUM_WORKERS": 100_000}, [], scratch)
        assert cfg.DATASET.CENTROID_ROOT == str(scratch) and cfg.DATASET.CACHE_DECODED == ""
        assert cfg.DATASET.NUM_WORKERS == min(100_000, os.cpu_count() or 1)
        assert (scratch / "camvid.npz").read_bytes() == b"made before"


def test_a_folder_that_is_none_of_a_training(tmp_path: Path) -> None:
    for text, said in (
        ('{"eval": "val"}', "is the folder of an evaluation .--eval val.: give the --result_dir of a training"),
        ("[" * 100_000, "hparams.json cannot be read .too many lists"),
    ):
        (tmp_path / "hparams.json").write_text(text)
        with pytest.raises(UserError, match=said):
            replay.started_with(tmp_path, [])
