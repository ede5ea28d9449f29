"""PaddleSeg's option files: every fact of the published ones under our keys, and what is not known by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import config
import loss
import transforms
from datasets.cityscapes import SPEC
from transforms.color import Distort
from transforms.geometry import ResizeCrop
from utils.errors import UserError

COLORS = ("brightness", "contrast", "saturation")
NORMALIZE = {"type": "Normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
BOOT = {"type": "BootstrappedCrossEntropyLoss", "min_K": 100000, "loss_th": 0.05}
PUBLISHED: dict[str, Any] = {
    "batch_size": 1,
    "iters": 65000,
    "model": {
        "type": "MscaleOCRNet", "pretrained": "pretrain/start.pdparams", "n_scales": [0.5, 1.0, 2.0],
        "backbone": {"type": "HRNet_W48_NV"}, "num_classes": 19, "backbone_indices": [0],
    },
    "train_dataset": {
        "type": "CityscapesAutolabeling", "dataset_root": "data/cityscapes", "mode": "train",
        "transforms": [
            {"type": "ResizeStepScaling", "min_scale_factor": 0.5, "max_scale_factor": 2.0, "scale_step_size": 0},
            {"type": "RandomPaddingCrop", "crop_size": [2048, 1024]},
            {"type": "RandomHorizontalFlip"},
            {"type": "RandomDistort", "hue_range": 63, "hue_prob": 1}
            | {f"{name}_range": 0.25 for name in COLORS} | {f"{name}_prob": 1 for name in COLORS},
            NORMALIZE,
        ],
    },
    "val_dataset": {
        "type": "CityscapesAutolabeling", "dataset_root": "data/cityscapes", "mode": "val", "transforms": [NORMALIZE],
    },
    "optimizer": {"type": "sgd", "momentum": 0.9, "weight_decay": 1e-4},
    "learning_rate": {"value": 0.005, "decay": {"type": "poly", "power": 2, "end_lr": 0.0}},
    "loss": {"types": [{"type": "DiceLoss"}] * 4 + [BOOT] * 4, "coef": [1, 0.4, 0.05, 0.05] * 2},
}  # fmt: skip
EXPECTED = {
    "MODEL.ARCH": "ocrnet.HRNet_Mscale", "MODEL.HRNET_WIDTH": 48, "MODEL.N_SCALES": "0.5,1.0,2.0",
    "DATASET.NUM_CLASSES": 19, "SNAPSHOT": "pretrain/start.pdparams", "TRAIN.BATCH_SIZE": 1, "TRAIN.MAX_ITERS": 65000,
    "TRAIN.MAX_EPOCH": 65, "TRAIN.SYNCBN": True, "DATASET.NAME": "cityscapes", "DATASET.ROOT": "data/cityscapes",
    "DATASET.COARSE_MULTIPLE": 1.0, "DATASET.CUSTOM_COARSE_PROB": 0.0, "DATASET.CLASS_UNIFORM_PCT": 0.0,
    "DATASET.CITYSCAPES_CUSTOMCOARSE": "data/cityscapes/convert_autolabelled", "DATASET.CV": 0,
    "DATASET.CROP_SIZE": "1024,2048", "AUG.TABLE": "paddle", "AUG.SCALE_MIN": 0.5, "AUG.SCALE_MAX": 2.0,
    "AUG.COLOR": 0.25, "AUG.HUE": 63.0, "OPTIM.NAME": "sgd", "OPTIM.MOMENTUM": 0.9, "OPTIM.WEIGHT_DECAY": 1e-4,
    "OPTIM.LR": 0.005, "OPTIM.SCHEDULE": "poly", "OPTIM.POLY_EXP": 2.0, "OPTIM.END_LR": 0.0,
    "LOSS.BOOT_MIN_PIXELS": 100000, "LOSS.BOOT_THRESHOLD": 0.05,
    "LOSS.TERMS": "dice:pred:1,dice:aux:0.4,dice:pred_05x:0.05,dice:pred_10x:0.05,"
    "bootstrapped:pred:1,bootstrapped:aux:0.4,bootstrapped:pred_05x:0.05,bootstrapped:pred_10x:0.05",
}  # fmt: skip
Load = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """`load(tree, *words)`: the options of a command line with such a file."""

    def read(tree: Any, *words: str) -> Any:
        file = tmp_path / "published.yml"
        file.write_text(yaml.safe_dump(tree))
        return config.load(["--cfg", str(file), *words])

    return read


def changed(path: str, value: Any) -> dict[str, Any]:
    """The published tree with one value more, or another one."""
    tree = copy.deepcopy(PUBLISHED)
    node: Any = tree
    *parents, leaf = path.split(".")
    for name in parents:
        node = node[int(name) if isinstance(node, list) else name]
    if isinstance(node, list):
        node[int(leaf)] = value
    else:
        node[leaf] = value
    return tree


def test_every_fact(load: Load) -> None:
    cfg = load(PUBLISHED)
    assert {key: config.flat(cfg)[key] for key in EXPECTED} == EXPECTED
    crop, _, colors = transforms.build_train(cfg, SPEC).steps
    assert isinstance(crop, ResizeCrop) and crop.size == (1024, 2048) and colors == Distort(0.25, 63.0)
    assert len(loss.build(cfg).terms) == 8
    assert loss.schedule.rate_function(cfg)(32, 500, 1000) == pytest.approx(0.00125, rel=1e-12)  # the step after 32500


def test_what_validation_at_more_scales_says(load: Load) -> None:
    """That file names no losses and no schedule in some releases, and other cases in some."""
    tree = changed("model.n_scales", [0.5, 1.0, 1.5, 2.0, 2.5])
    for name in ("optimizer", "learning_rate", "loss"):
        del tree[name]
    cfg = load(tree, "--eval", "val", "--snapshot", "other.pdparams")
    assert cfg.MODEL.N_SCALES == (0.5, 1.0, 1.5, 2.0, 2.5) and cfg.SNAPSHOT == "other.pdparams" and not cfg.LOSS.TERMS
    tree = changed("loss.types.0", {"type": "diceloss"})
    assert config.flat(load(tree))["LOSS.TERMS"] == EXPECTED["LOSS.TERMS"]


def test_flags_win_and_a_resume_needs_no_start(load: Load) -> None:
    cfg = load(PUBLISHED, "--lr", "0.1", "--resume", "x.pth", "--save_interval", "2000", "--data_root", "/elsewhere")
    assert (cfg.OPTIM.LR, cfg.SNAPSHOT, cfg.TRAIN.MAX_EPOCH, cfg.DATASET.ROOT) == (0.1, "", 33, "/elsewhere")
    for words in (["--resume", "auto"], ["--resume", ""], ["--resume", "None"], ["RESUME", ""]):
        assert load(PUBLISHED, *words).SNAPSHOT == "pretrain/start.pdparams"
    cfg = load(PUBLISHED, "RESUME", "x.pdparams")
    assert (cfg.RESUME, cfg.SNAPSHOT) == ("x.pdparams", "")


@pytest.mark.parametrize(
    ("path", "value", "key", "expected"),
    [
        ("train_dataset.add_val", True, "DATASET.CV", 3),
        ("train_dataset.coarse_multiple", 0.5, "DATASET.COARSE_MULTIPLE", 0.5),
        ("model", {"type": "OCRNetNV", "backbone": {"type": "HRNet_W48_NV"}}, "LOSS.TERMS",
         "dice:pred:1,dice:aux:0.4"),
        ("learning_rate.decay", {"type": "PolynomialDecay", "power": 0.9}, "OPTIM.POLY_EXP", 0.9),
        ("lr_scheduler", {"type": "PolynomialDecay", "learning_rate": 0.01, "end_lr": 1e-4}, "OPTIM.END_LR", 1e-4),
        ("optimizer.type", "AdamW", "OPTIM.NAME", "adamw"),
    ],
)  # fmt: skip
def test_other_values(load: Load, path: str, value: Any, key: str, expected: Any) -> None:
    tree = changed(path, value)
    if path == "model":
        tree["loss"] = {"types": [{"type": "DiceLoss"}] * 2, "coef": [1, 0.4]}
    assert config.flat(load(tree))[key] == expected


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("model.type", "BiSeNetV2", r"model\.type=BiSeNetV2"),
        ("model.backbone.type", "HRNet_W18", r"model\.backbone\.type=HRNet_W18"),
        ("model.depth", 3, r"model\.depth=3"),
        ("model.backbone_indices", [0, 1], r"model\.backbone_indices=\[0, 1\]"),
        ("train_dataset.type", "ADE20K", r"train_dataset\.type=ADE20K"),
        ("train_dataset.transforms.0.scale_step_size", 0.25, r"train_dataset\.transforms\[0\]\.scale_step_size=0\.25"),
        ("train_dataset.transforms.3.hue_prob", 0.5, r"transforms\[3\]\.hue_prob=0\.5"),
        ("train_dataset.transforms.3.contrast_range", 0.4, r"transforms\[3\]\.contrast_range=0\.4"),
        ("train_dataset.transforms.3", {"type": "RandomBlur"}, r"transforms\[3\]\.type=RandomBlur"),
        ("val_dataset.transforms", [{"type": "Resize"}, NORMALIZE], r"val_dataset\.transforms\[0\]\.type=Resize"),
        ("optimizer.type", "lars", r"optimizer\.type=lars"),
        ("learning_rate.decay.type", "step", r"learning_rate\.decay\.type=step"),
        ("loss.types.2", {"type": "LovaszLoss"}, r"loss\.types\[2\]\.type=LovaszLoss"),
        ("loss.types.6", BOOT | {"min_K": 5}, r"loss\.types\[6\]\.min_K=5"),
        ("loss.coef", [1], "8 loss.types, but 1 loss.coef"),
        ("train_dataset.transforms", [NORMALIZE], "no step RandomPaddingCrop"),
        ("train_dataset.transforms.0", {"type": "ResizeStepScaling"}, r"transforms\[0\]\.scale_step_size=0\.25"),
        (
            "train_dataset.transforms.3",
            {"type": "RandomDistort"},
            r"transforms\[3\]\.brightness_prob=0\.5, .*hue_prob=0\.5",
        ),
        ("_base_", "other.yml", r"goes on from _base_ other\.yml: put both into one file"),
        ("unicorn", {"a": 1}, r"unicorn\.a=1"),
        ("loss.coef", ["x"] * 8, "no whole file of PaddleSeg"),
        ("train_dataset", "somewhere", "no whole file of PaddleSeg"),
        ("iters", "many", "TRAIN.MAX_ITERS takes int, not 'many'"),
    ],
)
def test_what_is_not_known_is_named(load: Load, path: str, value: Any, named: str) -> None:
    with pytest.raises(UserError, match=named) as error:
        load(changed(path, value))
    assert "published.yml" in str(error.value) and "\n" not in str(error.value)


def test_a_range_that_is_not_given_is_theirs(load: Load) -> None:
    tree = changed("optimizer", {"type": "sgd"})
    assert load(tree).OPTIM.WEIGHT_DECAY == 0 and load(tree).OPTIM.MOMENTUM == 0.9
    del tree["train_dataset"]["transforms"][3]["contrast_range"]
    with pytest.raises(UserError, match=r"transforms\[3\]\.contrast_range=0\.5"):
        load(tree)
    tree = changed("train_dataset.transforms.3.sharpness_range", 0.5)
    assert load(tree).AUG.COLOR == 0.25  # its probability is 0


@pytest.mark.parametrize(
    "text",
    ["model: &m\n  type: MscaleOCRNet\n  more: *m\n", "DATASET: &m\n  NAME: *m\n", "_base_: a\nmodel: &m [*m]\n"],
)
def test_parts_of_themselves(tmp_path: Path, text: str) -> None:
    (tmp_path / "loop.yml").write_text(text)
    with pytest.raises(UserError, match="has itself as a part") as error:
        config.load(["--cfg", str(tmp_path / "loop.yml")])
    assert "\n" not in str(error.value)


def test_files_of_our_own_stay_ours(load: Load) -> None:
    with pytest.raises(UserError, match="unknown key 'model'"):
        load({"model": "MscaleOCRNet"})
