"""CamVid: the real frames where they are at hand, and a small tree with foreign paths in its lists."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shared import dataset_options, shared_path
from yacs.config import CfgNode

import datasets
from datasets import camvid
from datasets.base import SegmentationDataset
from transforms import Pipeline
from utils.distributed import DistributedContext
from utils.errors import UserError


def test_real_frames() -> None:
    root = str(shared_path("data/camvid"))
    counts = {mode: len(camvid.items(root, mode, dataset_options()).items) for mode in ("train", "val")}
    assert counts == {"train": 367, "val": 101}
    assert len(camvid.items(root, "train", dataset_options(CV=3)).items) == 468
    for mode in ("train", "val"):
        dataset = SegmentationDataset(camvid.items(root, mode, dataset_options()).items, camvid.SPEC, Pipeline())
        seen = set()
        for index in (0, 50, 100):
            sample = dataset[index]
            assert sample.image.shape == (360, 480, 3) and sample.label is not None
            seen |= set(np.unique(sample.label).tolist())
        assert seen <= {*range(11), 255} and {0, 1, 3, 255} <= seen
    with pytest.raises(UserError, match="CamVid test images: looked for test .*found there: .*train/"):
        camvid.items(root, "test", dataset_options())


@pytest.fixture
def root(tmp_path: Path, write_file: Callable[[Path, np.ndarray], None]) -> Path:
    """Three frames, of which the list names two, in its own order."""
    for name in ("a", "b", "c"):
        write_file(tmp_path / f"train/{name}.jpg", np.zeros((4, 6, 3), np.uint8))
        write_file(tmp_path / f"trainannot/{name}.png", np.full((4, 6), 11, np.uint8))
    (tmp_path / "train.txt").write_text("/SegNet/CamVid/train/c.png /SegNet/x/c.png\n\nC:\\data\\train\\a.png y\n")
    return tmp_path


def test_list_gives_names_only(root: Path) -> None:
    items = camvid.items(str(root), "train", dataset_options()).items
    assert [item.name for item in items] == ["c", "a"]
    assert Path(items[0].image) == root / "train/c.jpg" and items[0].label == str(root / "trainannot/c.png")
    (root / "train.txt").unlink()
    assert [item.name for item in camvid.items(str(root), "train", dataset_options()).items] == ["a", "b", "c"]


def test_cv_3_trains_on_train_and_val(
    root: Path, write_file: Callable[[Path, np.ndarray], None], make_cfg: Callable[..., CfgNode]
) -> None:
    write_file(root / "val/d.png", np.zeros((4, 6, 3), np.uint8))
    write_file(root / "valannot/d.png", np.full((4, 6), 3, np.uint8))

    def names(mode: str, *flags: str) -> list[str]:
        cfg = make_cfg("--dataset", "camvid", "--data_root", root, *flags)
        loader = (
            datasets.build_train(cfg, DistributedContext())
            if mode == "train"
            else datasets.build_val(cfg, DistributedContext(), mode)
        )
        return [item.name for item in loader.dataset.items]

    assert names("train") == ["c", "a"]
    assert names("train", "--cv", "3") == names("trn", "--cv", "3") == ["c", "a", "d"]
    assert names("val", "--cv", "3") == ["d"]
    write_file(root / "test/e.png", np.zeros((4, 6, 3), np.uint8))
    write_file(root / "testannot/e.png", np.full((4, 6), 3, np.uint8))
    assert names("val", "--cv", "3") == ["e"] and names("val") == ["d"]


def test_missing_files(root: Path) -> None:
    (root / "trainannot/c.png").unlink()
    with pytest.raises(UserError, match=r"image without label: .*c\.jpg needs .*trainannot/c\.png"):
        camvid.items(str(root), "train", dataset_options())
    (root / "train/c.jpg").unlink()
    with pytest.raises(UserError, match=r"train\.txt names c, but there is no such image"):
        camvid.items(str(root), "train", dataset_options())


@pytest.fixture
def rgb_encoded(tmp_path: Path, write_file: Callable[[Path, np.ndarray], None]) -> Path:
    """Four frames of the original, one of each sequence, with all 32 colors."""
    label = np.repeat(np.array(list(camvid.ALL_SPEC.color_to_id), np.uint8)[None], 4, 0)  # (4, 32, 3)
    for name in ("0001TP_006690", "0006R0_f00930", "0016E5_07959", "Seq05VD_f00000"):
        write_file(tmp_path / f"701_StillsRaw_full/{name}.png", np.zeros((4, 32, 3), np.uint8))
        write_file(tmp_path / f"LabeledApproved_full/{name}_L.png", label)
    return tmp_path


def test_the_original_is_divided_as_segnet_did(rgb_encoded: Path) -> None:
    names = {
        mode: [item.name for item in camvid.items(str(rgb_encoded), mode, dataset_options()).items]
        for mode in ("train", "val", "test")
    }
    assert names == {"train": ["0001TP_006690", "0006R0_f00930"], "val": ["0016E5_07959"], "test": ["Seq05VD_f00000"]}
    (rgb_encoded / "val.txt").write_text("/somewhere/0001TP_006690.png /somewhere/0001TP_006690.png\n")
    with pytest.raises(UserError, match="has no train.txt and no test.txt beside its other lists"):
        camvid.items(str(rgb_encoded), "val", dataset_options())
    for mode in ("train", "test"):
        (rgb_encoded / f"{mode}.txt").write_text("Seq05VD_f00000.png\n")
    assert [item.name for item in camvid.items(str(rgb_encoded), "val", dataset_options()).items] == ["0001TP_006690"]


def test_segnets_division_is_that_of_its_lists() -> None:
    for mode in ("train", "val"):
        names = camvid._listed(Path(shared_path(f"data/camvid/{mode}.txt")))
        assert {camvid._segnet_split(name) for _, name in names} == {mode}


def test_a_frame_of_no_sequence_is_in_no_split(
    rgb_encoded: Path, write_file: Callable[[Path, np.ndarray], None], make_cfg: Callable[..., CfgNode]
) -> None:
    write_file(rgb_encoded / "701_StillsRaw_full/holiday_000001.png", np.zeros((4, 32, 3), np.uint8))
    with pytest.raises(UserError, match="holiday_000001 is no frame of CamVid's four sequences"):
        camvid.items(str(rgb_encoded), "train", dataset_options())
    (rgb_encoded / "701_StillsRaw_full/holiday_000001.png").unlink()
    cfg = make_cfg("--dataset", "camvid", "--data_root", rgb_encoded, "--maxSkip", "1", "--class_uniform_pct", "1")
    with pytest.raises(UserError, match="is CamVid's RGB-encoded original"):
        datasets.build_train(cfg, DistributedContext())


def test_rgb_encoded_labels_have_11_classes_or_all(rgb_encoded: Path, make_cfg: Callable[..., CfgNode]) -> None:
    for words, count in (((), 11), (("DATASET.CAMVID_CLASSES", "32"), 31)):
        cfg = make_cfg("--dataset", "camvid", "--data_root", rgb_encoded, *words)
        assert cfg.DATASET.NUM_CLASSES == count
        (batch,) = datasets.build_val(cfg, DistributedContext())
        label = batch["label"][0]
        assert label is not None
        expected = [*range(31), 255] if words else [camvid._FEW[value] for value in range(32)]
        assert label[0].tolist() == expected
    assert set(camvid._FEW.values()) == {*range(11), 255}


def test_a_color_of_no_class_is_named(rgb_encoded: Path, write_file: Callable[[Path, np.ndarray], None]) -> None:
    label = np.zeros((4, 32, 3), np.uint8)
    label[1, 2:5] = (1, 2, 3)
    write_file(rgb_encoded / "LabeledApproved_full/0016E5_07959_L.png", label)
    dataset = SegmentationDataset(
        camvid.items(str(rgb_encoded), "val", dataset_options()).items,
        camvid.read_spec(str(rgb_encoded), dataset_options()),
        Pipeline(),
    )
    with pytest.raises(UserError, match=r"0016E5_07959_L\.png: color \(1, 2, 3\) \(3 pixels\) is no class of camvid"):
        dataset[0]
    with pytest.raises(UserError, match=r"0006R0_f00930\.png needs .*LabeledApproved_full/0006R0_f00930_L\.png"):
        (rgb_encoded / "LabeledApproved_full/0006R0_f00930_L.png").unlink()
        camvid.items(str(rgb_encoded), "train", dataset_options())


def test_all_classes_are_of_the_original_alone(root: Path) -> None:
    with pytest.raises(UserError, match="CAMVID_CLASSES 32: the labels in .* have SegNet's 11"):
        camvid.read_spec(str(root), dataset_options(CAMVID_CLASSES="32"))
