"""CSAIL's option files, pairs and older flags: every fact of them under our keys, and what is not known by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from foreign_files import Load, loader, one_line
from shared import GOLDEN, csail_file

import config
import loss
from compat.csail import options as csail
from options import table
from options.foreign import leaves
from utils.errors import UserError

PUBLISHED = json.loads((GOLDEN / "csail/options.json").read_text())
DEFAULTS = PUBLISHED["config_defaults"]
FILES = PUBLISHED["config_files_differences_from_defaults"]
EXPECTED = {
    "MODEL.ARCH": "encoder_decoder", "MODEL.ENCODER": "resnet50dilated", "MODEL.DECODER": "ppm_deepsup",
    "MODEL.FC_DIM": 2048, "MODEL.FIX_BN": False, "DATASET.NAME": "ade20k", "DATASET.ROOT": "./data/",
    "DATASET.LIST_TRAIN": "./data/training.odgt", "DATASET.LIST_VAL": "./data/validation.odgt",
    "DATASET.NUM_CLASSES": 150, "DATASET.IMG_SIZES": "300,375,450,525,600", "DATASET.IMG_MAX_SIZE": 1000,
    "DATASET.PADDING": 8, "DATASET.LABEL_STRIDE": 8, "DATASET.NUM_WORKERS": 16, "DATASET.CLASS_UNIFORM_PCT": 0.0,
    "AUG.COLOR": 0.0, "AUG.GBLUR": False, "AUG.RAND_AUGMENT": "", "TRAIN.BATCH_SIZE": 2, "TRAIN.MAX_EPOCH": 20,
    "TRAIN.START_EPOCH": 0, "TRAIN.EPOCH_ITERS": 5000, "TRAIN.MAX_ITERS": 100_000, "TRAIN.SAVE_INTERVAL": 5000,
    "TRAIN.SYNCBN": True, "TRAIN.LOG_EVERY": 20, "SEED": 304, "OPTIM.NAME": "sgd", "OPTIM.LR": 0.02,
    "OPTIM.LR_DECODER": 0.02, "OPTIM.SCHEDULE": "poly", "OPTIM.POLY_EXP": 0.9, "OPTIM.PER_ITER": True,
    "OPTIM.MOMENTUM": 0.9, "OPTIM.WEIGHT_DECAY": 1e-4, "OPTIM.DECAY_ON": "conv", "OPTIM.WARMUP": 0.0,
    "LOSS.DEEP_SUP_SCALE": 0.4, "LOSS.NORM": "rank", "EVAL.VISUALIZE": False, "EVAL.BATCH_SIZE": 1,
    "SNAPSHOT": "", "RESULT_DIR": "ckpt/ade20k-resnet50dilated-ppm_deepsup",
}  # fmt: skip
OVERRIDES = [
    ("DIR", "ckpt/x", "RESULT_DIR", "ckpt/x"),
    ("DATASET.root_dataset", "/data", "DATASET.ROOT", "/data"),
    ("DATASET.list_train", "a.odgt", "DATASET.LIST_TRAIN", "a.odgt"),
    ("DATASET.list_val", "b.odgt", "DATASET.LIST_VAL", "b.odgt"),
    ("DATASET.num_class", "150", "DATASET.NUM_CLASSES", 150),
    ("DATASET.imgSizes", "(300, 375)", "DATASET.IMG_SIZES", "300,375"),
    ("DATASET.imgSizes", "[450]", "DATASET.IMG_SIZES", "450"),
    ("DATASET.imgSizes", "(450,)", "DATASET.IMG_SIZES", "450"),
    ("DATASET.imgMaxSize", "800", "DATASET.IMG_MAX_SIZE", 800),
    ("DATASET.padding_constant", "32", "DATASET.PADDING", 32),
    ("DATASET.segm_downsampling_rate", "4", "DATASET.LABEL_STRIDE", 4),
    ("DATASET.random_flip", "True", "DATASET.NAME", "ade20k"),
    ("MODEL.arch_encoder", "ResNet101dilated", "MODEL.ENCODER", "resnet101dilated"),
    ("MODEL.arch_decoder", "PPM", "MODEL.DECODER", "ppm"),
    ("MODEL.weights_encoder", "enc.pth", "MODEL.TRUNK_WEIGHTS", "enc.pth"),
    ("MODEL.fc_dim", "512", "MODEL.FC_DIM", 512),
    ("TRAIN.batch_size_per_gpu", "3", "TRAIN.BATCH_SIZE", 3),
    ("TRAIN.num_epoch", "5", "TRAIN.MAX_ITERS", 25_000),
    ("TRAIN.start_epoch", "4", "TRAIN.START_EPOCH", 4),
    ("TRAIN.epoch_iters", "10", "TRAIN.MAX_ITERS", 200),
    ("TRAIN.optim", "sgd", "OPTIM.NAME", "sgd"),
    ("TRAIN.lr_encoder", "0.01", "OPTIM.LR", 0.01),
    ("TRAIN.lr_decoder", "0.1", "OPTIM.LR_DECODER", 0.1),
    ("TRAIN.lr_pow", "1", "OPTIM.POLY_EXP", 1.0),
    ("TRAIN.beta1", "0.8", "OPTIM.MOMENTUM", 0.8),
    ("TRAIN.weight_decay", "0", "OPTIM.WEIGHT_DECAY", 0.0),
    ("TRAIN.deep_sup_scale", "0.2", "LOSS.DEEP_SUP_SCALE", 0.2),
    ("TRAIN.fix_bn", "True", "MODEL.FIX_BN", True),
    ("TRAIN.workers", "2", "DATASET.NUM_WORKERS", 2),
    ("TRAIN.disp_iter", "5", "TRAIN.LOG_EVERY", 5),
    ("TRAIN.seed", "7", "SEED", 7),
    ("VAL.batch_size", "1", "EVAL.BATCH_SIZE", 1),
    ("VAL.visualize", "True", "EVAL.VISUALIZE", True),
    ("TEST.batch_size", "1", "EVAL.BATCH_SIZE", 1),
]
LATER = {"MODEL.weights_decoder", "VAL.checkpoint", "TEST.checkpoint", "TEST.result"}  # see the tests of weights


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return loader(tmp_path / "ade20k.yaml")


def flat(tree: dict[str, Any]) -> dict[str, Any]:
    return dict(leaves(tree))


def test_every_key_and_default_of_theirs() -> None:
    assert {key: default for key, (_, default) in csail.KEYS.items()} == flat(DEFAULTS)
    assert all(ours in config.OPTIONS for ours, _ in csail.KEYS.values() if ours)
    assert {key for key in csail.RECIPE} <= set(config.OPTIONS)
    assert not set(csail.KEYS) & set(config.OPTIONS) and not set(csail.FLAGS) & set(table.flags())
    assert {key for key, *_ in OVERRIDES} | LATER == set(csail.KEYS)


def test_defaults(load: Load) -> None:
    cfg = load(DEFAULTS)
    found = config.flat(cfg)
    assert {key: found[key] for key in EXPECTED} == EXPECTED and not cfg.WITHOUT_EFFECT
    assert [(term.outputs, term.weight) for term in loss.build(cfg).terms] == [(("pred",), 1.0), (("deepsup",), 0.4)]


@pytest.mark.parametrize("name", sorted(FILES))
def test_published_file(load: Load, name: str) -> None:
    assert len(FILES) == 7
    tree, found = csail_file(name), config.flat(load(csail_file(name)))
    assert found["RESULT_DIR"] == tree["DIR"]
    for key, value in flat(tree).items():
        ours = csail.KEYS[key][0]
        if ours and key not in ("TRAIN.optim", "DATASET.imgSizes"):
            assert found[ours] == value, key
    told = load(tree, "--eval", "val").SNAPSHOT  # the published file of resnet101-upernet evaluates epoch 50 of 40
    assert told == ",".join(f"{tree['DIR']}/{part}_{tree['VAL']['checkpoint']}" for part in ("encoder", "decoder"))


def test_part_of_a_file_stands_on_the_defaults(load: Load) -> None:
    assert config.flat(load({"TRAIN": {"num_epoch": 20}})) == config.flat(load(DEFAULTS))
    assert config.flat(load({"DATASET": {"imgSizes": "(300, 375, 450, 525, 600)"}})) == config.flat(load(DEFAULTS))
    assert load({"MODEL": {"weights_encoder": None}}).SNAPSHOT == ""


@pytest.mark.parametrize(("theirs", "value", "ours", "expected"), OVERRIDES, ids=[f"{k}={v}" for k, v, *_ in OVERRIDES])
def test_pair(load: Load, theirs: str, value: str, ours: str, expected: Any) -> None:
    cfg = load(DEFAULTS, theirs, value)
    assert config.flat(cfg)[ours] == expected and not cfg.WITHOUT_EFFECT


def test_pairs_of_both_and_flags(load: Load) -> None:
    words = ("TRAIN.num_epoch", "5", "EVAL.DO_FLIP", "true", "DATASET.imgSizes", "(300,375)", "OPTIM.POLY_EXP", "1")
    cfg = load(DEFAULTS, "--lr", "0.5", "--num_epoch", "9", "--padding_constant", "16", *words)
    assert (cfg.OPTIM.LR, cfg.DATASET.PADDING, cfg.OPTIM.POLY_EXP, cfg.EVAL.DO_FLIP) == (0.5, 16, 1.0, True)
    assert (cfg.DATASET.IMG_SIZES, cfg.TRAIN.MAX_EPOCH) == ((300, 375), 5)  # pairs win over flags, these over files


def test_images_are_flipped_whatever_it_says(load: Load) -> None:
    assert load(DEFAULTS, "DATASET.random_flip", "False").WITHOUT_EFFECT == ["DATASET.random_flip False"]
    assert config.load(["--random_flip", "0"]).WITHOUT_EFFECT == ["--random_flip 0"]
    assert config.load(["--random_flip", "True"]).WITHOUT_EFFECT == []


@pytest.mark.parametrize(
    ("words", "snapshot", "folder"),
    [
        ("", "", "d"),
        ("--snapshot a.pth", "a.pth", "d"),
        ("--result_dir r", "", "r"),
        ("MODEL.weights_encoder e.pth MODEL.weights_decoder f.pth", "e.pth,f.pth", "d"),
        ("TRAIN.start_epoch 3", "d/encoder_epoch_3.pth,d/decoder_epoch_3.pth", "d"),
        ("TRAIN.start_epoch 3 --resume x.pth", "", "d"),
        ("--eval val", "d/encoder_epoch_20.pth,d/decoder_epoch_20.pth", "d"),
        ("--eval val VAL.checkpoint epoch_5.pth", "d/encoder_epoch_5.pth,d/decoder_epoch_5.pth", "d"),
        ("--eval val DIR /a/b", "/a/b/encoder_epoch_20.pth,/a/b/decoder_epoch_20.pth", "/a/b"),
        ("--eval val --result_dir r", "d/encoder_epoch_20.pth,d/decoder_epoch_20.pth", "r"),
        ("--eval val --snapshot a.pth", "a.pth", "d"),
        ("--eval val --resume a.pth", "", "d"),
        ("--eval folder --eval_folder p", "d/encoder_epoch_20.pth,d/decoder_epoch_20.pth", "./"),
        ("--eval folder --eval_folder p TEST.checkpoint epoch_2.pth TEST.result ./out",
         "d/encoder_epoch_2.pth,d/decoder_epoch_2.pth", "./out"),
        ("--eval val --id i", "ckpt/i/encoder_epoch_20.pth,ckpt/i/decoder_epoch_20.pth", "ckpt/i"),
    ],
)  # fmt: skip
def test_weights_and_folder(load: Load, words: str, snapshot: str, folder: str) -> None:
    cfg = load(DEFAULTS | {"DIR": "d"}, *words.split())
    assert (cfg.SNAPSHOT, cfg.RESULT_DIR) == (snapshot, folder)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--ckpt c --id i", {"RESULT_DIR": "c/i", "SNAPSHOT": ""}),
        ("--id i", {"RESULT_DIR": "ckpt/i"}),
        ("--ckpt c", {"RESULT_DIR": "c"}),
        ("--eval val --ckpt c --id i", {"SNAPSHOT": "c/i/encoder_epoch_20.pth,c/i/decoder_epoch_20.pth"}),
        ("--eval val --id i --suffix _best.pth", {"SNAPSHOT": "ckpt/i/encoder_best.pth,ckpt/i/decoder_best.pth"}),
        ("--eval val --id i --result r", {"RESULT_DIR": "r"}),
        ("--eval val --snapshot x.pth --result r", {"RESULT_DIR": "r", "SNAPSHOT": "x.pth"}),
        ("--eval val --id i --result_dir r", {"RESULT_DIR": "r"}),
        ("--weights_encoder e --weights_decoder d", {"SNAPSHOT": "e,d"}),
        ("--eval val --weights_encoder e --weights_decoder d", {"SNAPSHOT": "e,d", "RESULT_DIR": "./logs"}),
        ("--weights_encoder e", {"SNAPSHOT": "", "MODEL.TRUNK_WEIGHTS": "e"}),
        ("--num_gpus 4", {"OPTIONS.DEVICES": "0,1,2,3"}),
        ("--num_gpus 1", {"OPTIONS.DEVICES": "0"}),
        ("--optim SGD", {"OPTIM.NAME": "sgd"}),
        ("--fix_bn 1", {"MODEL.FIX_BN": True}),
        ("--fix_bn 0", {"MODEL.FIX_BN": False}),
    ],
)
def test_older_flags(words: str, expected: dict[str, Any]) -> None:
    found = config.flat(config.load(words.split()))
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--id i --result_dir r", "--id and --result_dir say the same thing: leave one of them out"),
        ("--ckpt i --result_dir r", "--ckpt and --result_dir say the same"),
        ("--id i RESULT_DIR r", "--id and --result_dir say the same"),
        ("--eval val --id i --snapshot s", "--id and --snapshot say the same"),
        ("--weights_encoder e --weights_decoder d --snapshot s", "--weights_encoder and --snapshot say the same"),
        ("--eval val --result r --result_dir s --snapshot s", "--result and --result_dir say the same"),
        ("--eval val --id i --weights_encoder e --weights_decoder d", "--id and --weights_encoder both name weights"),
        ("--num_gpus 4 --gpus 0-3", "--num_gpus and --gpus say the same"),
        ("--optim SGD --optimizer adam", "--optim and --optimizer say the same"),
        ("--optim Adam", "SGD alone"),
        ("--num_gpus none", "--num_gpus takes a number from 1 on, not 'none'"),
        ("--num_gpus 0", "--num_gpus takes a number from 1 on, not '0'"),
        ("--weights_decoder d", "also give --weights_encoder"),
        ("--suffix _best.pth", "also give --eval val and --id"),
        ("--eval val --snapshot x --suffix _best.pth", "also give --eval val and --id"),
        ("--result r", "--result is of --eval"),
        ("--eval val --suffix", "--suffix needs a value"),
        ("--sufix x", "did you mean '--suffix'"),
        ("TRAIN.num_epoch 5", "TRAIN.num_epoch is a key of CSAIL's files: give one with --cfg"),
        ("DIR x", "DIR is a key of CSAIL's files"),
    ],
)
def test_contradiction(words: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        config.load(words.split())
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "words", "message"),
    [
        ({"TRAIN": {"num_epochs": 5}, "VAL": {"visualize": True}}, "",
         "is not known: TRAIN.num_epochs; did you mean 'TRAIN.num_epoch'"),
        ({"TRAIN": {"num_epoch": 5, "MAX_EPOCH": 7}}, "", "is not known: TRAIN.MAX_EPOCH"),
        ({"TRAIN": {"optim": "Adam"}}, "", "SGD alone"),
        ({"VAL": {"batch_size": 2}}, "", "several images at a time are --bs_val 2"),
        ({"TRAIN": {"num_epoch": "many"}}, "", "TRAIN.num_epoch takes int, not 'many'"),
        ({"TRAIN": {"num_epoch": 5}}, "DATASET.imgSizes ()", "DATASET.imgSizes is empty"),
        ({"TRAIN": {"num_epoch": 5}}, "TRAIN.num_epoc 7", "did you mean 'TRAIN.num_epoch'"),
        ({"TRAIN": {"num_epoch": 5}}, "TRAIN.num_epoch x", "TRAIN.num_epoch takes int, not 'x'"),
        ({"TRAIN": {"num_epoch": 5}}, "TRAIN.num_epoch", "key TRAIN.num_epoch needs a value"),
        ({"TRAIN": {"num_epoch": 5}}, "--max_iters 7", "leave --max_iters out"),
        ({"TRAIN": {"num_epoch": 5}}, "MODEL.weights_decoder d", "also give --weights_encoder"),
    ],
)  # fmt: skip
def test_mistake(load: Load, tree: dict[str, Any], words: str, message: str) -> None:
    assert message in one_line(load, tree, *words.split())


def test_our_files_are_ours() -> None:
    assert not csail.is_theirs({"SEED": 1, "MODEL": {"ARCH": "x"}, "TRAIN": {"MAX_EPOCH": 1}, "DATASET": {"ROOT": "d"}})
