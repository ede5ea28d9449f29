"""KITTI semantics: splits as published, both spellings of the test folder, sizes that differ."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shared import GOLDEN, dataset_options
from yacs.config import CfgNode

import datasets
from datasets import kitti
from utils.distributed import DistributedContext
from utils.errors import UserError

FACTS = json.loads((GOLDEN / "sdcnet/datasets.json").read_text())["kitti"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """200 empty files in the published layout, and two for the test."""
    for folder, count in (("training/image_2", 200), ("training/semantic", 200), ("testing/image_2", 2)):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(count):
            (tmp_path / folder / f"{number:06d}_10.png").touch()
    return tmp_path


@pytest.mark.parametrize("cv", [0, 1, 2])
def test_the_published_splits(cv: int, root: Path) -> None:
    held_out = FACTS["val_indices"][str(cv)]
    assert list(kitti.VAL_FRAMES[cv]) == held_out
    val, train = (kitti.items(str(root), mode, dataset_options(CV=cv)) for mode in ("val", "train"))
    assert [item.name for item in val] == [f"{number:06d}_10" for number in held_out]
    assert [item.name for item in train] == [f"{n:06d}_10" for n in range(200) if n not in held_out]
    assert all(Path(str(item.label)) == root / f"training/semantic/{item.name}.png" for item in val + train)


def test_all_frames_and_those_of_the_test(root: Path) -> None:
    everything = kitti.items(str(root), "train", dataset_options(CV=3))
    assert len(everything) == 200 and everything == kitti.items(str(root), "val", dataset_options(CV=3))
    shown = kitti.items(str(root), "test", dataset_options())
    assert [item.name for item in shown] == ["000000_10", "000001_10"] and not any(item.label for item in shown)
    (root / "testing").rename(root / "test")
    assert [item.name for item in kitti.items(str(root), "test", dataset_options())] == ["000000_10", "000001_10"]


def test_what_is_missing_is_named(root: Path) -> None:
    (root / "training/semantic/000003_10.png").unlink()
    with pytest.raises(UserError, match=r"000003_10\.png needs .*semantic/000003_10\.png"):
        kitti.items(str(root), "train", dataset_options())
    (root / "training/image_2/000003_10.png").unlink()
    with pytest.raises(UserError, match="has 199 images, but split --cv 0 tells which of 200 .*--cv 3"):
        kitti.items(str(root), "train", dataset_options())
    assert len(kitti.items(str(root), "train", dataset_options(CV=3))) == 199
    with pytest.raises(UserError, match="KITTI test images: the folder .* does not exist"):
        kitti.items(str(root / "nowhere"), "test", dataset_options())


def test_frames_of_different_sizes_train_and_validate(
    tmp_path: Path, write_file: Callable[[Path, np.ndarray], None], make_cfg: Callable[..., CfgNode]
) -> None:
    for number, size in enumerate(((37, 124), (38, 123), (37, 122))):
        write_file(tmp_path / f"training/image_2/{number}.png", np.full((*size, 3), 9, np.uint8))
        write_file(tmp_path / f"training/semantic/{number}.png", np.full(size, 7, np.uint8))
    cfg = make_cfg("--dataset", "kitti", "--data_root", tmp_path, "--cv", "3", "--bs_trn", "3", "--crop_size", "32")
    (batch,) = list(datasets.build_train(cfg, DistributedContext()))
    assert batch["image"].shape == (3, 3, 32, 32) and set(batch["label"].unique().tolist()) <= {0, 255}
    seen = [size for batch in datasets.build_val(cfg, DistributedContext()) for size in batch["size"]]
    assert seen == [(37, 124), (38, 123), (37, 122)]
