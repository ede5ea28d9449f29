"""--maxSkip: frames around the labeled ones, found by name, drawn by class, dropped with --max_cu_epoch."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shared import dataset_options
from yacs.config import CfgNode

import datasets
from datasets import camvid
from datasets.base import Item
from datasets.loaders import TrainLoader
from utils.distributed import DistributedContext
from utils.errors import UserError

RARE = 33  # raw id of bicycle: no fine label has it
BICYCLE = 18


@pytest.fixture
def root(cityscapes_root: Path, write_file: Callable[[Path, np.ndarray], None]) -> Path:
    """Six training images, frames 0 to 2 of two cities, without bicycles; frames 4 before and after, with some."""
    for path in cityscapes_root.rglob("*_labelIds.png"):
        write_file(path, np.full((32, 64), 7, np.uint8))
    for city in ("aachen", "ulm"):
        for frame in (4, 5, 6):  # 4 after each; nothing lies 4 before
            stem = f"cs_aug/{{}}/train/{city}/{city}_000000_{frame:06d}_"
            write_file(
                cityscapes_root / (stem.format("leftImg8bit") + "leftImg8bit.png"), np.zeros((32, 64, 3), np.uint8)
            )
            label = np.full((32, 64), 7, np.uint8)
            label[8:24, 8:24] = RARE
            write_file(cityscapes_root / (stem.format("gtFine") + "gtFine_labelIds.png"), label)
    return cityscapes_root


@pytest.fixture
def build(root: Path, make_cfg: Callable[..., CfgNode]) -> Callable[..., TrainLoader]:
    def make(*flags: str) -> TrainLoader:
        words = ["--dataset", "cityscapes", "--data_root", str(root), "--bs_trn", "1", "--max_epoch", "4"]
        return datasets.build_train(make_cfg(*words, *flags), DistributedContext())

    return make


def drawn(loader: TrainLoader, epoch: int) -> set[str]:
    """Names of all items of an epoch."""
    loader.sampler.set_epoch(epoch)
    return {loader.dataset.items[draw.index].name for batch in loader.sampler for draw in batch}


USED = ("--maxSkip", "4", "--class_uniform_pct", "1", "--max_cu_epoch", "2", "DATASET.TRAIN_FRACTION", "1.0")


def test_classes_are_drawn_from_the_frames_around_until_max_cu_epoch(
    build: Callable[..., TrainLoader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.samplers.crops_per_class", lambda count, share, classes: 2)  # 6 images are few
    monkeypatch.setattr("datasets.samplers._cycled", lambda length, count, rng: list(range(min(length, max(count, 0)))))
    loader = build(*USED)
    assert len(loader.dataset.items) == 12
    around = {f"{city}_000000_{frame:06d}_leftImg8bit" for city in ("aachen", "ulm") for frame in (4, 5, 6)}
    assert drawn(loader, 1) & around and not drawn(loader, 2) & around
    assert loader.dataset.notes == ("note: --maxSkip 4: 6 frames around 6 images; 6 are not there",)


def test_a_share_of_the_images_brings_its_own_frames_only(build: Callable[..., TrainLoader]) -> None:
    loader = build(*USED[:-1], "0.34")
    fine = {draw.index for batch in loader.sampler for draw in batch if draw.index < 6}
    rows = loader.sampler.centroids[BICYCLE]  # type: ignore[union-attr]
    names = [loader.dataset.items[i].name for i in sorted({int(i) for i in rows[:, 0]})]
    kept = [loader.dataset.items[i].name for i in loader.sampler.images]  # type: ignore[union-attr]
    assert len(names) == len(kept) == 2 and fine <= set(loader.sampler.images)  # type: ignore[union-attr]
    for name, origin in zip(names, kept, strict=True):
        assert name.split("_")[0] == origin.split("_")[0] and int(name.split("_")[2]) == int(origin.split("_")[2]) + 4


def test_validation_never_sees_them(root: Path, make_cfg: Callable[..., CfgNode]) -> None:
    cfg = make_cfg("--dataset", "cityscapes", "--data_root", root, *USED)
    for mode, count in (("val", 3), ("trn", 6)):
        assert len(datasets.build_val(cfg, DistributedContext(), mode).dataset) == count


def test_mistakes_are_one_line(build: Callable[..., TrainLoader], root: Path, make_cfg: Callable[..., CfgNode]) -> None:
    with pytest.raises(UserError, match="no frame 9 before or after any of 6 images: looked in .*cs_aug"):
        build("--maxSkip", "9", *USED[2:])
    next((root / "cs_aug/gtFine").rglob("*.png")).unlink()
    with pytest.raises(UserError, match="--maxSkip 4: .*leftImg8bit.png needs .*labelIds.png, which is not there"):
        build(*USED)
    shutil.rmtree(root / "cs_aug")
    with pytest.raises(UserError, match=r"frames with propagated labels \(--aug_dir\).*cs_aug does not exist"):
        build(*USED)
    with pytest.raises(UserError, match="--maxSkip is of --class_uniform_pct, on crops"):
        build("--maxSkip", "1", "--class_uniform_pct", "0")
    with pytest.raises(UserError, match="--maxSkip: kitti does not read it, only cityscapes, camvid and toy do"):
        for name in ("image_2", "semantic"):
            for path in (root / "leftImg8bit_trainvaltest").rglob("*aachen*0_leftImg8bit.png"):
                (root / "training" / name).mkdir(parents=True)
                shutil.copy(path, root / "training" / name / "a.png")
        datasets.build_train(
            make_cfg("--dataset", "kitti", "--data_root", root, "--cv", "3", *USED[:4]), DistributedContext()
        )


@pytest.mark.parametrize(
    "name, expected",
    [("0001TP_006690", "0001TP_006692"), ("0006R0_f00930", "0006R0_f00932"), ("0016E5_00390", "0016E5_00392")],
)
def test_frames_of_camvid_keep_their_sequence_s_digits(name: str, expected: str) -> None:
    place = camvid.adjacent_frames("", dataset_options(AUG_DIR="aug")).files
    item = Item(f"/data/train/{name}.png", "x", name)
    assert place(item, 2) == (Path(f"aug/train/{expected}.png"), Path(f"aug/trainannot/{expected}.png"))
    assert place(item._replace(name="no frame"), 2) is None and place(item, -10_000) is None


def test_camvid_takes_them_from_its_own_tree(
    tmp_path: Path, write_file: Callable[[Path, np.ndarray], None], make_cfg: Callable[..., CfgNode]
) -> None:
    for place, names in (("", ("0001TP_000010",)), ("camvid_aug3/CamVid/", ("0001TP_000009", "0001TP_000011"))):
        for name in names:
            write_file(tmp_path / f"{place}train/{name}.png", np.zeros((32, 64, 3), np.uint8))
            write_file(tmp_path / f"{place}trainannot/{name}.png", np.full((32, 64), 3, np.uint8))
    words = ["--maxSkip", "1", "--class_uniform_pct", "1", "--bs_trn", "1", "--do_eval", "false"]
    cfg = make_cfg("--dataset", "camvid", "--data_root", tmp_path, *words)
    loader = datasets.build_train(cfg, DistributedContext())
    assert [item.name for item in loader.dataset.items] == ["0001TP_000010", "0001TP_000009", "0001TP_000011"]
