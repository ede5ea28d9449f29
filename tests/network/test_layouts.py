"""The same weights as other trainers save them: under any key, behind any prefix, averaged ones preferred and named."""

from __future__ import annotations

import argparse
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import config
import network
from network import guess, weights
from network.weights import places
from options.archs import ARCHS
from utils.errors import UserError

pytestmark = pytest.mark.run

State = dict[str, Tensor]
ARCH = "ocrnet.HRNet_Mscale"


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: x for name, x in state.items()}


def later(state: State) -> State:
    return {name: x + 1 for name, x in state.items()}


ADAM = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(9)}}, "param_groups": [{"lr": 0.1}]}
LAYOUTS: dict[str, Callable[[State], Any]] = {  # what other trainers write
    "tutorial": lambda s: {"epoch": 3, "model_state_dict": s, "optimizer_state_dict": ADAM, "loss": 0.3},
    "torchvision": lambda s: {"model": s, "optimizer": ADAM, "lr_scheduler": {"last_epoch": 2}, "epoch": 1},
    "restoration": lambda s: {"params": s},
    "generator": lambda s: {"generator": s, "iteration": torch.tensor(70)},
    "network": lambda s: {"network": OrderedDict(s), "rng": {"torch": torch.get_rng_state()}},
    "detectron2": lambda s: {"model": s, "__author__": "somebody", "matching_heuristics": True},
    "mmengine": lambda s: {"meta": {"epoch": 3, "cfg": "x = 1"}, "state_dict": s, "message_hub": defaultdict(list)},
    "nested": lambda s: {"checkpoint": {"model": {"state_dict": s}}, "cfg": argparse.Namespace(lr=1)},
    "own name": lambda s: {"my_best_weights_v3": s},
    "lightning": lambda s: {"state_dict": prefixed("model.", s) | {"criterion.weight": torch.ones(19)}, "epoch": 2},
    "lightning alone": lambda s: {"state_dict": prefixed("net.", s), "hyper_parameters": {"path": Path("x")}},
    "wrapped twice": lambda s: prefixed("module.model.", s),
    "compiled inside": lambda s: {"state_dict": prefixed("segmentor._orig_mod.", s)},
    "parallel in a wrapper": lambda s: {"state_dict": prefixed("network.module.", s)},
    "counted": lambda s: prefixed("net.", s) | {"total_ops": torch.zeros(1), "total_params": torch.zeros(1)},
    "other prefix": lambda s: {"weights": prefixed("anything.at_all.", s)},
    "swa": lambda s: prefixed("module.", s) | {"n_averaged": torch.tensor(5)},
}


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Any], Path]:
    def write(content: Any) -> Path:
        torch.save(content, tmp_path / "file.pth")
        return tmp_path / "file.pth"

    return write


@pytest.mark.in_make_test("tutorial", "restoration", "mmengine", "nested", "lightning", "wrapped twice", "counted")
@pytest.mark.parametrize("name", LAYOUTS)
def test_other_trainers_files_are_read(narrow: Callable, save: Callable, name: str) -> None:
    net = narrow(ARCH)
    state = later(net.state_dict())
    report = weights.load(net, save(LAYOUTS[name](state)))
    assert report.complete
    assert all(torch.equal(x, state[key]) for key, x in net.state_dict().items())


AVERAGED: dict[str, tuple[Callable[[State, State], Any], str]] = {  # of trained and averaged ones; what is said
    "timm": (lambda t, a: {"state_dict": t, "state_dict_ema": a, "arch": ARCH}, "weights (state_dict_ema) taken"),
    "ema": (lambda t, a: {"ema": a, "model": t, "updates": 9}, "weights (ema) taken, trained ones (model) left"),
    "restoration": (lambda t, a: {"params": t, "params_ema": a}, "(params_ema) taken, trained ones (params) left"),
    "nested": (lambda t, a: {"model": t, "ema": {"shadow": {"module": a}}}, "(ema.shadow.module) taken"),
    "model_ema": (lambda t, a: {"model_ema": prefixed("module.", a), "model": t}, "(model_ema) taken"),
    "swa": (
        lambda t, a: {"model": t, "swa_model": prefixed("module.", a) | {"n_averaged": torch.tensor(5)}},
        "swa_mod",
    ),
    "one dict": (lambda t, a: prefixed("model.", t) | prefixed("ema_model.", a), "'ema_model.': averaged weights, in"),
    "teacher": (lambda t, a: {"state_dict": prefixed("student.", t) | prefixed("teacher.", a)}, "below 'student.'"),
}


@pytest.mark.in_make_test("timm", "swa", "one dict")
@pytest.mark.parametrize("name", AVERAGED)
def test_averaged_weights_are_preferred_and_named(narrow: Callable, save: Callable, name: str) -> None:
    make, said = AVERAGED[name]
    net = narrow(ARCH)
    trained = {name: x.clone() for name, x in net.state_dict().items()}
    report = weights.load(net, save(make(trained, later(trained))))
    assert report.complete and said in str(report) and "averaged" in str(report)
    assert all(torch.equal(x, trained[key] + 1) for key, x in net.state_dict().items())


def test_trained_weights_on_request(narrow: Callable, save: Callable) -> None:
    state = narrow("ocrnet.HRNet").state_dict()
    path = save({"model": state, "ema": later(state)})
    assert torch.equal(weights.read_file(path).state["ocr.cls_head.bias"], state["ocr.cls_head.bias"] + 1)
    file = weights.read_file(path, ema=False)
    assert torch.equal(file.state["ocr.cls_head.bias"], state["ocr.cls_head.bias"])
    assert "trained weights (model) taken, averaged ones (ema) left" in file.notes[0]


def test_an_average_of_something_else_is_none(narrow: Callable, save: Callable) -> None:
    """A moving average of losses or of a part is not the network's."""
    net = narrow("ocrnet.HRNet")
    state = later(net.state_dict())
    report = weights.load(
        net, save({"model": state, "ema": {"loss": torch.ones(1), "ocr.cls_head.bias": torch.ones(5)}})
    )
    assert report.complete and torch.equal(net.ocr.cls_head.bias, state["ocr.cls_head.bias"])


@pytest.mark.in_make_test("parameters alone")
@pytest.mark.parametrize("kind", ["parameters alone", "half of them", "other shapes"])
def test_an_average_that_is_not_whole_is_left_with_a_line(narrow: Callable, save: Callable, kind: str) -> None:
    """Averages that keep no buffers, or were cut: what is taken instead is said."""
    net = narrow("ocrnet.HRNet")
    state = later(net.state_dict())
    parts = {
        "parameters alone": {name: x + 1 for name, x in state.items() if name in dict(net.named_parameters())},
        "half of them": dict(list(later(state).items())[::2]),
        "other shapes": {name: x + 1 if x.dim() < 2 else x[:, :1] for name, x in state.items()},
    }
    report = weights.load(net, save({"model": state, "ema_state_dict": parts[kind]}))
    assert report.complete and torch.equal(net.ocr.cls_head.bias, state["ocr.cls_head.bias"])
    assert "averaged weights (ema_state_dict) left: " in str(report) and " entries of use there, " in str(report)


def test_of_several_networks_the_one_that_fits(narrow: Callable, save: Callable) -> None:
    net = narrow("ocrnet.HRNet")
    state = later(net.state_dict())
    other = narrow(ARCH).state_dict()
    for content in (
        {"discriminator": other, "generator": state},
        {"nets": {"a": other, "b": prefixed("module.", state)}},
    ):
        report = weights.load(net, save(content))
        assert report.complete and torch.equal(net.ocr.cls_head.bias, state["ocr.cls_head.bias"])


def test_what_is_left_unread_is_said(narrow: Callable, save: Callable) -> None:
    net = narrow("ocrnet.HRNet")
    report = weights.load(net, save({"state_dict": net.state_dict(), "args": argparse.Namespace(), "out": Path("x")}))
    assert "left unread beside the weights: argparse.Namespace, pathlib" in str(report)
    plain = weights.load(net, save(net.state_dict()))
    assert plain.weights.notes == () and len(str(plain).splitlines()) == 1


@pytest.mark.in_make_test("odd0", "last")
@pytest.mark.parametrize("odd", [argparse.Namespace(), "last", [1], torch.ones(3), {"a": 1}])
def test_odd_values_beside_the_weights(narrow: Callable, save: Callable, odd: Any) -> None:
    """They are of no use, and no traceback."""
    net = narrow("ocrnet.HRNet")
    names = ("epoch", "mean_iu", "num_classes", "optimizer", "best_mIoU", "command")
    for content in ({"state_dict": net.state_dict()}, {"state_dict": prefixed("model.", net.state_dict())}):
        assert weights.load(net, save(content | dict.fromkeys(names, odd))).complete


def test_parts_are_no_wrappers(narrow: Callable, save: Callable) -> None:
    """A trunk that has a name of its own there is not taken for a network without one."""
    with pytest.raises(UserError, match="of its .* entries fit the network"):
        weights.load(narrow("seg_hrnet.HRNet"), save(narrow("basic.HRNet").state_dict()))


@pytest.mark.parametrize("prefix", ["net.", "module.model.", "encoder.body.", "x."])
def test_trunks_behind_any_prefix(narrow: Callable, save: Callable, prefix: str) -> None:
    net = narrow(ARCH)
    state = later(net.trunk_module.state_dict())
    head = {"classifier.weight": torch.ones(4, 4), "loss.weight": torch.ones(4)}
    report = weights.load_trunk(net, save({"model_state_dict": prefixed(prefix, state) | head}))
    assert report.complete and all(torch.equal(x, state[key]) for key, x in net.trunk_module.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "net.", "model.network."])
def test_an_unnamed_network_is_told_behind_a_prefix(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guess, "ARCHS", {arch: ARCHS[arch] for arch in ("basic.HRNet", "ocrnet.HRNet", ARCH)})
    words = ["--arch", "ocrnet.HRNet", "--width_mult", "0.1", "MODEL.OCR.MID_CHANNELS", "8"]
    for branches in (1, 2, 3, 4):
        stage = f"MODEL.OCR_EXTRA.STAGE{branches}"
        words += [f"{stage}.NUM_MODULES", "1", f"{stage}.NUM_BLOCKS", str([1] * branches)]
    cfg = config.load(words)
    state = prefixed(prefix, network.build(cfg).state_dict())
    assert guess.fitting(state, network.settings(cfg)) == ["ocrnet.HRNet"]


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        ({"a": torch.ones(1)}, ()),
        ({"epoch": torch.tensor(3), "model": {"a": torch.ones(1), "b": torch.ones(1)}}, ("model",)),
        ({"optimizer": ADAM, "x": {"y": {"z": {"a": torch.ones(1)}}}}, ("x", "y", "z")),
        ({"optimizer": ADAM}, None),
        ({"state": {0: {"a": torch.ones(1)}}}, None),
        ([{"a": torch.ones(1)}], None),
    ],
)
def test_places(content: Any, keys: tuple[str, ...] | None) -> None:
    """Optimizers, whose entries go by numbers, are no networks; nor are lists."""
    place, note = places.choose(content)
    assert (place and place.keys) == keys and not note


@pytest.mark.parametrize(
    "names", [("encoder.a", "decoder.a"), ("encoder.a", "decoder.a", "scale_attn.a"), ("ocr.a", "a")]
)
@pytest.mark.parametrize("layout", sorted(weights.writers()))
def test_a_layout_holds_every_entry_or_is_refused(layout: str, names: tuple[str, ...]) -> None:
    write = weights.writers()[layout].write
    assert write is not None
    try:
        files = write(weights.Weights(dict.fromkeys(names, torch.zeros(1)), "ours")).values()
    except UserError as error:
        assert layout == "csail" and "encoder" in str(error)
    else:
        states = [content.get("state_dict", content) for content in files]
        assert sum(len(state) for state in states) == len(names)
