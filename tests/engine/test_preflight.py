"""What is said of a training before its first step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import config
import network
from engine import preflight
from engine.state import TrainState
from utils.distributed import DistributedContext
from utils.errors import UserError

ARCH = ["--arch", "ocrnet.HRNet_Mscale", "--dataset", "cityscapes"]


def said(*words: str, epoch: int = -1, batches: int = 4) -> list[str]:
    """The notes on such a run."""
    net = nn.Linear(1, 1)
    state = TrainState(net, torch.optim.SGD(net.parameters(), 0.1), torch.amp.GradScaler("cpu"), epoch=epoch)
    return list(preflight.notes(config.load([*ARCH, *words]), state, batches))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--lr_schedule poly2 --max_epoch 110", "--poly_step 110 lies behind the end of this run of 110 epochs"),
        ("--warmup 5 --max_epoch 5", "--warmup 5: this run of 5 epochs ends within it"),
        ("--lr_schedule cosine --warmup 9 --max_epoch 5", "--warmup 9: this run of 5 epochs ends within it"),
        ("--jointwtborder --rlx_off_epoch 4 --max_epoch 5", "label relaxation is never reduced"),
        ("--second_scale_from 5 --max_epoch 5", "the second scale is never seen"),
        ("--val_freq 7 --max_epoch 5", "the only validation is that of the last epoch"),
        ("--save_every 6 --max_epoch 5", "no checkpoint is kept beside the last and the best"),
        ("--coarse_boost_classes 3 --max_epoch 100", "--max_cu_epoch 150 lies behind the end"),
        (
            "--unfreeze 1,5 --max_epoch 2",
            "--unfreeze 1,5 lies behind the end of this run of 2 epochs: parts of the trunk",
        ),
        ("--end_lr 0.1 --lr 0.01", "--end_lr 0.1 is above --lr 0.01: the learning rate rises"),
        ("--accum 8", "--accum 8: an epoch has 4 batches"),
        ("--do_eval false", "no validation, so that there is no score and no best checkpoint"),
        ("--max_iters 30 --save_interval 10 --warmup 3", "--warmup 3: this run of 3 rounds ends within it"),
    ],
)
def test_what_cannot_have_its_effect(words: str, expected: str) -> None:
    (note,) = said(*words.split())
    assert expected in note and "\n" not in note


@pytest.mark.parametrize(
    "words",
    [
        "--lr_schedule poly2 --max_epoch 111",
        "--warmup 4 --max_epoch 5",
        "--jointwtborder --rlx_off_epoch 3 --max_epoch 5",
        "--second_scale_from 4 --max_epoch 5",
        "--val_freq 5 --save_every 5 --max_epoch 5",
        "--lr_schedule scl-poly --rlx_off_epoch 4 --max_epoch 5",
        "--accum 4 --coarse_boost_classes 3",
    ],
)
def test_at_the_border_nothing_is_said(words: str) -> None:
    assert said(*words.split()) == []


@pytest.mark.parametrize(
    ("words", "flag"), [("--max_epoch 3", "--max_epoch 3"), ("--max_iters 30 --save_interval 10", "--max_iters 30")]
)
def test_a_resume_that_has_nothing_left(words: str, flag: str) -> None:
    (note,) = said(*words.split(), epoch=2)
    assert note.startswith("nothing is left to train: 3 ") and f"{flag} asks for 3; raise it" in note
    assert said(*words.split(), epoch=1) == []


@pytest.mark.in_make_test("--arch deepv3*")
@pytest.mark.parametrize(
    ("words", "cures"),
    [
        ("--arch basic.HRNet --crop_size 32", "--bs_trn 2 or more, a larger --crop_size or --fix_bn"),
        ("--arch deepv3.DeepV3PlusR50 --crop_size 64 --aspp_bot_ch 8", "--bs_trn 2 or more or --fix_bn"),
        ("--arch basic.HRNet --imgSize 30 --padding_constant 8", "--bs_trn 2 or more, larger --imgSize or --fix_bn"),
    ],
)
def test_batch_norm_over_one_value(words: str, cures: str) -> None:
    """A cure is named where it is one: a map that is pooled to one place stays one in any crop."""
    whole = ["--dataset", "cityscapes", "--class_uniform_pct", "0", "--bs_trn", "1", "--width_mult", "0.05"]
    whole += ["MODEL.OCR_EXTRA.STAGE3.NUM_MODULES", "1", "MODEL.OCR_EXTRA.STAGE4.NUM_MODULES", "1"]
    cfg = config.load([*whole, *words.split()])
    net = network.build(cfg)
    with pytest.raises(UserError) as caught:
        preflight.check_batchnorm(cfg, net, DistributedContext())
    assert (
        cures in str(caught.value)
        and str(caught.value).startswith("--bs_trn 1: at 32x32 pixels batch norm")
        or ("64x64" in str(caught.value))
    )
    preflight.check_batchnorm(config.load([*whole, *words.split(), "--bs_trn", "2"]), net, DistributedContext())
    fixed = config.load([*whole, *words.split(), "--fix_bn"])
    preflight.check_batchnorm(fixed, network.build(fixed), DistributedContext())
    with pytest.raises(UserError, match="or --syncbn$"):
        preflight.check_batchnorm(cfg, net, DistributedContext(world=2))
    cfg = config.load([*whole, *words.split(), "--syncbn"])
    preflight.check_batchnorm(cfg, net, DistributedContext(world=2))


def test_a_trunk_that_pads_the_inputs_of_a_step_is_said() -> None:
    pytest.importorskip("timm", reason="an extra: pip install timm")
    words = "--trunk timm:vit_tiny_patch16_224 --head plain --scales hierarchical --dataset camvid".split()

    def notes(crop: str) -> list[str]:
        cfg = config.load([*words, "--segattn_bot_ch", "8", "--crop_size", crop, "--max_epoch", "400"])
        net = network.build(cfg)
        state = TrainState(net, torch.optim.SGD(net.parameters(), 0.1), torch.amp.GradScaler("cpu"))
        return [note for note in preflight.notes(cfg, state, 4) if "padded" in note]

    assert notes("64") == []
    assert notes("72,64") == [
        "the trunk takes sides of a multiple of 16: inputs are padded inside, 72x64 to 80x64, 36x32 to 48x32"
    ]
