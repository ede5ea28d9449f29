"""The HRNet family's option files and pairs: every fact of them under our keys, and what is not known by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from foreign_files import Load, loader, one_line
from shared import hrnet_file

import config
import inference
import loss
from compat.hrnet import options as hrnet_options
from compat.hrnet.keys import IGNORED, KEYS, ONLY, RECIPE
from options.foreign import leaves

ROOT = Path(__file__).parents[3]
EXPECTED = {
    "MODEL.ARCH": "offset.HRNet", "MODEL.ALIGN_CORNERS": False, "MODEL.HRNET_WIDTH": 48, "MODEL.OFFSET_BRANCH": 4,
    "MODEL.OFFSET_THRESHOLD": 0.5, "MODEL.ITERATIVE_REFINEMENT": 0, "MODEL.LOGITS": True, "MODEL.FREEZED_PAR": False,
    "MODEL.OCR_EXTRA.STAGE1.NUM_BLOCKS": [4], "MODEL.OCR_EXTRA.STAGE3.NUM_MODULES": 4,
    "MODEL.OCR_EXTRA.STAGE4.NUM_MODULES": 3, "MODEL.OCR_EXTRA.STAGE3_2.NUM_MODULES": 3,
    "MODEL.OCR_EXTRA.STAGE4_2.NUM_MODULES": 2, "MODEL.OCR_EXTRA.STAGE4_2.NUM_BLOCKS": [4, 4, 4, 4],
    "DATASET.NAME": "cityscapes", "DATASET.ROOT": "data/cityscapes", "DATASET.NUM_CLASSES": 19,
    "DATASET.LIST_TRAIN": "data/list/cityscapes/train.lst", "DATASET.LIST_VAL": "data/list/cityscapes/val.lst",
    "DATASET.LIST_TEST": "", "DATASET.CROP_SIZE": "512,1024", "DATASET.PRE_SIZE": 2048, "DATASET.LABEL_STRIDE": 1,
    "DATASET.FULL_CROP": False, "DATASET.NUM_WORKERS": 4, "DATASET.CLASS_UNIFORM_PCT": 0.0, "DATASET.IGNORE_LABEL": 255,
    "AUG.SCALE_MIN": 0.5, "AUG.SCALE_MAX": 2.1, "AUG.COLOR": 0.0, "AUG.GBLUR": False, "AUG.TABLE": "nvidia",
    "LOSS.TERMS": "", "LOSS.OHEM_THRES": 0.9, "LOSS.OHEM_KEEP": 131_072, "LOSS.CLASS_WEIGHTS": "cityscapes",
    "LOSS.NORM": "rank", "OPTIM.NAME": "sgd", "OPTIM.LR": 0.01, "OPTIM.WEIGHT_DECAY": 5e-4, "OPTIM.MOMENTUM": 0.9,
    "OPTIM.DECAY_ON": "all", "OPTIM.SCHEDULE": "poly", "OPTIM.POLY_EXP": 0.9, "OPTIM.PER_ITER": True,
    "TRAIN.BATCH_SIZE": 2, "TRAIN.MAX_EPOCH": 484, "TRAIN.VAL_FREQ": 1, "TRAIN.LOG_EVERY": 50, "TRAIN.SYNCBN": True,
    "OPTIONS.DEVICES": "", "OPTIONS.DETERMINISTIC": False, "EVAL.RULE": "hrnet", "EVAL.BASE_SIZE": 2048,
    "EVAL.PIECE": [1024, 2048], "EVAL.BATCH_SIZE": 2, "EVAL.MULTI_SCALE": False, "EVAL.DO_FLIP": False,
    "RESULT_DIR": "output/cityscapes/net", "RESUME": "auto", "SNAPSHOT": "", "MODEL.TRUNK_WEIGHTS": "",
}  # fmt: skip
ACDC = {
    "MODEL.FREEZED_PAR": True, "SNAPSHOT": "pretrained_models/acdc_final_state.pth", "MODEL.TRUNK_WEIGHTS": "",
    "MODEL.OFFSET_PRETRAINED": "pretrained_models/initial_final_state.pth", "DATASET.NAME": "acdc",
    "DATASET.ROOT": "data/acdc", "DATASET.LIST_TRAIN": "data/list/acdc/train.lst",
    "DATASET.LIST_VAL": "data/list/acdc/val.lst", "DATASET.CROP_SIZE": "540,960", "DATASET.PRE_SIZE": 1920,
    "EVAL.BASE_SIZE": 1920, "EVAL.PIECE": [1080, 1920], "RESULT_DIR": "output/acdc/net",
}  # fmt: skip
EVAL = ("--eval", "val")
PAIRS = [
    ("OUTPUT_DIR", "out", "RESULT_DIR", "out/cityscapes/net"),
    ("GPUS", "(0,)", "TRAIN.SYNCBN", False),
    ("GPUS", "[0,1]", "TRAIN.SYNCBN", True),
    ("GPUS", "(0,1,2,3)", "OPTIONS.DEVICES", ""),
    ("WORKERS", "2", "DATASET.NUM_WORKERS", 2),
    ("PRINT_FREQ", "5", "TRAIN.LOG_EVERY", 5),
    ("CUDNN.DETERMINISTIC", "True", "OPTIONS.DETERMINISTIC", True),
    ("MODEL.NAME", "seg_hrnet", "MODEL.ARCH", "offset.HRNet"),  # the file's stages exist twice
    ("MODEL.NAME", "seg_hrnet_ocr", "MODEL.ARCH", "offset.HRNet_OCR"),
    ("MODEL.ALIGN_CORNERS", "True", "MODEL.ALIGN_CORNERS", True),
    ("MODEL.OCR.MID_CHANNELS", "64", "MODEL.OCR.MID_CHANNELS", 64),
    ("MODEL.OCR.KEY_CHANNELS", "32", "MODEL.OCR.KEY_CHANNELS", 32),
    ("MODEL.OCR.DROPOUT", "0.1", "MODEL.OCR.DROPOUT", 0.1),
    ("MODEL.FREEZED_PAR", "True", "SNAPSHOT", "pretrained_models/hrnetv2_w48_imagenet_pretrained.pth"),
    ("MODEL.EXTRA.CONFIDENCE", "1", "MODEL.ARCH", "offset.HRNet"),
    ("MODEL.EXTRA.OFFSET_THRESHOLD", "0.2", "MODEL.OFFSET_THRESHOLD", 0.2),
    ("MODEL.EXTRA.OFFSET_BRANCH", "3", "MODEL.OFFSET_BRANCH", 3),
    ("MODEL.EXTRA.ITERATIVE_REFINEMENT", "2", "MODEL.ITERATIVE_REFINEMENT", 2),
    ("MODEL.EXTRA.LOGITS", "False", "MODEL.LOGITS", False),
    ("MODEL.EXTRA.STAGE3.NUM_MODULES", "1", "MODEL.OCR_EXTRA.STAGE3.NUM_MODULES", 1),
    ("MODEL.EXTRA.STAGE4_2.NUM_BLOCKS", "[1,1,1,1]", "MODEL.OCR_EXTRA.STAGE4_2.NUM_BLOCKS", [1, 1, 1, 1]),
    ("LOSS.USE_OHEM", "False", "LOSS.TERMS", "ce:initial:0.5,ce:seed:0.5,ce:pred:1,confidence:offset+confidence:1"),
    ("LOSS.OHEMTHRES", "0.7", "LOSS.OHEM_THRES", 0.7),
    ("LOSS.OHEMKEEP", "10", "LOSS.OHEM_KEEP", 10),
    ("DATASET.ROOT", "/big", "DATASET.ROOT", "/big/cityscapes"),
    ("DATASET.ROOT", "/big", "DATASET.LIST_VAL", "/big/list/cityscapes/val.lst"),
    ("DATASET.DATASET", "acdc", "DATASET.ROOT", "data/acdc"),
    ("DATASET.NUM_CLASSES", "19", "DATASET.NUM_CLASSES", 19),
    ("DATASET.TRAIN_SET", "a.lst", "DATASET.LIST_TRAIN", "data/a.lst"),
    ("DATASET.TEST_SET", "list/testval.lst", "DATASET.LIST_VAL", "data/list/testval.lst"),
    ("DATASET.TEST_SET", "list/test.lst", "DATASET.LIST_TEST", "data/list/test.lst"),
    ("DATASET.TEST_SET", "", "DATASET.LIST_VAL", ""),
    ("TRAIN.IMAGE_SIZE", "96,64", "DATASET.CROP_SIZE", "64,96"),
    ("TRAIN.BASE_SIZE", "1024", "DATASET.PRE_SIZE", 1024),
    ("TRAIN.SCALE_FACTOR", "11", "AUG.SCALE_MAX", 1.6),
    ("TRAIN.MULTI_SCALE", "False", "DATASET.FULL_CROP", True),
    ("TRAIN.MULTI_SCALE", "False", "AUG.SCALE_MAX", 1.0),
    ("TRAIN.DOWNSAMPLERATE", "4", "DATASET.LABEL_STRIDE", 4),
    ("TRAIN.LR", "1e-3", "OPTIM.LR", 0.001),
    ("TRAIN.OPTIMIZER", "sgd", "OPTIM.NAME", "sgd"),
    ("TRAIN.MOMENTUM", "0.8", "OPTIM.MOMENTUM", 0.8),
    ("TRAIN.WD", "0", "OPTIM.WEIGHT_DECAY", 0.0),
    ("TRAIN.END_EPOCH", "3", "TRAIN.MAX_EPOCH", 3),
    ("TRAIN.RESUME", "False", "RESUME", ""),
    ("TRAIN.BATCH_SIZE_PER_GPU", "3", "TRAIN.BATCH_SIZE", 3),
    ("TEST.IMAGE_SIZE", "[128, 64]", "EVAL.PIECE", [64, 128]),
    ("TEST.BASE_SIZE", "128", "EVAL.BASE_SIZE", 128),
    ("TEST.BATCH_SIZE_PER_GPU", "5", "EVAL.BATCH_SIZE", 5),
    ("TEST.NUM_SAMPLES", "7", "EVAL.NUM_IMAGES", 7),
    ("TEST.OUTPUT_INDEX", "1", "MODEL.ARCH", "offset.HRNet"),
    ("TEST.SCALE_LIST", "0.5,1.0", "EVAL.MULTI_SCALE", False),  # validation while training has one scale
    ("TEST.FLIP_TEST", "True", "EVAL.DO_FLIP", False),
]
# Keys that are read in tests of their own, that name pictures and logs, or that have one value alone.
LATER = {"MODEL.PRETRAINED", "MODEL.OFFSET_PRETRAINED", "LOSS.BALANCE_WEIGHTS", "TEST.MODEL_FILE", *IGNORED, *ONLY}
SILENT = {"LOG_DIR", "PIN_MEMORY", "CUDNN.BENCHMARK", "LOSS.CLASS_BALANCE", "MODEL.NUM_OUTPUTS", "TRAIN.EXTRA_LR",
          "TRAIN.OFFSET_DIR", "TRAIN.FREEZE_EPOCHS", "TRAIN.NONBACKBONE_MULT", "TRAIN.RANDOM_BRIGHTNESS_SHIFT_VALUE",
          "TEST.VISUALIZATION"}  # fmt: skip
# Names that ours have, too: behind a file of theirs they mean what they mean there, else what they mean here.
SHARED = frozenset({"DATASET.ROOT", "DATASET.NUM_CLASSES", "MODEL.ALIGN_CORNERS", "MODEL.FREEZED_PAR",
                    "MODEL.OFFSET_PRETRAINED", "MODEL.OCR.MID_CHANNELS", "MODEL.OCR.KEY_CHANNELS",
                    "MODEL.OCR.DROPOUT"})  # fmt: skip


def terms(cfg: Any) -> str:
    return config.flat(cfg)["LOSS.TERMS"]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return loader(tmp_path / "net.yaml")


def test_every_key_and_default_of_theirs() -> None:
    told = dict(leaves(hrnet_file("")))
    assert {key: default for key, (_, default) in KEYS.items() if default is not None} == told
    assert {key for name in ("cityscapes", "acdc") for key, _ in leaves(hrnet_file(name))} <= set(KEYS)
    assert {ours for ours, _ in KEYS.values() if ours} | set(RECIPE) <= set(config.OPTIONS)
    assert set(KEYS) & set(config.OPTIONS) == SHARED
    stages = {key for key in KEYS if ".STAGE" in key}
    assert {key for key, *_ in PAIRS} | LATER | SILENT | stages == set(KEYS)


def test_published_file_for_cityscapes(load: Load) -> None:
    cfg = load(hrnet_file())
    found = config.flat(cfg)
    assert {key: found[key] for key in EXPECTED} == EXPECTED
    file = "pretrained_models/hrnetv2_w48_imagenet_pretrained.pth"  # it is passed over, as there, but said
    assert cfg.WITHOUT_EFFECT == [f"MODEL.{key} {file} (not there)" for key in ("PRETRAINED", "OFFSET_PRETRAINED")]
    weights = {term.name: term.weight for term in loss.build(cfg).terms}
    assert weights == {"main": 1.0, "initial": 0.5, "seed": 0.5, "confidence": 1.0}
    rule = inference.eval_rule(cfg)
    assert (rule.base_long_edge, rule.piece, rule.scales, rule.flip, rule.average) == (
        2048,
        (1024, 2048),
        (1.0,),
        False,
        "exp",
    )


def test_published_file_for_acdc(load: Load) -> None:
    cfg = load(hrnet_file("acdc"))
    found, expected = config.flat(cfg), EXPECTED | ACDC
    assert {key: found[key] for key in expected} == expected
    assert cfg.WITHOUT_EFFECT == []  # with frozen parts a missing file is no small matter: the run stops at it


@pytest.mark.parametrize("name", ["cityscapes", "acdc"])
def test_recipe_is_the_published_file(load: Load, name: str) -> None:
    ours = config.flat(config.load(["--cfg", str(ROOT / f"scripts/cfg/offset_{name}.yaml")]))
    theirs = config.flat(load(hrnet_file(name)))
    places = {"DATASET.ROOT", "DATASET.LIST_TRAIN", "DATASET.LIST_VAL", "RESULT_DIR", "RESUME"}
    # The longest offset is that of the network, and images at a time are a matter of memory.
    assert {key for key in ours if ours[key] != theirs[key]} <= places | {"MODEL.OFFSET_THRESHOLD", "EVAL.BATCH_SIZE"}


@pytest.mark.parametrize(("theirs", "value", "ours", "expected"), PAIRS, ids=[f"{k}={v}" for k, v, *_ in PAIRS])
def test_pair(load: Load, theirs: str, value: str, ours: str, expected: Any) -> None:
    ocr = ["MODEL.NAME", "seg_hrnet_ocr"] if theirs.startswith("MODEL.OCR.") else []  # the file's own network has none
    assert config.flat(load(hrnet_file(), *ocr, theirs, value))[ours] == expected


def test_width_of_all_stages(load: Load) -> None:
    tree = hrnet_file()
    for name, stage in tree["MODEL"]["EXTRA"].items():
        if name.startswith("STAGE") and name != "STAGE1":
            stage["NUM_CHANNELS"] = [18 * 2**i for i in range(len(stage["NUM_CHANNELS"]))]
    assert load(tree).MODEL.HRNET_WIDTH == 18
    tree["MODEL"]["EXTRA"]["STAGE4"]["NUM_CHANNELS"][3] = 100
    assert "MODEL.EXTRA.STAGE4.NUM_CHANNELS [18, 36, 72, 100]: here it is [18, 36, 72, 144]" in one_line(load, tree)
    assert "takes 2 numbers" in one_line(load, hrnet_file(), "MODEL.EXTRA.STAGE2.NUM_CHANNELS", "48")
    small = one_line(load, hrnet_file(), "MODEL.EXTRA.STAGE1.NUM_CHANNELS", "32")
    assert "MODEL.EXTRA.STAGE1.NUM_CHANNELS 32: here it is [64]" in small
    assert "BLOCK BASIC: here it is BOTTLENECK" in one_line(load, hrnet_file(), "MODEL.EXTRA.STAGE1.BLOCK", "BASIC")


def plain(name: str = "seg_hrnet", **losses: Any) -> dict[str, Any]:
    """A file of HRNet's own, without offsets."""
    tree = hrnet_file()
    extra = tree["MODEL"]["EXTRA"]
    stages = {key: extra[key] for key in ("FINAL_CONV_KERNEL", "STAGE1", "STAGE2", "STAGE3", "STAGE4")}
    return tree | {"MODEL": {"NAME": name, "EXTRA": stages}, "LOSS": losses}


def test_files_without_offsets(load: Load) -> None:
    cfg = load(plain())
    assert (cfg.MODEL.ARCH, cfg.MODEL.ALIGN_CORNERS, terms(cfg)) == ("seg_hrnet.HRNet", True, "ce:pred:1")
    assert not load(plain(), "MODEL.ALIGN_CORNERS", "False").MODEL.ALIGN_CORNERS
    assert terms(load(plain(USE_OHEM=True))) == "ohem:pred:1"
    cfg = load(plain("seg_hrnet_ocr", BALANCE_WEIGHTS=[0.4, 1]), "MODEL.NUM_OUTPUTS", "2")
    assert (cfg.MODEL.ARCH, cfg.MODEL.ALIGN_CORNERS) == ("ocrnet.HRNet", True)
    assert terms(cfg) == "ce:aux:0.4,ce:pred:1"
    assert terms(load(plain("seg_hrnet_ocr", USE_OHEM=True))) == "ce:aux:0.4,ohem:pred:1"
    assert "LOSS.BALANCE_WEIGHTS takes 2 numbers" in one_line(load, plain("seg_hrnet_ocr", BALANCE_WEIGHTS=[1]))
    assert "LOSS.BALANCE_WEIGHTS takes 1 numbers" in one_line(load, plain(BALANCE_WEIGHTS=[0.4, 1]))


def test_ocr_with_offsets(load: Load) -> None:
    tree = hrnet_file()
    tree["MODEL"]["NAME"], tree["LOSS"]["BALANCE_WEIGHTS"] = "seg_hrnet_ocr", [0.3, 1]
    cfg = load(tree)
    assert (cfg.MODEL.ARCH, terms(cfg), cfg.LOSS.OCR_ALPHA) == ("offset.HRNet_OCR", "", 0.3)
    assert terms(load(tree, "LOSS.USE_OHEM", "False")) == (
        "ce:initial_aux:0.15,ce:seed_aux:0.15,ce:aux:0.3,ce:initial:0.5,ce:seed:0.5,ce:pred:1,"
        "confidence:offset+confidence:1"
    )
    assert "MODEL.ALIGN_CORNERS False" in one_line(load, tree, "MODEL.ALIGN_CORNERS", "False")


def test_a_pretrained_file_that_is_there(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.pth").touch()
    words = ["MODEL.PRETRAINED", str(tmp_path / "a.pth"), "MODEL.OFFSET_PRETRAINED", "no/b.pth"]
    cfg = load(hrnet_file(), *words)
    assert cfg.MODEL.TRUNK_WEIGHTS == words[1] and cfg.MODEL.OFFSET_PRETRAINED == "" and cfg.SNAPSHOT == ""
    assert cfg.WITHOUT_EFFECT == ["MODEL.OFFSET_PRETRAINED no/b.pth (not there)"]
    cfg = load(hrnet_file(), *words, *EVAL)  # what training starts from does not matter
    assert cfg.MODEL.TRUNK_WEIGHTS == "" and cfg.WITHOUT_EFFECT == []


def test_what_is_evaluated(load: Load) -> None:
    cfg = load(hrnet_file(), *EVAL)  # the newest file of ours, or the last one of theirs
    assert (cfg.RESUME, cfg.SNAPSHOT) == ("auto", "output/cityscapes/net/final_state.pth")
    assert load(hrnet_file(), *EVAL, "--result_dir", "r").SNAPSHOT == "r/final_state.pth"
    cfg = load(hrnet_file(), *EVAL, "TEST.MODEL_FILE", "x.pth")
    assert (cfg.RESUME, cfg.SNAPSHOT, cfg.EVAL.MODE, cfg.EVAL.BATCH_SIZE) == ("", "x.pth", "val", 1)
    cfg = load(hrnet_file(), *EVAL, "--snapshot", "y.pth")
    assert (cfg.RESUME, cfg.SNAPSHOT) == ("", "y.pth")
    assert load(hrnet_file(), *EVAL, "--resume", "z.pth").SNAPSHOT == ""
    assert load(hrnet_file(), "TEST.MODEL_FILE", "x.pth").SNAPSHOT == ""  # train.py does not read it


@pytest.mark.parametrize("recipe", ["published", "scripts/cfg/offset_cityscapes.yaml"])
def test_documented_evaluations(load: Load, recipe: str) -> None:
    """Behind a published file and behind our own recipe."""
    words = [*EVAL, "TEST.MODEL_FILE", "x.pth", "TEST.SCALE_LIST", "0.5,0.75,1.0,1.25,1.5,1.75"]
    words += ["TEST.FLIP_TEST", "True", "ASSETS_PATH", "/big"]
    run = (
        (lambda *w: load(hrnet_file(), *w)) if recipe == "published" else lambda *w: config.load(["--cfg", recipe, *w])
    )
    cfg = run(*words)
    rule = inference.eval_rule(cfg)
    assert sorted(rule.scales) == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75] and rule.flip and rule.base_long_edge == 2048
    assert (cfg.SNAPSHOT, cfg.RESUME, cfg.EVAL.MODE, cfg.EVAL.DUMP_PALETTE) == ("x.pth", "", "val", False)
    cfg = run(*words, "DATASET.TEST_SET", "list/cityscapes/test.lst")
    root = "data" if recipe == "published" else "/big/data"
    assert (cfg.EVAL.MODE, cfg.EVAL.DUMP_PALETTE) == ("test", True)
    assert cfg.DATASET.LIST_TEST == f"{root}/list/cityscapes/test.lst"
    cfg = run(*words, "--data_root", "/d/cs", "DATASET.TEST_SET", "list/cityscapes/val.lst")
    assert (cfg.EVAL.MODE, cfg.DATASET.LIST_VAL) == ("val", "/d/list/cityscapes/val.lst")


def test_pairs_behind_our_recipes() -> None:
    """They win over what the recipe says."""
    recipe = ["--cfg", str(ROOT / "scripts/cfg/offset_acdc.yaml")]
    cfg = config.load([*recipe, *EVAL, "TEST.MODEL_FILE", "x.pth", "DATASET.TEST_SET", "list/acdc/test.lst"])
    assert (cfg.SNAPSHOT, cfg.EVAL.MODE, cfg.DATASET.NAME) == ("x.pth", "test", "acdc")
    assert cfg.DATASET.LIST_TEST == f"{Path(cfg.DATASET.ACDC_DIR).parent}/list/acdc/test.lst"
    cfg = config.load([*recipe, "TRAIN.BASE_SIZE", "960", "TRAIN.SCALE_FACTOR", "5", "LOSS.USE_OHEM", "False"])
    assert (cfg.DATASET.PRE_SIZE, cfg.AUG.SCALE_MAX, terms(cfg)[:16]) == (960, 1.0, "ce:initial:0.5,c")
    cfg = config.load([*recipe, "MODEL.NAME", "seg_hrnet_ocr", "MODEL.EXTRA.OFFSET_BRANCH", "3", "OUTPUT_DIR", "o"])
    assert (cfg.MODEL.ARCH, cfg.MODEL.OFFSET_BRANCH) == ("offset.HRNet_OCR", 3)
    assert cfg.RESULT_DIR == "o/acdc/offset_acdc"


def test_precedence(load: Load, tmp_path: Path) -> None:
    """A file, ours behind it, flags, pairs; what is made of several of their words gives way to all of ours."""
    (tmp_path / "ours.yaml").write_text("OPTIM: {LR: 0.5}\nMODEL: {ALIGN_CORNERS: true}\n")
    ours = ["--cfg", str(tmp_path / "ours.yaml")]
    cfg = load(hrnet_file(), *ours)
    assert cfg.OPTIM.LR == 0.5 and cfg.MODEL.ALIGN_CORNERS
    assert load(hrnet_file(), *ours, "--lr", "0.6").OPTIM.LR == 0.6
    assert load(hrnet_file(), *ours, "--lr", "0.6", "TRAIN.LR", "0.7").OPTIM.LR == 0.7
    cfg = load(hrnet_file(), "--arch", "offset.HRNet_OCR", "--data_root", "d", "--result_dir", "r", "--pre_size", "9")
    assert (cfg.MODEL.ARCH, cfg.DATASET.ROOT, cfg.RESULT_DIR, cfg.DATASET.PRE_SIZE) == ("offset.HRNet_OCR", "d", "r", 9)
    cfg = load(hrnet_file(), "--dataset", "toy")  # the file's data are not meant
    assert (cfg.DATASET.NAME, cfg.DATASET.ROOT, cfg.DATASET.LIST_VAL) == ("toy", "", "")


def test_names_that_both_have(tmp_path: Path) -> None:
    """Behind a file of ours they are ours."""
    assert config.load(["DATASET.ROOT", "d/cs"]).DATASET.ROOT == "d/cs"
    assert config.load(["MODEL.ALIGN_CORNERS", "true"]).MODEL.ALIGN_CORNERS
    assert config.load(["TRAIN.END_EPOCH", "3", "TRAIN.LR", "0.3"]).OPTIM.LR == 0.3


def test_files_of_ours_are_no_files_of_theirs() -> None:
    for file in (ROOT / "scripts/cfg").glob("*.yaml"):
        assert not hrnet_options.is_theirs(yaml.safe_load(file.read_text())), file
    assert not hrnet_options.is_theirs({"TRAIN": {"LR": 1}, "DATASET": {"ROOT": "x"}, "MODEL": {"ARCH": "y"}})
    assert hrnet_options.is_theirs({"TEST": {"FLIP_TEST": True}})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["MODEL.NAME", "seg_hrnet_ocr2"], "MODEL.NAME seg_hrnet_ocr2: unknown here; did you mean 'seg_hrnet_ocr'"),
        (["DATASET.DATASET", "lip"], "DATASET.DATASET lip: known are cityscapes, acdc; others come in with --dataset"),
        (["TRAIN.OPTIMIZER", "adam"], "TRAIN.OPTIMIZER adam: here it is sgd alone"),
        (["TRAIN.FLIP", "False"], "TRAIN.FLIP False: here it is True alone"),
        (["TRAIN.EXTRA_EPOCH", "5"], "TRAIN.EXTRA_EPOCH 5: here it is 0 alone"),
        (["DATASET.EXTRA_TRAIN_SET", "a.lst"], "DATASET.EXTRA_TRAIN_SET a.lst: here it is empty alone"),
        (["MODEL.EXTRA.CONFIDENCE", "2"], "MODEL.EXTRA.CONFIDENCE 2: here it is 0 or 1 alone"),
        (["TEST.OUTPUT_INDEX", "0"], "TEST.OUTPUT_INDEX 0: here it is -1 or 1 alone"),
        (["TRAIN.IMAGE_SIZE", "512"], "TRAIN.IMAGE_SIZE takes 2 numbers, not 512"),
        (["TEST.SCALE_LIST", "a,b", *EVAL], "TEST.SCALE_LIST takes a list of numbers, not 'a,b'"),
        (["TEST.FLIP_TEST", "maybe"], "TEST.FLIP_TEST takes true or false, not 'maybe'"),
        (["TRAIN.LR", "fast"], "TRAIN.LR takes float, not 'fast'"),
        (["TRAIN.BASE_SIZE", "wide"], "DATASET.PRE_SIZE takes int, not 'wide'"),
        (["TEST.SCALE_LISTS", "1"], "unknown key 'TEST.SCALE_LISTS'; did you mean 'TEST.SCALE_LIST'"),
        (["TEST.MODEL_FILE"], "key TEST.MODEL_FILE needs a value"),
    ],
)
def test_mistakes(load: Load, words: list[str], message: str) -> None:
    words = [*words[words.index("--eval") :], *words[: words.index("--eval")]] if "--eval" in words else words
    assert message in one_line(load, hrnet_file(), *words)


def test_unknown_keys_of_a_file_are_named_all(load: Load) -> None:
    tree = hrnet_file()
    tree["TRAIN"]["END_EPOCHS"], tree["MODEL"]["EXTRA"]["OFFSET_BRANCHES"] = 3, 4
    message = one_line(load, tree)
    assert "TRAIN.END_EPOCHS; did you mean 'TRAIN.END_EPOCH'" in message and "net.yaml" in message
    assert "MODEL.EXTRA.OFFSET_BRANCHES; did you mean 'MODEL.EXTRA.OFFSET_BRANCH'" in message


def test_without_effect_there_as_here(load: Load) -> None:
    words = ["TEST.MULTI_SCALE", "True", "TRAIN.LR_STEP", "[90,110]", "TRAIN.BEGIN_EPOCH", "3", "DEBUG.DEBUG", "True"]
    found = load(hrnet_file(), *words, "MODEL.PRETRAINED", "", "MODEL.OFFSET_PRETRAINED", "").WITHOUT_EFFECT
    assert found == ["TRAIN.BEGIN_EPOCH 3", "TEST.MULTI_SCALE True", "DEBUG.DEBUG True"]
