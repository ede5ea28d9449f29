"""Options: NVIDIA's flags and command lines, precedence, and one clear line for every mistake."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shared import GOLDEN

import config
import inference
import network
from options import arch_help, archs, table
from options.option import Option
from utils.errors import UserError

PUBLISHED = json.loads((GOLDEN / "nvidia/options.json").read_text())["flags"]
SCRIPTS = json.loads((GOLDEN / "nvidia/scripts.json").read_text())
# "Off" or "unset" there is null; here it has the type of the option. Unset flags take the published value in effect.
OFF = {
    "snapshot": "",
    "resume": "",
    "eval": "",
    "eval_folder": "",
    "pre_size": 0,
    "custom_coarse_prob": -1.0,
    "aspp_bot_ch": 256,
    "set_cityscapes_root": "ASSETS_PATH/data/Cityscapes",
    "ocr_alpha": 0.4,
    "segattn_bot_ch": 256,
    "supervised_mscale_loss_wt": 0.0,
}
LISTS = ("coarse_boost_classes", "custom_coarse_dropout_classes", "n_scales", "rand_augment", "crop_size",
         "strict_bdr_cls", "extra_scales")  # fmt: skip
PARSERS = {"int": int, "float": float, "str": str, "store_true": bool}


def one_line(argv: list[str]) -> str:
    """Message of the UserError that a command line earns; it is one line."""
    with pytest.raises(UserError) as caught:
        config.load(argv)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def option_of(flag: dict[str, Any]) -> Option | None:
    """Our option of a published flag; every spelling of it leads there. None if it never did anything."""
    known = table.flags()
    options = {id(known.get(name)): known.get(name) for name in flag["flag"]}
    assert len(options) == 1
    return options.popitem()[1]


def ours(flag: dict[str, Any]) -> Any:
    """The published default as we write it."""
    if flag["dest"] == "arch":
        return ""  # its published default names a network that does not exist
    if flag["dest"] in LISTS:
        return flag["default"] or ""
    return OFF[flag["dest"]] if flag["default"] is None else flag["default"]


def test_103_flags() -> None:
    assert len(PUBLISHED) == 103


@pytest.mark.parametrize("flag", PUBLISHED, ids=lambda flag: flag["dest"])
def test_published_flag(flag: dict[str, Any]) -> None:
    option = option_of(flag)
    name = flag["flag"][-1]
    if name in table.NEGATED:
        assert config.OPTIONS[table.NEGATED[name]].default is True and flag["default"] is False
    elif option is None:
        assert name in table.WITHOUT_EFFECT
        assert table.WITHOUT_EFFECT[name] == (flag["type"] != "store_true")
    else:
        assert option.written(option.default) == ours(flag)
        assert type(ours(flag)) is PARSERS[flag["type"]]


@pytest.mark.parametrize("flag", PUBLISHED, ids=lambda flag: flag["dest"])
def test_published_flag_is_accepted(flag: dict[str, Any]) -> None:
    """Alone on the command line, with its default as the value, it changes nothing (a switch sets its key)."""
    values, idle, *_ = config.parse(
        [flag["flag"][0]] + ([] if flag["type"] == "store_true" else [str(ours_or_any(flag))])
    )
    if (option := option_of(flag)) is not None:
        assert values[option.key] == (True if flag["type"] == "store_true" else option.default)
        assert not idle
    elif flag["flag"][0] in table.WITHOUT_EFFECT:
        assert idle == flag["flag"] and values == config.defaults()
    else:
        assert values[table.NEGATED[flag["flag"][0]]] is False


def ours_or_any(flag: dict[str, Any]) -> Any:
    return ours(flag) if flag["dest"] in (*OFF, *LISTS) or flag["default"] is not None else "1"


def test_idle_flags_are_collected() -> None:
    words = [[name, "1"] if takes else [name] for name, takes in table.WITHOUT_EFFECT.items()]
    cfg = config.load(["--arch", "basic.HRNet", *sum(words, [])])
    assert cfg.WITHOUT_EFFECT == list(table.WITHOUT_EFFECT)
    assert config.load([]).WITHOUT_EFFECT == []


# --- command lines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_published_command_line(name: str) -> None:
    words = shlex.split(SCRIPTS[name]["train_command"])
    argv = words[words.index("train.py") + 1 :]
    dataset = argv[argv.index("--dataset") + 1]
    cfg = config.load(argv)
    assert cfg.MODEL.ARCH == argv[argv.index("--arch") + 1]
    assert cfg.RESULT_DIR == "LOGDIR" and cfg.TRAIN.SYNCBN and cfg.TRAIN.APEX and cfg.TRAIN.FP16
    assert cfg.DATASET.NUM_CLASSES == (19 if dataset == "cityscapes" else 65)
    if "--lr" in argv:
        assert cfg.OPTIM.LR == float(argv[argv.index("--lr") + 1])
    if "--snapshot" in argv:
        assert cfg.SNAPSHOT.startswith(cfg.ASSETS_PATH + "/seg_weights/")


def test_every_word_arrives() -> None:
    argv = shlex.split(SCRIPTS["train_cityscapes_sota.yml"]["train_command"])
    cfg = config.load(argv[argv.index("train.py") + 1 :])
    assert cfg.DATASET.CROP_SIZE == (1024, 2048) and cfg.OPTIM.POLY_EXP == 2.0 and cfg.OPTIM.LR == 0.01
    assert cfg.DATASET.COARSE_BOOST_CLASSES == (3, 4, 6, 7, 9, 11, 12, 13, 14, 15, 16, 17, 18)
    assert cfg.DATASET.CUSTOM_COARSE_DROPOUT_CLASSES == (14, 15, 16) and cfg.DATASET.CUSTOM_COARSE_PROB == 0.5
    assert cfg.DATASET.MASK_OUT_CITYSCAPES and cfg.LOSS.RMI and cfg.LOSS.SUPERVISED_MSCALE_WT == 0.05
    assert cfg.MODEL.N_SCALES == (0.5, 1.0, 2.0) and cfg.TRAIN.MAX_EPOCH == 175 and cfg.DATASET.MAX_CU_EPOCH == 150


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--fp16"], True),
        (["--fp16", "true"], True),
        (["--fp16", "false"], False),
        (["--fp16=false"], False),
        (["--fp16", "--cv", "1"], True),
        (["--fp16", "TRAIN.SYNCBN", "true"], True),
        (["TRAIN.FP16", "yes"], True),
        ([], False),
    ],
)
def test_booleans(words: list[str], value: bool) -> None:
    assert config.load(words).TRAIN.FP16 is value


def test_values_that_begin_with_a_dash() -> None:
    assert config.load(["--rlx_off_epoch", "-1"]).OPTIM.RLX_OFF_EPOCH == -1
    assert config.load(["--bn_momentum=-1"]).MODEL.BN_MOMENTUM == -1.0
    for flag in ("-wb", "--wt_bound"):
        assert config.load(["--img_wt_loss", flag, "2.5"]).LOSS.WT_BOUND == 2.5
    assert config.load(["OPTIM.RLX_OFF_EPOCH", "-1"]).OPTIM.RLX_OFF_EPOCH == -1


def test_both_spellings_of_local_rank() -> None:
    assert config.load(["--local_rank=3"]).TRAIN.LOCAL_RANK == config.load(["--local-rank", "3"]).TRAIN.LOCAL_RANK == 3


@pytest.mark.parametrize(
    ("words", "name", "flips", "idle"),
    [
        ([], "nvidia", 1, []),
        (["--snapshot", "x.pdparams"], "paddle", 1, []),
        (["--resume", "x.pdparams"], "paddle", 1, []),
        (["--snapshot", "x.pdparams", "--eval_rule", "nvidia"], "nvidia", 1, []),
        (["--snapshot", "x.pth", "--eval_rule", "paddle"], "paddle", 1, []),
        (["--aug_eval"], "nvidia", 1, []),
        (["--aug_eval", "--flip_horizontal"], "nvidia", 2, []),
        (["--aug_eval", "--flip_vertical"], "nvidia", 2, []),
        (["--aug_eval", "--flip_vertical", "--flip_horizontal"], "nvidia", 4, []),
        (["--flip_horizontal", "--flip_vertical"], "nvidia", 1, ["EVAL.FLIP_HORIZONTAL", "EVAL.FLIP_VERTICAL"]),
        (["--do_flip", "--flip_vertical"], "nvidia", 2, ["EVAL.FLIP_VERTICAL"]),
    ],
)
def test_rule_and_flips_of_an_evaluation(words: list[str], name: str, flips: int, idle: list[str]) -> None:
    """Flips of PaddleSeg's val.py need its --aug_eval; without, the log says so."""
    cfg = config.load(words)
    assert inference.rule_name(cfg) == name
    rule = inference.eval_rule(cfg)
    assert len(rule.flips) == flips and rule.use_given_scale_factor == (name == "paddle") and rule.average == "logits"
    assert cfg.WITHOUT_EFFECT == [f"{key} True (not read: of --aug_eval)" for key in idle]


def test_flags_of_paddlesegs_val() -> None:
    """The three are switches, as there; probabilities come back with --published; scales of any spelling."""
    told = json.loads((GOLDEN / "paddle/options.json").read_text())["val.py"]
    for flag in ("--aug_eval", "--flip_horizontal", "--flip_vertical"):
        assert told[flag]["action"] == "store_true" and table.flags()[flag].default is told[flag]["default"] is False
    assert inference.eval_rule(config.load(["--published", "softmax_sum"])).average == "probabilities"
    for text in ("0.5,1,1.5,2,2.5", "0.5,1.0,1.5,2.0,2.5"):
        cfg = config.load(["--n_scales", text])
        assert network.settings(cfg).scales == (0.5, 1.0, 1.5, 2.0, 2.5)
    cfg = config.load("--multi_scale_inference --default_scale 0.77 --extra_scales 1.3".split())
    assert inference.eval_rule(cfg).scales == (0.77, 1.3)


# --- precedence and files ------------------------------------------------------------------------------------------


@pytest.fixture
def yaml_file(tmp_path: Path):
    def write(text: str, name: str = "a.yaml") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_precedence(yaml_file) -> None:
    file = ["--cfg", yaml_file("OPTIM: {LR: 0.1, MOMENTUM: 0.1}\nTRAIN.MAX_EPOCH: 7\n")]
    later = ["--cfg", yaml_file("TRAIN: {MAX_EPOCH: 9}", "b.yaml")]
    assert config.load([]).OPTIM.LR == 0.002
    assert config.load(file).OPTIM.LR == 0.1
    assert config.load([*file, *later]).TRAIN.MAX_EPOCH == 9
    assert config.load([*later, *file]).TRAIN.MAX_EPOCH == 7
    assert config.load(["--lr", "0.2", *file]).OPTIM.LR == 0.2  # a flag wins wherever it stands
    cfg = config.load([*file, "--lr", "0.2", "OPTIM.LR", "0.3"])
    assert cfg.OPTIM.LR == 0.3 and cfg.OPTIM.MOMENTUM == 0.1
    assert config.load(["--lr", "1", "--lr", "2"]).OPTIM.LR == 2.0


def test_yaml_types(yaml_file) -> None:
    cfg = config.load(
        [
            "--cfg",
            yaml_file(
                "OPTIM: {LR: 5e-3, POLY_EXP: 2}\nTRAIN: {MAX_EPOCH: 1e2, FP16: on}\nSNAPSHOT: null\n"
                "DATASET: {CROP_SIZE: [64, 128]}\nMODEL: {N_SCALES: [0.5, 1.0], "
                "OCR_EXTRA: {STAGE2: {NUM_BLOCKS: [1, 2]}}}\nEVAL: {EXTRA_SCALES: 0.5}\n"
            ),
        ]
    )
    assert cfg.OPTIM.LR == 0.005 and type(cfg.OPTIM.LR) is float and type(cfg.OPTIM.POLY_EXP) is float
    assert cfg.TRAIN.MAX_EPOCH == 100 and type(cfg.TRAIN.MAX_EPOCH) is int and cfg.TRAIN.FP16 is True
    assert cfg.SNAPSHOT == "" and cfg.DATASET.CROP_SIZE == (64, 128) and cfg.MODEL.N_SCALES == (0.5, 1.0)
    assert cfg.MODEL.OCR_EXTRA.STAGE2.NUM_BLOCKS == (1, 2) and cfg.EVAL.EXTRA_SCALES == (0.5,)


def test_lists_on_the_command_line() -> None:
    for text in ("1,2", "[1, 2]", "(1,2)"):
        assert config.load(["MODEL.OCR_EXTRA.STAGE2.NUM_BLOCKS", text]).MODEL.OCR_EXTRA.STAGE2.NUM_BLOCKS == (1, 2)
    assert config.load(["DATASET.MEAN", "0,0.5,1"]).DATASET.MEAN == (0.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (("--n_scales", '["0.5", "1.0"]'), "MODEL.N_SCALES", (0.5, 1.0)),
        (("--n_scales", "( 0.5,1.0 )"), "MODEL.N_SCALES", (0.5, 1.0)),
        (("--n_scales", "[]"), "MODEL.N_SCALES", ()),
        (("--conditions", "['fog', \"rain\"]"), "DATASET.CONDITIONS", ("fog", "rain")),
        (("--seed", str(2**53 + 1)), "SEED", 2**53 + 1),
        (("--seed", "1e3"), "SEED", 1000),
        (("--n_scales", "["), "--n_scales takes positive numbers", None),
        (("--n_scales", "1.0,2.0]"), "--n_scales takes positive numbers", None),
        (("--n_scales", "(1.0,2.0]"), "--n_scales takes positive numbers", None),
        (("--conditions", "[fog"), "--conditions takes names with commas", None),
    ],
)
def test_lists_and_digits_are_read_as_they_are_written(words: tuple[str, str], key: str, value: object) -> None:
    """As JSON, YAML and Python write lists; brackets that do not close are refused."""
    if value is None:
        assert key in one_line([*words])
    else:
        assert config.parse([*words]).values[key] == value


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--n_scal", "did you mean '--n_scales' or '--scales' or '--single_scale'?"),
        ("--help", "unknown flag --help (python train.py --help all lists them)"),
    ],
)
def test_unknown_flags(flag: str, says: str) -> None:
    assert says in one_line([flag])


def test_lists_have_their_type_and_are_records_again() -> None:
    """Typed after parsing, plain data in records, and what an older record says as text is the same value."""
    argv = ["--arch", "attnscale.DeepV3R50", "--n_scales", "0.5,1", "--crop_size", "64,128", "--imgSize", "300", "375"]
    argv += [
        "--gpus",
        "gpu2-0,3",
        "--loss_terms",
        "ohem:pred:0.5,confidence:offset+confidence:1",
        "--published",
        "img_wt",
    ]
    values = config.parse(argv).values
    assert values["MODEL.N_SCALES"] == (0.5, 1.0) and values["DATASET.CROP_SIZE"] == (64, 128)
    assert values["DATASET.IMG_SIZES"] == (300, 375) and values["OPTIONS.DEVICES"] == (2, 1, 0, 3)
    assert values["LOSS.TERMS"] == (("ohem", ("pred",), 0.5), ("confidence", ("offset", "confidence"), 1.0))
    record = config.as_written(values)
    assert (record["MODEL.N_SCALES"], record["DATASET.CROP_SIZE"]) == ("0.5,1.0", "64,128")
    assert record["LOSS.TERMS"] == "ohem:pred:0.5,confidence:offset+confidence:1" and record["PUBLISHED"] == "img_wt"
    assert record["MODEL.OCR_EXTRA.STAGE2.NUM_BLOCKS"] == [4, 4] and record["EVAL.PIECE"] == [1024, 2048]
    assert config.from_record(json.loads(json.dumps(record))) == values
    assert config.as_written({"MODEL.N_SCALES": "0.5,1", "OPTIONS.DEVICES": "0-2", "DATASET.CROP_SIZE": "64,64"}) == {
        "MODEL.N_SCALES": "0.5,1.0", "OPTIONS.DEVICES": "0,1,2", "DATASET.CROP_SIZE": "64"
    }  # fmt: skip
    assert config.as_written({"OPTIM.NAME": "lamb", "no.option": 1}) == {"OPTIM.NAME": "lamb"}


@pytest.mark.parametrize(
    ("argv", "arch", "ignored"),
    [
        ("--trunk resnet50 --head ocr", "resnet50+ocr", []),
        ("--trunk resnet50 --head ocr --scales hierarchical", "resnet50+ocr+hierarchical", []),
        ("--head ocr --scales=hierarchical --trunk=hrnet", "ocrnet.HRNet_Mscale", []),  # as it is published
        ("--arch resnet50+deeplab_plus+pairs", "attnscale.DeepV3R50BP", []),
        ("--arch basic.HRNet --trunk resnet101", "basic.HRNet", ["--trunk"]),  # a published flag, without effect
        ("--trunk resnet101", "", ["--trunk"]),
        ("--trunk resnet50 --head ocr --offsets", "resnet50+ocr+offsets", []),
        ("--offsets --trunk hrnet --head ocr --scales paired", "hrnet+ocr+paired+offsets", []),
        ("--trunk resnet50 --head deeplab_plus --offsets", "offset.DeepV3PlusR50", []),
        ("--trunk resnet50 --head ocr --scales None", "resnet50+ocr", []),  # as sweeps write that there is none
    ],
)
def test_free_networks(argv: str, arch: str, ignored: list[str]) -> None:
    cfg = config.load(argv.split())
    assert (cfg.MODEL.ARCH, cfg.WITHOUT_EFFECT) == (arch, ignored)
    assert config.load([], config.flat(cfg)).MODEL.ARCH == arch


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ("--trunk resnet --head ocr", "unknown --trunk 'resnet'"),
        ("--trunk resnet50 --head ocrr", "unknown --head 'ocrr'; did you mean 'ocr'"),
        ("--trunk resnet50 --head ocr --scales pair", "unknown --scales 'pair'; did you mean"),
        ("--head ocr", "--head ocr names a part of a network: also give --trunk"),
        ("--trunk hrnet --scales paired", "names a part of a network: also give --head"),
        ("--scales hierarchical --arch basic.HRNet", "hierarchical names a part of a network: also give --trunk"),
        ("--trunk hrnet --head ocr --arch basic.HRNet", "--arch names the whole network: leave it out"),
        ("--trunk resnet50 --head ocr MODEL.ARCH basic.HRNet", "--arch names the whole network: leave it out"),
        ("--trunk resnet50", "--trunk resnet50 names a part of a network: also give --head"),
        ("--trunk resnet50 --arch ocrnet.HRNet", "also give --head, in place of --arch"),
        ("--offsets --arch basic.HRNet", "--offsets stands beside --trunk and --head"),
        ("--offsets", "--offsets stands beside --trunk and --head"),
        ("--arch resnet50+ocr+offsets+paired", "unknown --scales 'offsets+paired'"),
        ("--arch resnet50+offsets", "unknown --head 'offsets'"),
        ("--arch basic.HRNt", "unknown --arch 'basic.HRNt'; did you mean 'basic.HRNet'"),
        ("--arch resnet50+ocr+fused+pairs", "unknown --scales 'fused+pairs'"),
        (
            "--arch resnet50+ocr --hrnet_width 18",
            "--hrnet_width is of networks on the trunk hrnet, not of",
        ),
        ("--arch resnet50+ppm --n_scales 1.0", "--n_scales is of networks that combine scales, not of --arch resnet50"),
    ],
)
def test_free_networks_that_are_none(argv: str, says: str) -> None:
    assert says in one_line(argv.split())


def test_every_combination_is_a_network_or_refused_with_the_reason() -> None:
    """Nothing stands together by chance: of the 858 combinations 655 are networks."""
    parts = [(t, h, s) for t in archs.TRUNKS for h in archs.HEADS for s in ("", *archs.SCALES)]
    assert (len(parts), sum(not archs.refusal(*part) for part in parts)) == (858, 655)
    assert not archs.refusal("hrnet", "upernet") and not archs.refusal("mobilenetv2dilated", "deeplab_plus", "fused")
    for name, row in archs.ARCHS.items():
        if row.trunk in archs.TRUNKS and row.head in archs.HEADS:
            assert not archs.refusal(row.trunk, row.head, row.scales), name


def test_page_of_the_networks_is_up_to_date() -> None:
    """If not: python -m options.arch_help"""
    assert arch_help.PAGE.read_text(encoding="utf-8") == arch_help.page()


def test_help_lists_the_networks() -> None:
    text = config.help_text("arch")
    assert max(map(len, text.splitlines())) <= 140
    for name in (*archs.ARCHS, *archs.TRUNKS, *archs.HEADS, *archs.SCALES):
        assert name in text.split()


def test_assets_path() -> None:
    cfg = config.load(["--snapshot", "ASSETS_PATH/x.pth", "ASSETS_PATH", "/big"])
    assert cfg.SNAPSHOT == "/big/x.pth" and cfg.DATASET.CITYSCAPES_DIR == "/big/data/Cityscapes"
    assert not [key for key, value in config.flat(cfg).items() if "ASSETS_PATH" in str(value)]
    assert config.load(["ASSETS_PATH", "~/big"]).DATASET.CAMVID_DIR == str(Path.home() / "big/data/CamVid")


def test_none_of_a_sweep_is_off() -> None:
    """runx writes a null of its YAML as the word None."""
    assert config.load(["--n_scales", "None", "--snapshot", "None"]).MODEL.N_SCALES == ()


def test_classes_of_the_dataset() -> None:
    assert config.load([]).DATASET.NUM_CLASSES == 19
    assert config.load(["--dataset", "camvid"]).DATASET.NUM_CLASSES == 11
    assert config.load(["--dataset", "camvid", "DATASET.NUM_CLASSES", "65"]).DATASET.NUM_CLASSES == 65


def test_frozen() -> None:
    cfg = config.load([])
    with pytest.raises(AttributeError):
        cfg.SEED = 1
    with pytest.raises(AttributeError):
        cfg.OPTIM.LR = 1.0


def test_flat_is_the_inverse_of_pairs() -> None:
    cfg = config.load(["--lr", "0.25", "--published", "img_wt,small_tile", "DATASET.MEAN", "0,0.5,1"])
    pairs = []
    for key, value in config.flat(cfg).items():
        pairs += [key, ",".join(map(str, value)) if isinstance(value, list) else str(value)]
    assert config.flat(config.load(pairs)) == config.flat(cfg)
    assert cfg.PUBLISHED == ("img_wt", "small_tile")


# --- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--arhc", "x"], ["--arhc", "'--arch'"]),
        (["--n_scale", "1.0"], ["'--n_scales'"]),  # no abbreviations
        (["OPTIM.LRR", "1"], ["'OPTIM.LRR'", "'OPTIM.LR'"]),
        (["OPTIM.LR"], ["OPTIM.LR", "value"]),
        (["--lr"], ["--lr needs a value"]),
        (["--result_dir", ""], ["--result_dir is empty: name the folder that the run writes to"]),
        (["--result_dir", "  "], ["--result_dir is empty"]),
        (["RESULT_DIR", "None"], ["--result_dir is empty"]),
        (["--ckpt", ""], ["--ckpt is empty: name the folder that the run writes to"]),
        (["--eval", "val", "--snapshot", "a", "--result", ""], ["--result is empty"]),
        (["--lr", "--fp16"], ["--lr needs a value"]),
        (["--lr", "fast"], ["--lr", "float", "'fast'"]),
        (["--lr", "nan"], ["--lr", "nan"]),
        (["--bs_trn", "2.5"], ["--bs_trn", "int", "'2.5'"]),
        (["--bs_trn", "inf"], ["--bs_trn", "'inf'"]),
        (["--bs_trn", "0"], ["--bs_trn", "above 0"]),
        (["--fp16=maybe"], ["--fp16", "maybe"]),
        (["--optimizer", "sdg"], ["--optimizer", "'sgd'"]),
        (["--eval", "tests"], ["--eval", "folder", "test"]),
        (["--eval", "folder", "--snapshot", "x.pth"], ["--eval_folder"]),
        (["--eval", "val"], ["--eval val", "--snapshot"]),
        (["--start_epoch", "180"], ["--start_epoch", "--max_epoch"]),
        (["DATASET.STD", "1,0,1"], ["DATASET.STD"]),
        (["DATASET.MEAN", "1,0"], ["DATASET.MEAN"]),
        (["--eval_folder", "x"], ["--eval folder"]),
        (["--dataset", "cityscape"], ["'cityscape'", "'cityscapes'"]),
        (["--n_scales", "0.5,2.0"], ["--n_scales", "1.0"]),
        (["--n_scales", "0.5,a"], ["--n_scales", "'0.5,a'"]),
        (["--n_scales", "1.0,"], ["--n_scales"]),
        (["--crop_size", "64,64,64"], ["--crop_size", "height,width"]),
        (["--crop_size", ""], ["--crop_size"]),
        (["--scale_min", "3"], ["--scale_min", "--scale_max"]),
        (["--published", "imgwt"], ["imgwt", "'img_wt'"]),
        (["--snapshot", "a", "--resume", "b"], ["--snapshot", "--resume"]),
        (["--dump_for_submission"], ["--dump_for_submission", "--eval"]),
        (["--cv", "4"], ["--cv"]),
        (["--ema", "1.5"], ["--ema"]),
        (["--multi_scale_inference", "--extra_scales", "-1"], ["--extra_scales"]),
        (["--rand_augment", "2"], ["--rand_augment", "N,M"]),
        (["--jointwtborder", "--strict_bdr_cls", "1,x"], ["--strict_bdr_cls"]),
        (["--cfg", "no/such.yaml"], ["no/such.yaml"]),
        (["MODEL.OCR_EXTRA.STAGE2.NUM_BLOCKS", "a"], ["NUM_BLOCKS", "'a'"]),
        (["stray"], ["'stray'"]),
        (["--inference_mode", "slide"], ["--inference_mode", "sliding"]),
        (["--scales", "1.0"], ["--scales", "--inference_mode"]),
        (["--no_flip"], ["--no_flip", "--inference_mode"]),
        (["--window", "512"], ["--window", "--inference_mode"]),
        (["-im", "whole", "--scales", "0.5,x"], ["--scales", "'0.5,x'"]),
        (["-im", "whole", "--scales", ""], ["--scales"]),
        (["-im", "sliding", "--scales", "0,1"], ["--scales", "above 0"]),
        (["-im", "sliding", "--sliding_overlap", "1"], ["--sliding_overlap", "0.9"]),
        (["-im", "sliding", "--sliding_overlap", "1/0"], ["--sliding_overlap", "1/0"]),
        (["-im", "pooling", "--window", "512"], ["--window is of --inference_mode sliding"]),
        (["-im", "sliding", "--window", "0"], ["--window", "at least 16"]),
        (["-im", "sliding", "--eval", "val", "--snapshot", "a", "--crop_size", "64,96"], ["--crop_size", "'64,96'"]),
        (["-im", "sliding", "--multi_scale_inference"], ["--multi_scale_inference", "--scales"]),
        (["-im", "sliding", "--do_flip", "--no_flip"], ["--do_flip", "--no_flip"]),
        (["-im", "sliding", "--eval_rule", "paddle"], ["--eval_rule", "--inference_mode"]),
        (["-im", "sliding", "--published", "pooling_input"], ["pooling_input", "--inference_mode pooling"]),
        (["--published", "sliding_counts"], ["sliding_counts", "--inference_mode sliding"]),
        (["--eval", "val", "--snapshot", "a", "--split_count", "2", "--split_index", "2"], ["--split_index", "(2)"]),
        (["--split_count", "0"], ["--split_count", "0"]),
        (["--split_count", "2"], ["--split_count", "--eval"]),
        (["--fixed_aspp_pool"], ["--fixed_aspp_pool", "--eval"]),
        (["--eval", "val", "--snapshot", "a", "--split_count", "2", "--dump_for_submission"], ["--split_count"]),
        (["--mscale_no3x3=perhaps"], ["--mscale_no3x3"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistake_is_one_line(argv: list[str], words: list[str]) -> None:
    message = one_line(argv)
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("OPTIM: {LRR: 1}", ["OPTIM.LRR", "'OPTIM.LR'"]),
        ("OPTIM: {LR: fast}", ["OPTIM.LR", "fast"]),
        ("OPTIM: 3", ["OPTIM is a section, not 3: give its keys below it, further right"]),
        ("OPTIM:\nLR: 0.1", ["section OPTIM is empty: give its keys below it, further right, or leave it out"]),
        ("MODEL:\n  OCR:\n", ["section MODEL.OCR is empty"]),
        ("TRAIN:\n  num_epoch: 3\nVAL:\n", ["section VAL is empty"]),  # CSAIL's
        ("model: {type: MscaleOCRNet}\nloss:", ["section loss is empty"]),  # PaddleSeg's
        ("# all: left out\n", ["is empty: give keys and values"]),
        ("RESULT_DIR: [a]", ["RESULT_DIR takes text, not ['a']"]),
        ("DATASET: {ROOT: [a, b]}", ["DATASET.ROOT takes text, not ['a', 'b']"]),
        ("DIR: [a]", ["DIR takes text, not ['a']"]),  # CSAIL's
        ("OUTPUT_DIR: [a]\nTEST: {FLIP_TEST: true}", ["OUTPUT_DIR takes text, not ['a']"]),  # HRNet's
        ("OPTIM: {LR: 1}\nTRAIN: {EMA: 0}\nOPTIM: {NAME: sgd}", ["OPTIM stands twice, in lines 1 and 3"]),
        ("OPTIM.LR: 1\nOPTIM: {LR: 2}", ["OPTIM.LR stands twice, in lines 1 and 2"]),
        ("batch_size: 2\nmodel: {type: MscaleOCRNet}\nbatch_size: 4", ["batch_size stands twice, in lines 1 and 3"]),
        ("OPTIM:\n\tLR: 1", [", line 2: no valid YAML: a tab in front"]),
        ("OPTIM: {LR: [1", ["YAML"]),
        ("- 1", ["list"]),
        ("OPTIM: {LR: {A: 1}}", ["OPTIM.LR.A"]),
        ("TRAIN: {MAX_EPOCH: true}", ["TRAIN.MAX_EPOCH", "True"]),
        ("TRAIN: {MAX_EPOCH: null}", ["TRAIN.MAX_EPOCH", "None"]),
    ],
)
def test_mistake_in_a_file(yaml_file, text: str, words: list[str]) -> None:
    file = yaml_file(text)
    message = one_line(["--cfg", file])
    for word in (file, *words):
        assert word in message


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("RESULT_DIR: 010", "RESULT_DIR", "010"),
        ("RESULT_DIR: 2024-1-1", "RESULT_DIR", "2024-1-1"),
        ("DIR: no", "RESULT_DIR", "no"),
        ("TRAIN: {CHANNELS_LAST: on}", "TRAIN.CHANNELS_LAST", "on"),
        ("MODEL: {N_SCALES: [0.5, 1.0]}", "MODEL.N_SCALES", "0.5,1.0"),
        ("SNAPSHOT: null", "SNAPSHOT", ""),
        (
            "MODEL: {OCR_EXTRA: {STAGE2: &s {NUM_MODULES: 2}, STAGE3: {<<: *s}}}",
            "MODEL.OCR_EXTRA.STAGE3.NUM_MODULES",
            2,
        ),
    ],
)
def test_text_is_what_was_written(text: str, key: str, value: object, yaml_file) -> None:
    """What YAML would take for a truth, a number or a date; merge keys are no repetition."""
    assert config.flat(config.load(["--cfg", yaml_file(text)]))[key] == value


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_file_as_windows_saves_it(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes("# größer\r\nOPTIM:\r\n  LR: 0.5\r\n".encode(encoding))
    assert config.load(["--cfg", str(tmp_path / "x.yaml")]).OPTIM.LR == 0.5


def test_file_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes("OPTIM: {LR: 0.5}\n# größer\n".encode("latin-1"))
    says = "x.yaml, line 2: byte 5, 0xF6, is no UTF-8: save the file as UTF-8"
    assert says in one_line(["--cfg", str(tmp_path / "x.yaml")])


@pytest.mark.parametrize(("text", "name"), [("RESULT_DIR:", "--result_dir"), ("DIR: ' '", "DIR")])
def test_nowhere_to_write_to(text: str, name: str, yaml_file) -> None:
    assert f"{name} is empty: name the folder" in one_line(["--cfg", yaml_file(text)])


def test_binary_file_as_cfg(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(bytes(range(128, 256)))
    assert "x.pth" in one_line(["--cfg", str(tmp_path / "x.pth")])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--momentum 1.5", "--momentum lies between 0 and 1, not 1.5"),
        ("--momentum -0.5", "--momentum lies between 0 and 1, not -0.5"),
        ("--ema 2", "--ema lies between 0 and 1, not 2.0"),
        ("MODEL.OCR.DROPOUT 1.2", "MODEL.OCR.DROPOUT lies between 0 and 1, not 1.2"),
        ("--mscale_lo_scale 0", "--mscale_lo_scale must be above 0 and below 1, not 0.0"),
        ("--mscale_lo_scale -1", "--mscale_lo_scale must be above 0 and below 1, not -1.0"),
        ("--mscale_lo_scale 1", "--mscale_lo_scale must be above 0 and below 1, not 1.0"),
        ("--tile_overlap 0.9", "--tile_overlap must be at least 0 and below 0.9, not 0.9"),
        ("--rlx_off_epoch -2", "--rlx_off_epoch must be at least 0, or is -1, not -2"),
        ("--n_scales -1,1.0", "--n_scales must be above 0 and at most 10, not -1.0 in -1.0,1.0"),
        ("--n_scales 1.0,1.0", "--n_scales '1.0,1.0': give different positive scales"),
        ("--n_scales 0.5,2.0", "--n_scales must contain 1.0, not '0.5,2.0'"),
        ("--image_bits 7", "--image_bits lies between 8 and 16, or is 0, not 7"),
        ("MODEL.OFFSET_THRESHOLD 3", "MODEL.OFFSET_THRESHOLD must be above 0 and at most 2, or is -1, not 3.0"),
        ("--n_scales nan,1.0", "--n_scales takes positive numbers like 0.5,1.0,2.0, not 'nan,1.0'"),
        ("--n_scales inf,1.0", "--n_scales takes positive numbers like 0.5,1.0,2.0, not 'inf,1.0'"),
        ("--coarse_boost_classes 3,-1", "--coarse_boost_classes must not be negative, it is -1 in 3,-1"),
        ("--imgSize 0", "--imgSize must be above 0, not 0"),
        ("--crop_size -64", "--crop_size must be above 0, not -64"),
        ("--n_scales 1.0,1e9", "--n_scales must be above 0 and at most 10, not 1000000000.0 in 1.0,1000000000.0"),
        ("--rand_augment 99999999,3", "--rand_augment lies between 0 and 100, not 99999999 in 99999999,3"),
        ("--tile 1", "--tile must be at least 16, or is 0, not 1"),
        ("--seed 1e20", f"--seed lies between 0 and {(1 << 63) - 1}, not {10**20}"),
        ("--crop_size inf", "--crop_size takes one number or \"height,width\", not 'inf'"),
        ("--strict_bdr_cls nan", "--strict_bdr_cls takes whole numbers with commas, not 'nan'"),
    ],
)
def test_numbers_out_of_range(words: str, line: str) -> None:
    """What a layer, the optimizer or the loader would end on with a traceback, or never come back from."""
    with pytest.raises(UserError) as found:
        config.load(["--arch", "ocrnet.HRNet_Mscale", *words.split()])
    assert line in str(found.value).splitlines()


def test_all_problems_at_once() -> None:
    with pytest.raises(UserError) as caught:
        config.load(["--cv", "4", "--bs_trn", "0", "--scale_min", "3"])
    assert len(str(caught.value).splitlines()) == 3


# --- help ----------------------------------------------------------------------------------------------------------


def test_help_has_every_flag_once() -> None:
    text = config.help_text("all")
    flags = [*table.flags(), *table.NEGATED, *table.WITHOUT_EFFECT, "--cfg"]
    for flag in flags:
        assert flag in text.replace(",", " ").replace("[--cfg", "--cfg").split(), flag
    listed = [line.split()[0].strip(",") for line in text.splitlines() if line.startswith("  -")]
    assert len(listed) == len(set(listed))
    for key in config.OPTIONS:
        assert key in text.split(), key


def test_short_help_is_short() -> None:
    text = config.help_text()
    assert len(text.splitlines()) < 60 and "--arch" in text and "--help all" in text
    assert max(map(len, text.splitlines())) <= 120


# --- eval.py of the sdcnet branch -----------------------------------------------------------------------------------

SDCNET = ["--arch", "deepv3.DeepV3PlusR50", "--eval", "val", "--snapshot", "a.pth"]


def test_published_defaults_of_evaluation() -> None:
    flags = json.loads((GOLDEN / "sdcnet/options.json").read_text())["entry_points"]["eval.py"]
    published = {flag["flags"][-1]: flag["default"] for flag in flags}
    rule = inference.eval_rule(config.load([*SDCNET, "-im", published["--inference_mode"]]))
    assert rule == inference.RULES["sdcnet"]
    assert rule.scales == tuple(float(scale) for scale in published["--scales"].split(","))
    assert rule.window == published["--crop_size"] and rule.flip is not published["--no_flip"]
    assert rule.window_overlap == 1 / 3 and published["--sliding_overlap"] == "1 / 3"
    for name in ("--split_index", "--split_count", "--fixed_aspp_pool", "--dump_images", "--single_scale"):
        assert table.flags()[name].default == published[name]


@pytest.mark.parametrize(
    ("script", "scales"),
    [
        ("eval_cityscapes_WideResNet38.sh", (1.0,)),
        ("eval_cityscapes_SEResNeXt50.sh", (1.0,)),
        ("submit_cityscapes_WideResNet38.sh", (0.5, 1.0, 2.0)),
    ],
)
def test_published_evaluation_translates(script: str, scales: tuple[float, ...]) -> None:
    """Two of its flags have another name here, and the network's name no prefix."""
    line = json.loads((GOLDEN / "sdcnet/options.json").read_text())["scripts"][script]
    line = line.split("eval.py ")[1].replace("--split", "--eval").replace("--ckpt_path", "--result_dir")
    cfg = config.load(shlex.split(line.replace("${1}", "best.pth").replace("${2}", "OUT").replace("network.", "")))
    assert (cfg.SNAPSHOT, cfg.RESULT_DIR, cfg.EVAL.DUMP_IMAGES, cfg.DATASET.CV) == ("best.pth", "OUT", True, 0)
    assert cfg.EVAL.MODE == ("test" if script.startswith("submit") else "val")
    assert inference.eval_rule(cfg) == replace(inference.RULES["sdcnet"], scales=scales)


def test_without_an_inference_mode_nothing_changes() -> None:
    assert inference.eval_rule(config.load(SDCNET)) == inference.RULES["nvidia"]


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["-im", "sliding", "--sliding_overlap", "1 / 3"], "window_overlap", 1 / 3),
        (["-im", "sliding", "--sliding_overlap", "1/4"], "window_overlap", 0.25),
        (["-im", "sliding", "--scales", "1.5,2.0,2.5"], "scales", (1.5, 2.0, 2.5)),
        (["-im", "sliding", "--single_scale"], "scales", (1.0,)),
        (["-im", "pooling", "--no_flip"], "flip", False),
        (["-im", "sliding", "--crop_size", "368"], "window", 368),
        (["-im", "sliding", "--crop_size", "368", "--window", "512"], "window", 512),
        (["-im", "sliding", "--crop_size", "368", "EVAL.WINDOW", "512"], "window", 512),
        (["-im", "whole", "--crop_size", "368"], "window", 0),
        (["-im", "pooling"], "mean", (0.485, 0.456, 0.406)),
        (["-im", "pooling", "--published", "pooling_input"], "mean", (0.0, 0.0, 0.0)),
        (["-im", "sliding", "--published", "sliding_counts"], "published_counts", True),
        (["-im", "sliding", "--align_corners"], "align_corners", False),
    ],
)
def test_options_of_an_inference_mode(words: list[str], field: str, value: object) -> None:
    assert getattr(inference.eval_rule(config.load([*SDCNET, *words])), field) == value


def test_a_training_crop_is_no_window() -> None:
    cfg = config.load(["--arch", "deepv3.DeepV3PlusR50", "-im", "sliding", "--crop_size", "368"])
    assert cfg.DATASET.CROP_SIZE == (368, 368) and cfg.EVAL.WINDOW == 1024


def test_iterations_of_an_epoch() -> None:
    """Rounds of --max_iters: so many epochs of so many iterations each."""
    cfg = config.load(["--arch", "basic.HRNet", "--epoch_iters", "50", "--max_epoch", "3"])
    assert (cfg.TRAIN.MAX_ITERS, cfg.TRAIN.SAVE_INTERVAL, cfg.TRAIN.MAX_EPOCH) == (150, 50, 3)
    smoke = config.load(["--arch", "basic.HRNet", "--epoch_iters", "50", "--test_mode"])
    assert (smoke.TRAIN.MAX_ITERS, smoke.TRAIN.SAVE_INTERVAL, smoke.TRAIN.MAX_EPOCH) == (22, 11, 2)
    for flag in ("--max_iters", "--save_interval"):
        assert f"leave {flag} out" in one_line(["--epoch_iters", "50", flag, "70"])
    assert "must not be negative" in one_line(["--epoch_iters", "-1"])
    assert "must not be negative" in one_line(["--lr_decoder", "-1"])


def test_records_call_options_by_their_first_flag() -> None:
    """By NVIDIA's name where others' are aliases: sweeps and their tables go by it."""
    names = set(config.hparams(config.load(["--arch", "basic.HRNet"])))
    assert {"lr", "bs_trn", "max_epoch", "poly_exp", "momentum", "num_workers", "cv", "data_root", "wt_bound"} <= names
    assert not {"lr_encoder", "batch_size_per_gpu", "num_epoch", "lr_pow", "beta1", "workers", "cv_split"} & names
