"""The table of what networks read, against their constructors; what a run does not read is refused in one line."""

from __future__ import annotations

import pkgutil
from dataclasses import fields
from itertools import chain
from typing import Any

import pytest
import torch
from narrow_nets import FEW

import config
import network
from network.families import Settings
from options import archs, unread_options
from options.archs import ARCHS
from options.readers import PARSING
from options.table import OPTIONS
from utils.errors import UserError

# Our key -> the constructors' name for it.
FIELDS = {
    "MODEL.ENCODER": "encoder",
    "MODEL.DECODER": "decoder",
    "MODEL.FC_DIM": "fc_dim",
    "MODEL.HRNET_WIDTH": "width",
    "MODEL.OCR_EXTRA.STAGE4.NUM_MODULES": "stages",
    "MODEL.OCR_EXTRA.STAGE4_2.NUM_MODULES": "second_branch",
    "MODEL.OCR.MID_CHANNELS": "mid_channels",
    "MODEL.OCR.KEY_CHANNELS": "key_channels",
    "MODEL.OCR.DROPOUT": "ocr_dropout",
    "MODEL.OCR_ASPP": "ocr_aspp",
    "MODEL.SEGATTN_BOT_CH": "head_channels",
    "MODEL.ASPP_BOT_CH": "aspp_channels",
    "MODEL.N_SCALES": "scales",
    "MODEL.SECOND_SCALE_FROM": "second_scale_from",
    "MODEL.MSCALE_LO_SCALE": "lo_scale",
    "MODEL.MSCALE_INNER_3x3": "inner_3x3",
    "MODEL.MSCALE_DROPOUT": "attention_dropout",
    "MODEL.MSCALE_OLDARCH": "old_attention",
    "MODEL.ATTNSCALE_BN_HEAD": "attnscale_norm",
    "MODEL.OFFSET_THRESHOLD": "offset_threshold",
    "MODEL.ITERATIVE_REFINEMENT": "refinements",
    "MODEL.LOGITS": "offset_logits",
}


NAMES = {field.name for field in fields(Settings)}
LAST: list[Any] = [None]


class Watched(Settings):
    """Settings that note which of them are read; a copy with other values begins anew."""

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        object.__setattr__(self, "noted", set())
        LAST[0] = self

    def __getattribute__(self, name: str) -> Any:
        if name in NAMES:
            self.noted.add(name)  # type: ignore[attr-defined]
        return object.__getattribute__(self, name)


def read_by(arch: str) -> set[str]:
    """Names of the settings that the constructor of `arch` reads."""
    small = {"width_mult": 0.05, "head_channels": 8, "aspp_channels": 8, "mid_channels": 16, "key_channels": 8}
    with torch.device("meta"):
        network.compose(ARCHS[arch], Watched(3, scales=(0.5, 1.0), encoder="resnet18dilated", **small))  # type: ignore[arg-type]
    return LAST[0].noted


def test_every_network_has_a_row() -> None:
    assert {row.trunk for row in ARCHS.values()} <= {archs.ANY, *archs.TRUNKS}
    assert {row.head for row in ARCHS.values()} <= {archs.ANY, *archs.HEADS, *archs.PUBLISHED_HEADS}
    assert {row.scales for row in ARCHS.values()} == {"", *archs.SCALES}
    for part in chain.from_iterable(
        table.values() for table in (archs.TRUNKS, archs.HEADS, archs.PUBLISHED_HEADS, archs.SCALES)
    ):
        assert callable(pkgutil.resolve_name(f"network.{part.make}")), part


@pytest.mark.in_make_test(*FEW)
@pytest.mark.parametrize("arch", sorted(ARCHS))
def test_table_says_what_constructors_read(arch: str) -> None:
    values = config.defaults() | {"MODEL.ARCH": arch}
    unread, found = unread_options.unread(values), read_by(arch)
    if ARCHS[arch].scales == "all":  # it is trained with all scales: what it is handed it leaves aside
        found.remove("lo_scale")
    if arch == "attnscale.DeepV3R50B":  # its head has batch norm in any case
        found.add("attnscale_norm")
    assert {key for key, name in FIELDS.items() if name in found} == {key for key in FIELDS if key not in unread}


def test_loss_terms_agree_with_the_table() -> None:
    """Networks whose loss has the auxiliary term, and those that have a term a scale."""
    for arch, row in ARCHS.items():
        unread = unread_options.unread(config.defaults() | {"MODEL.ARCH": arch})
        assert ("LOSS.OCR_ALPHA" not in unread) == ("aux" in archs.outputs(row)) == ("OCR" in arch.upper())
        scales = archs.training_scales(row, (2.0, 1.0), 0.25)
        assert ("LOSS.SUPERVISED_MSCALE_WT" not in unread) == bool(scales)
        assert scales == ((1.0, 2.0) if row.scales == "all" else (0.25, 1.0) if row.scales else ())
        assert row.offsets == arch.startswith("offset.")


def test_unknown_names_are_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown --arch 'ocrnet.HRNet_mscale'; did you mean .*ocrnet.HRNet_Mscale"):
        archs.find("ocrnet.HRNet_mscale")
    with pytest.raises(UserError, match="--arch has no default"):
        archs.find("")


@pytest.mark.parametrize(
    ("arch", "words"),
    [
        ("basic.HRNet", "--n_scales 0.5,1.0"),
        ("basic.HRNet", "--supervised_mscale_loss_wt 0.05"),
        ("basic.HRNet", "--ocr_alpha 0.4"),
        ("deepv3.DeepV3PlusR50", "--hrnet_width 18"),
        ("basic.HRNet", "--ocr_aspp"),
        ("offset.HRNet_OCR", "--ocr_aspp"),
        ("ocrnet.HRNet", "--segattn_bot_ch 128"),
        ("ocrnet.HRNet", "--aspp_bot_ch 128"),
        ("deepv3.DeepV3PlusW38", "--mscale_lo_scale 0.25"),
        ("mscale2.DeepV3R50", "--mscale_no3x3"),
        ("ocrnet.HRNet", "--mscale_dropout"),
        ("ocrnet.HRNet", "--mscale_old_arch"),
        ("attnscale.DeepV3R50BP --n_scales 0.5,1.0", "--attnscale_bn_head"),
        ("deeper.DeeperW38", "--second_scale_from 3"),
        ("basic.HRNet", "--arch_encoder resnet50"),
        ("ocrnet.HRNet_Mscale", "--fc_dim 2048"),
        ("encoder_decoder", "--hrnet_width 32"),
        ("basic.HRNet", "--deep_sup_scale 0.2"),
        ("ocrnet.HRNet_Mscale", "--ocr_aux_loss_rmi"),
        ("offset.DeepV3PlusR50", "MODEL.OFFSET_BRANCH 3"),
        ("seg_hrnet.HRNet", "MODEL.OFFSET_THRESHOLD 0.2"),
        ("basic.HRNet", "--dice_smooth 1"),
        ("ocrnet.HRNet --loss_terms dice:pred:1", "--boot_threshold 0.1"),
        ("ocrnet.HRNet --loss_terms dice:pred:1", "--ocr_alpha 0.4"),
        ("basic.HRNet --rmi_loss", "--wt_bound 6"),
        ("basic.HRNet", "--strict_bdr_cls 1"),
        ("basic.HRNet", "LOSS.OHEM_KEEP 10"),
        ("basic.HRNet --optimizer adamw", "--momentum 0.5"),
        ("basic.HRNet", "--amsgrad"),
        ("basic.HRNet", "--poly_step 20"),
        ("basic.HRNet --lr_schedule cosine", "--poly_exp 2"),
        ("basic.HRNet", "--repoly 2"),
        ("basic.HRNet", "--rlx_off_epoch 5"),
        ("basic.HRNet --freeze_trunk", "--unfreeze 1"),
        ("basic.HRNet --freeze_trunk", "--layer_decay 0.5"),
        ("basic.HRNet --freeze_trunk", "--trunk_lr_mult 0.5"),
        ("timm:resnet18+upernet_lite", "--neck_stride 4"),
        ("basic.HRNet --snapshot x.pth", "--trunk_weights y.pth"),
        ("basic.HRNet", "--restore_optimizer"),
        ("basic.HRNet", "--eval_folder pictures"),
        ("basic.HRNet", "--eval_labels masks"),
        ("basic.HRNet", "MODEL.FREEZED_PAR true"),
        ("basic.HRNet", "MODEL.OFFSET_PRETRAINED x.pth"),
        ("basic.HRNet", "--scales 0.5,1.0"),
        ("basic.HRNet", "--no_flip"),
        ("basic.HRNet", "--single_scale"),
        ("basic.HRNet --inference_mode whole", "--window 512"),
        ("basic.HRNet --inference_mode pooling", "--sliding_overlap 0.5"),
        ("basic.HRNet --eval_rule paddle", "--base_size 1024"),
        ("basic.HRNet", "--piece 512,1024"),
        ("basic.HRNet --imgSize 300", "--crop_size 64"),
        ("basic.HRNet --imgSize 300", "--class_uniform_pct 0.3"),
        ("basic.HRNet --imgSize 300", "--scale_max 1.5"),
        ("basic.HRNet --imgSize 300", "--full_crop_training"),
        ("basic.HRNet --imgSize 300", "--train_fraction 0.5"),
        ("basic.HRNet --aug_table paddle", "--full_crop_training"),
        ("basic.HRNet --aug_table paddle", "--translate_aug_fix"),
        ("basic.HRNet --aug_table paddle", "--rand_augment 2,5"),
        ("basic.HRNet --aug_table paddle", "--pre_size 512"),
        ("basic.HRNet --aug_table paddle", "--gblur"),
        ("basic.HRNet --aug_table paddle", "--bblur"),
        ("basic.HRNet --class_uniform_pct 0", "--maxSkip 1"),
        ("basic.HRNet --loss_terms ce:pred:1", "--rmi_loss"),
        ("basic.HRNet --loss_terms ce:pred:1", "--img_wt_loss"),
        ("basic.HRNet --loss_terms ce:pred:1", "--jointwtborder"),
        ("basic.HRNet", "--hue_aug 10"),
        ("basic.HRNet --imgSize 300", "--hue_aug 10"),
        ("basic.HRNet", "--extra_scales 0.5"),
        ("basic.HRNet", "--dump_topn_all"),
        ("basic.HRNet", "--imgMaxSize 500"),
        ("basic.HRNet", "--padding_constant 32"),
        ("basic.HRNet", "--amp_opt_level O2"),
        ("basic.HRNet", "--lr_decoder 0.1"),
        ("ocrnet.HRNet --eval val --snapshot x.pth", "--fixed_aspp_pool"),
        ("resnet50+plain+paired", "--attnscale_bn_head"),
        ("resnet50+ppm", "--deep_sup_scale 0.2"),
        ("wide_resnet38+ocr", "--hrnet_width 18"),
        ("encoder_decoder --arch_encoder resnet50", "MODEL.HRNET_CHECKPOINT x.pth"),
    ],
)
def test_what_is_not_read_is_refused(arch: str, words: str) -> None:
    """In one line with the option's name."""
    argv = ["--arch", *arch.split()]
    config.load(argv)
    flags = words.split()
    pair = [] if flags[0].startswith("--") else flags
    with pytest.raises(UserError) as caught:
        config.load([*argv, *(flags if not pair else []), *pair])
    message = str(caught.value)
    assert "\n" not in message and message.endswith("leave it out")
    assert message.startswith(flags[0]) or "MSCALE_INNER_3x3" in message


@pytest.mark.parametrize(
    "words",
    [
        "--arch resnet50+plain+all --n_scales 0.5,1.0 --attnscale_bn_head",
        "--arch resnet50+ocr --ocr_aspp --aspp_bot_ch 128",
        "--arch resnet50+ppm_deepsup --deep_sup_scale 0.2 --lr_decoder 0.1 --fc_dim 2048",
        "--arch resnet50+ocr+hierarchical --ocr_alpha 0.2 --mscale_dropout",
        "--arch resnet50+ocr --ocr_aspp --eval val --snapshot x.pth --fixed_aspp_pool",
        "--arch basic.HRNet --aug_table paddle --hue_aug 10",
        "--arch basic.HRNet --multi_scale_inference --extra_scales 0.5 --dump_topn 3 --dump_topn_all",
        "--arch basic.HRNet --fp16 --amp_opt_level O2",
        "--arch basic.HRNet --imgSize 300 --imgMaxSize 500 --padding_constant 32",
        "--arch basic.HRNet --eval val --snapshot x.pth --padding_constant 32",
        "--arch_encoder hrnetv2 --arch_decoder c1 MODEL.HRNET_CHECKPOINT x.pth",
    ],
)
def test_what_is_read_is_taken(words: str) -> None:
    """Whoever the network is named by: its published name, or its parts."""
    assert config.load(words.split()).WITHOUT_EFFECT == []


def test_readers_are_named_by_what_a_network_has() -> None:
    """Not by published names, which leave free networks out, unless only such a name will do."""
    named = {row.reads.of for row in OPTIONS.values() if row.reads and any(arch in row.reads.of for arch in ARCHS)}
    assert named == {PARSING.of}


def test_off_asks_for_nothing() -> None:
    """A switch that is off, an empty text, a weight of 0; and a record of all options."""
    words = ["--n_scales", "", "--ocr_aspp", "false", "--supervised_mscale_loss_wt", "0", "--rlx_off_epoch", "-1"]
    config.load(["--arch", "basic.HRNet", *words, "LOSS.DICE_SMOOTH", "1.0"])


def test_recipes_carry_what_they_do_not_read(tmp_path: Any) -> None:
    """It is said; the command line's own is refused; a published flag of all scene-parsing networks is said."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("MODEL: {ARCH: ocrnet.HRNet_Mscale, N_SCALES: '0.5,1.0,2.0'}\nLOSS: {OCR_ALPHA: 0.4}\n")
    assert config.load(["--cfg", str(recipe)]).WITHOUT_EFFECT == []
    cfg = config.load(["--cfg", str(recipe), "--arch", "basic.HRNet"])
    assert cfg.WITHOUT_EFFECT == ["MODEL.N_SCALES 0.5,1.0,2.0 (not read by basic.HRNet)"]
    with pytest.raises(UserError, match="--n_scales is of networks that combine scales"):
        config.load(["--cfg", str(recipe), "--arch", "basic.HRNet", "--n_scales", "1.0"])
    cfg = config.load(["--arch_encoder", "hrnetv2", "--arch_decoder", "c1", "--deep_sup_scale", "0.2"])
    assert cfg.WITHOUT_EFFECT == ["LOSS.DEEP_SUP_SCALE 0.2 (not read by encoder_decoder)"]
    recipe.write_text("MODEL: {ARCH: basic.HRNet}\nAUG: {SCALE_MAX: 1.5, TABLE: paddle}\nDATASET: {FULL_CROP: true}\n")
    whole = config.load(["--cfg", str(recipe), "--imgSize", "300"]).WITHOUT_EFFECT
    assert whole == [
        "DATASET.FULL_CROP True (not read: of crops by --aug_table nvidia)",
        "AUG.TABLE paddle (not read: of training on crops, without --imgSize)",
        "AUG.SCALE_MAX 1.5 (not read: of training on crops, without --imgSize)",
    ]
    cfg = config.load(["--arch", "basic.HRNet", "--flip_vertical"])
    assert cfg.WITHOUT_EFFECT == ["EVAL.FLIP_VERTICAL True (not read: of --aug_eval)"]


def test_whole_images_without_class_uniform_crops_are_as_asked() -> None:
    whole = ["--arch", "basic.HRNet", "--imgSize", "300", "--class_uniform_pct", "0"]
    assert config.load([*whole, "--crop_size", "896", "--scales", "0.5,1.0,2.0"]).WITHOUT_EFFECT == []


@pytest.mark.parametrize(
    ("arch", "pair"),
    [
        ("mscale.HRNet", "MODEL.OCR.MID_CHANNELS 64"),
        ("deepv3.DeepV3PlusR50", "MODEL.OCR_EXTRA.STAGE2.NUM_MODULES 2"),
        ("offset.HRNet", "MODEL.OCR_EXTRA.STAGE2_2.NUM_MODULES 2"),
        ("basic.HRNet", "TRAIN.SAVE_INTERVAL 5"),
    ],
)
def test_a_shape_that_is_not_read_is_said(arch: str, pair: str) -> None:
    """Command lines carry it as a block for several networks."""
    by = "not read: of --max_iters and --epoch_iters" if pair.startswith("TRAIN") else f"not read by {arch}"
    assert config.load(["--arch", arch, *pair.split()]).WITHOUT_EFFECT == [f"{pair} ({by})"]


def test_evaluation_reads_no_loss() -> None:
    """What is of the training of the same network is not refused then."""
    words = [
        "--arch",
        "basic.HRNet",
        "--eval",
        "val",
        "--snapshot",
        "x.pth",
        "--dice_smooth",
        "1",
        "--ocr_alpha",
        "0.4",
    ]
    assert config.load(words).LOSS.OCR_ALPHA == 0.4
    with pytest.raises(UserError, match="--n_scales is of networks that combine scales, not of --arch basic.HRNet"):
        config.load([*words, "--n_scales", "0.5,1.0"])
