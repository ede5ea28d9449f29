"""Fixtures that several folders share."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets import toy


@pytest.fixture(scope="session")
def tiny_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embedded scenes, few and small, in the Cityscapes layout."""
    root = tmp_path_factory.mktemp("scenes") / "toy"
    toy.generate(root, counts={"train": 8, "val": 4}, size=(64, 128), workers=1)
    return root


@pytest.fixture
def tiny_run(tiny_scenes: Path, tmp_path: Path) -> list[str]:
    """Command line of a training that takes seconds: 2 epochs of 2 steps; the run folder is `tmp_path`/run."""
    return [
        *("--dataset", "toy", "--data_root", str(tiny_scenes), "--arch", "ocrnet.HRNet_Mscale"),
        *("--width_mult", "0.1", "--segattn_bot_ch", "8", "--crop_size", "64", "--class_uniform_tile", "32"),
        *("--bs_trn", "4", "--max_epoch", "2", "--num_workers", "0", "--lr", "0.01", "--optimizer", "adamw"),
        *("--result_dir", str(tmp_path / "run"), "--syncbn"),
        *("DATASET.CENTROID_ROOT", str(tmp_path / "centroids"), "TRAIN.LOG_EVERY", "1"),
        *("MODEL.OCR.MID_CHANNELS", "16", "MODEL.OCR.KEY_CHANNELS", "8"),
        *("MODEL.OCR_EXTRA.STAGE1.NUM_BLOCKS", "1", "MODEL.OCR_EXTRA.STAGE2.NUM_BLOCKS", "1,1"),
        *("MODEL.OCR_EXTRA.STAGE3.NUM_MODULES", "1", "MODEL.OCR_EXTRA.STAGE3.NUM_BLOCKS", "1,1,1"),
        *("MODEL.OCR_EXTRA.STAGE4.NUM_MODULES", "1", "MODEL.OCR_EXTRA.STAGE4.NUM_BLOCKS", "1,1,1,1"),
    ]
