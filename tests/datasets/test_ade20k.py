"""ADE20K: classes as recorded, the plain folder, lists with every way in which a line can be wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shared import GOLDEN, dataset_options
from yacs.config import CfgNode

import datasets
from datasets import ade20k, odgt
from utils.distributed import DistributedContext
from utils.errors import UserError

TREE = "ADEChallengeData2016"
Make = Callable[..., CfgNode]


def test_classes() -> None:
    told = json.loads((GOLDEN / "csail/ade20k_classes.json").read_text())
    spec = datasets.spec("ade20k")
    assert spec.classes == tuple(entry["name"] for entry in told)
    assert spec.palette == tuple(tuple(entry["rgb"]) for entry in told)
    assert spec.id_to_train == {0: 255, **{entry["label_png"]: entry["train_id"] for entry in told}}
    assert spec.train_to_id == tuple(entry["label_png"] for entry in told)


@pytest.fixture
def root(tmp_path: Path, write_file: Callable[[Path, np.ndarray], None]) -> Path:
    """Three training images of different sizes and one for validation, with values 0, 1 and 150; lists beside."""
    sizes = {"ADE_train_00000001": (40, 60), "ADE_train_00000002": (60, 40), "ADE_train_00000003": (50, 50)}
    for split, names in (("training", sizes), ("validation", {"ADE_val_00000001": (40, 60)})):
        lines = []
        for name, (height, width) in names.items():
            image, label = f"{TREE}/images/{split}/{name}.jpg", f"{TREE}/annotations/{split}/{name}.png"
            write_file(tmp_path / image, np.full((height, width, 3), 90, np.uint8))
            values = np.repeat(np.array([0, 1, 150, 150], np.uint8), width // 4 + 1)[:width]
            write_file(tmp_path / label, np.tile(values, (height, 1)))
            lines.append(json.dumps({"fpath_img": image, "fpath_segm": label, "width": width, "height": height}))
        (tmp_path / f"{split}.odgt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_the_plain_folder_and_the_lists_hold_the_same(root: Path) -> None:
    for mode, split, count in (("train", "training", 3), ("val", "validation", 1)):
        plain, listed = (
            ade20k.items(str(root), mode, dataset_options()),
            odgt.split(str(root / f"{split}.odgt"), str(root)).items,
        )
        assert len(plain) == count
        assert [(i.image, i.label, i.name) for i in plain] == [(i.image, i.label, i.name) for i in listed]
    assert len(ade20k.items(str(root / TREE), "train", dataset_options())) == 3
    assert [item.size for item in odgt.split(str(root / "training.odgt"), str(root)).items] == [
        (40, 60),
        (60, 40),
        (50, 50),
    ]


def test_lists_of_another_editor_are_the_same(root: Path) -> None:
    """Windows' line ends and byte order mark, an empty line, absolute paths."""
    path = root / "training.odgt"
    before = odgt.split(str(path), str(root))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert odgt.split(str(path), str(root)) == before
    path.write_text(path.read_text(encoding="utf-8-sig").replace(f'"{TREE}', f'"{root}/{TREE}'))
    assert odgt.split(str(path), "elsewhere") == before


def test_it_trains_and_validates(root: Path, make_cfg: Make) -> None:
    words = ["--dataset", "ade20k", "--root_dataset", root, "--bs_trn", "3", "--class_uniform_pct", "0"]
    lists = ["--list_train", root / "training.odgt", "--list_val", root / "validation.odgt"]
    for more in ([], lists):
        cfg = make_cfg(*words, *more)
        assert cfg.DATASET.NUM_CLASSES == 150
        (batch,) = list(datasets.build_train(cfg, DistributedContext()))
        assert batch["image"].shape == (3, 3, 16, 16)
        (shown,) = list(datasets.build_val(cfg, DistributedContext()))
        label = shown["label"][0]
        assert label is not None and set(np.unique(label).tolist()) == {0, 149, 255}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: no JSON object with fpath_img, fpath_segm, width, height: '{'"),
        ("[1]", "line 2: .* missing|line 2: no JSON object"),
        ('{"fpath_img": "a.jpg", "width": 1, "height": 1}', "line 2: fpath_segm missing"),
        ('{"fpath_img": "a", "fpath_segm": "b", "width": "x", "height": 1}', "line 2: no JSON object"),
        ('{"fpath_img": "a", "fpath_segm": "b", "width": 0, "height": 1}', "line 2: width 0 and height 1 are no size"),
        ('{"fpath_img": "a.jpg", "fpath_segm": "b", "width": 1, "height": 1}', r"line 2: .*a\.jpg is not there"),
        ('{"fpath_img": "a", "fpath_segm": "b", "width": Infinity, "height": 1}', "line 2: no JSON object"),
        (f'{{"fpath_img": "{"a" * 999}", "fpath_segm": "b", "width": 1, "height": 1}}', "line 2: .*a is not there"),
        pytest.param("[" * 100_000, "line 2: no JSON object", id="deep"),
        ("{\xe9", "line 2: byte 2, 0xE9, is no UTF-8: save the file as UTF-8"),
        ('{"width": 1, "height": 1, "width": 2}', "line 2: 'width' stands twice in one object"),
    ],
)
def test_a_broken_line_is_named(line: str, message: str, root: Path) -> None:
    lines = (root / "training.odgt").read_text().splitlines()
    (root / "training.odgt").write_bytes("\n".join([lines[0], line, lines[2]]).encode("latin1"))
    with pytest.raises(UserError, match=message):
        odgt.split(str(root / "training.odgt"), str(root))


def test_what_else_can_be_wrong(root: Path, make_cfg: Make, write_file: Callable[[Path, np.ndarray], None]) -> None:
    words = ["--dataset", "ade20k", "--data_root", root, "--bs_trn", "3", "--class_uniform_pct", "0"]
    text = (root / "training.odgt").read_text()
    (root / "training.odgt").write_text(text.replace('"width": 60', '"width": 61'))
    with pytest.raises(UserError, match=r"00000001\.jpg is 60x40 pixels, its list says 61x40"):
        list(datasets.build_train(make_cfg(*words, "--list_train", root / "training.odgt"), DistributedContext()))
    write_file(root / TREE / "annotations/training/ADE_train_00000003.png", np.full((50, 50), 151, np.uint8))
    with pytest.raises(UserError, match=r"00000003\.png: label value 151 \(2500 pixels\) is no class of ade20k"):
        list(datasets.build_train(make_cfg(*words), DistributedContext()))
    (root / "empty.odgt").write_text("\n")
    with pytest.raises(UserError, match=r"empty\.odgt is empty"):
        odgt.split(str(root / "empty.odgt"), str(root))
    with pytest.raises(UserError, match=r"cannot read the list .*none\.odgt: No such file"):
        odgt.split(str(root / "none.odgt"), str(root))
    (root / TREE / "annotations/validation/ADE_val_00000001.png").unlink()
    with pytest.raises(UserError, match=r"ADE_val_00000001\.jpg needs .*annotations/validation/ADE_val_00000001\.png"):
        ade20k.items(str(root), "val", dataset_options())
    with pytest.raises(UserError, match="--list_val is a list of ADE20K"):
        make_cfg("--dataset", "toy", "--list_val", "x.odgt")
