"""From options to terms."""

import math

import pytest
import torch

import config
import loss
from options import parts
from utils.distributed import DistributedContext
from utils.errors import UserError

MSCALE, SINGLE, BASIC = "ocrnet.HRNet_Mscale", "ocrnet.HRNet", "basic.HRNet"


def build(arch, *args, ranks=None):
    return loss.build(config.load(["--arch", arch, "--dataset", "cityscapes", *args]), ranks)


def table(criterion):
    return {term.name: (term.outputs, term.weight, type(term.loss).__name__) for term in criterion.terms}


def ce(name, weight, kind="CrossEntropy"):
    return (name,), weight, kind


@pytest.mark.parametrize(
    ("arch", "args", "expected"),
    [
        (BASIC, [], {"main": ce("pred", 1)}),
        ("basic.HRNet_ASP", [], {"main": ce("pred", 1)}),
        (SINGLE, [], {"main": ce("pred", 1), "aux": ce("aux", 0.4)}),
        (SINGLE, ["--ocr_alpha", "0"], {"main": ce("pred", 1), "aux": ce("aux", 0)}),
        ("ocrnet.OCRNetASPP", ["--ocr_alpha", "0.1"], {"main": ce("pred", 1), "aux": ce("aux", 0.1)}),
        (MSCALE, [], {"main": ce("pred", 1), "aux": ce("aux", 0.4)}),
        (
            MSCALE,
            ["--supervised_mscale_loss_wt", "0.05"],
            {
                "main": ce("pred", 1),
                "aux": ce("aux", 0.4),
                "pred_05x": ce("pred_05x", 0.05),
                "pred_10x": ce("pred_10x", 0.05),
            },
        ),
        (
            "mscale.HRNet",
            ["--supervised_mscale_loss_wt", "0.05", "--mscale_lo_scale", "0.25"],
            {"main": ce("pred", 1), "pred_025x": ce("pred_025x", 0.05), "pred_10x": ce("pred_10x", 0.05)},
        ),
        (BASIC, ["--img_wt_loss", "--jointwtborder"], {"main": ce("pred", 1, "WeightedCrossEntropy")}),
        (BASIC, ["--jointwtborder"], {"main": ce("pred", 1, "Relaxation")}),
        (BASIC, ["--rmi_loss", "--img_wt_loss", "--jointwtborder"], {"main": ce("pred", 1, "RMI")}),
    ],
)
def test_terms(arch, args, expected):
    assert table(build(arch, *args)) == expected


@pytest.mark.parametrize(("output", "found"), [("aux", {"main": ce("pred", 1), "aux": ce("aux", 0.4)}), ("edge", None)])
def test_an_output_of_a_heads_row_has_its_loss_or_is_refused(monkeypatch, output, found):
    """A head that is only a row of the table; nothing that it gives is left out in silence."""
    monkeypatch.setitem(parts.HEADS, "mine", parts.HeadPart("mine", "families:OCR", outputs=(output,)))
    if found is not None:
        assert table(build("resnet50+mine")) == found
        return
    with pytest.raises(UserError, match=r"--arch resnet50\+mine gives edge, which needs a loss: give --loss_terms$"):
        build("resnet50+mine")
    assert table(build("resnet50+mine", "--loss_terms", "ce:pred:1,ce:edge:2")) == {
        "ce_pred": ce("pred", 1),
        "ce_edge": ce("edge", 2),
    }


@pytest.mark.parametrize("auxiliary", [False, True])
def test_rmi_has_regions_on_the_main_output_alone(auxiliary):
    args = ["--ocr_aux_loss_rmi"] if auxiliary else []
    criterion = build(MSCALE, "--rmi_loss", "--supervised_mscale_loss_wt", "0.05", *args)
    assert {term.name: getattr(term.loss, "region", None) for term in criterion.terms} == {
        "main": True,
        "aux": auxiliary,
        "pred_05x": False,
        "pred_10x": False,
    }


@pytest.mark.parametrize(
    ("args", "attributes"),
    [
        (["--img_wt_loss"], {"bound": 1.0, "batch": False, "published": False}),
        (["--img_wt_loss", "-wb", "4", "--batch_weighting"], {"bound": 4.0, "batch": True, "published": False}),
        (["--img_wt_loss", "--published", "img_wt"], {"batch": True, "published": True}),
        (["--img_wt_loss", "--published", "relaxation"], {"published": False}),
        (["--jointwtborder"], {"border": 1, "strict": (), "published": False, "batch": False}),
        (
            ["--jointwtborder", "--strict_bdr_cls", "5,6,7", "--published", "relaxation", "LOSS.BORDER_WINDOW", "2"],
            {"border": 2, "strict": (5, 6, 7), "published": True},
        ),
        ([], {"num_classes": 19, "ignore_label": 255}),
        (["DATASET.NUM_CLASSES", "65"], {"num_classes": 65, "ignore_label": 255}),
    ],
)
def test_options_reach_the_loss(args, attributes):
    (term,) = build(BASIC, *args).terms
    assert {name: getattr(term.loss, name) for name in attributes} == attributes


@pytest.mark.parametrize(("norm", "world"), [("global", 2), ("rank", 1)])
def test_norm_decides_who_shares_a_mean(norm, world):
    (term,) = build(BASIC, "--loss_norm", norm, ranks=DistributedContext(1, 2)).terms
    assert getattr(term.loss, "ranks").world == world  # noqa: B009


def test_relaxation_is_reduced_after_its_epoch():
    first, second = build(BASIC, "--jointwtborder", "--rlx_off_epoch", "100").terms
    assert (first.start, first.stop, getattr(first.loss, "reduced", None)) == (0, 101, False)
    assert (second.start, second.stop, getattr(second.loss, "reduced", None)) == (101, math.inf, True)


@pytest.mark.parametrize("text", ["19", "-1", "road", "1;2"])
def test_strict_classes_are_checked(text):
    with pytest.raises(UserError, match="--strict_bdr_cls"):
        build(BASIC, "--jointwtborder", f"--strict_bdr_cls={text}")


def test_criterion_of_a_two_scale_net():
    names = ("pred", "aux", "pred_05x", "pred_10x")
    outputs = {name: torch.randn(2, 19, 16, 16).requires_grad_() for name in names}
    criterion = build(MSCALE, "--rmi_loss", "--supervised_mscale_loss_wt", "0.05")
    total, parts = criterion(outputs, torch.randint(0, 19, (2, 16, 16)))
    expected = parts["main"] + 0.4 * parts["aux"] + 0.05 * (parts["pred_05x"] + parts["pred_10x"])
    torch.testing.assert_close(total.detach(), expected)
