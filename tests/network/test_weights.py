"""Weight files: layouts, lenient matching, what is refused, and the way back to the published layout."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.fill import fill
from narrow_nets import GOLDEN

from compat.nvidia import weights as nvidia
from network import weights
from network.weights import plain, safe_load
from utils.errors import UserError

SAMPLES = [GOLDEN / "nvidia" / f"sample_{kind}.pth" for kind in ("zip", "legacy")]


@pytest.fixture
def save(tmp_path: Path) -> Callable[[object], Path]:
    def write(content: object) -> Path:
        torch.save(content, tmp_path / "file.pth")
        return tmp_path / "file.pth"

    return write


def changed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: x + 1 for k, x in state.items()}


@pytest.mark.parametrize("path", SAMPLES, ids=["zip", "legacy"])
def test_published_samples(path: Path) -> None:
    file = weights.read_file(path)
    assert {k: tuple(x.shape) for k, x in file.state.items() if k.endswith("weight")} == {
        "conv.weight": (4, 3, 3, 3), "bn.weight": (4,), "cls.weight": (2, 4, 1, 1),
    }  # fmt: skip
    for name, x in file.state.items():
        np.testing.assert_array_equal(x.numpy(), fill("sample." + name, x.shape))
    assert (file.arch, file.num_classes, file.epoch, file.mean_iu) == ("ocrnet.HRNet_Mscale", 19, 7, 0.8692)
    assert type(file.mean_iu) is float
    assert file.optimizer["state"]


@pytest.mark.in_make_test("nvidia", "own", "plain")
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {f"module.{k}": x for k, x in state.items()},
        lambda state: {f"module._orig_mod.{k}": x for k, x in state.items()},
        lambda state: {"state_dict": {f"module.{k}": x for k, x in state.items()}, "epoch": 3, "arch": "x"},
        lambda state: {"model": state},
        lambda state: {"format": "streetscale", "net": state, "ema": None, "class_names": ["a"] * 5, "epoch": 1},
    ],
    ids=["plain", "module", "compiled", "nvidia", "model", "own"],
)
def test_layouts(narrow, save, wrap: Callable) -> None:
    net = narrow("ocrnet.HRNet_Mscale")
    state = changed(net.state_dict())
    report = weights.load(net, save(wrap(state)))
    assert report.complete
    assert len(report.matched) == len(state)
    assert all(torch.equal(x, state[k]) for k, x in net.state_dict().items())


def test_own_layout_prefers_averaged_weights(narrow, save) -> None:
    net = narrow("ocrnet.HRNet")
    state = {k: x.clone() for k, x in net.state_dict().items()}
    path = save({"format": "streetscale", "net": state, "ema": changed(state), "arch": "ocrnet.HRNet"})
    key = "ocr.cls_head.bias"
    report = weights.load(net, path)
    assert torch.equal(net.state_dict()[key], state[key] + 1)
    assert "averaged" in str(report)
    weights.load(net, path, ema=False)
    assert torch.equal(net.state_dict()[key], state[key])


def test_single_scale_file_starts_a_multi_scale_net(narrow, save) -> None:
    report = weights.load(narrow("ocrnet.HRNet_Mscale"), save(narrow("ocrnet.HRNet").state_dict()))
    assert report.missing
    assert all(name.startswith("scale_attn.") for name in report.missing)
    assert not report.unexpected
    assert not report.skipped


def test_other_number_of_classes(narrow, save) -> None:
    net = narrow("ocrnet.HRNet", 5)
    before = net.ocr.cls_head.weight.clone()
    other = {"state_dict": narrow("ocrnet.HRNet", 7).state_dict(), "arch": "ocrnet.HRNet", "num_classes": 7}
    report = weights.load(net, save(other | {"more": 1}))
    assert set(report.skipped) == {f"ocr.{h}.{p}" for h in ("cls_head", "aux_head.2") for p in ("weight", "bias")}
    assert torch.equal(net.ocr.cls_head.weight, before)
    assert (report.weights.arch, report.weights.num_classes) == ("ocrnet.HRNet", 7)
    text = str(report)
    assert "ocrnet.HRNet, 7 classes" in text
    assert "file 7x16x1x1, network 5x16x1x1" in text
    assert len(text.splitlines()) == 2


def test_report_is_short(narrow, save) -> None:
    report = weights.load(narrow("ocrnet.HRNet"), save(narrow("basic.HRNet").state_dict()))
    assert len(str(report).splitlines()) == 3
    assert "and " in str(report)
    assert max(map(len, str(report).splitlines())) < 400


def test_refuses_what_hardly_fits(narrow, save) -> None:
    net = narrow("ocrnet.HRNet")
    before = {k: x.clone() for k, x in net.state_dict().items()}
    state = {f"layers.{i}.weight": torch.ones(3) for i in range(20)} | {"ocr.cls_head.bias": torch.ones(5)}
    with pytest.raises(UserError, match="1 of its 21 entries fit the network.*layers.0.weight") as caught:
        weights.load(net, save(state))
    assert "\n" not in str(caught.value)
    assert all(torch.equal(x, before[k]) for k, x in net.state_dict().items())


def test_refuses_another_width(narrow, save) -> None:
    wide = narrow("ocrnet.HRNet", width=12, width_mult=1.0, mid_channels=24, key_channels=12)
    with pytest.raises(UserError, match="file 64x3x3x3, network 16x3x3x3"):
        weights.load(narrow("ocrnet.HRNet"), save(wide.state_dict()))


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "model.", "module.model."])
def test_trunk_release(narrow, save, prefix: str) -> None:
    net = narrow("ocrnet.HRNet_Mscale")
    state = changed(net.trunk_module.state_dict())
    head = {"classifier.weight": torch.ones(4, 4), "classifier.bias": torch.ones(4)}
    report = weights.load_trunk(net, save({prefix + k: x for k, x in (state | head).items()}))
    assert report.complete
    assert all(torch.equal(x, state[k]) for k, x in net.trunk_module.state_dict().items())
    assert report.unexpected == list(head)


def test_trunk_file_given_as_a_network(narrow, save) -> None:
    with pytest.raises(UserError, match="TRUNK_WEIGHTS"):
        weights.load(narrow("ocrnet.HRNet"), save(narrow("ocrnet.HRNet").trunk_module.state_dict()))


def test_trunk_takes_the_trunk_of_a_whole_network(narrow, save) -> None:
    report = weights.load_trunk(narrow("basic.HRNet"), save(narrow("ocrnet.HRNet").state_dict()))
    assert report.complete


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, "text", {"state_dict": {}}, {"state_dict": {"a": 1}}])
def test_no_weights(save, content: object) -> None:
    with pytest.raises(UserError, match="no weights in it"):
        weights.read_file(save(content))


@pytest.mark.parametrize("path", SAMPLES, ids=["zip", "legacy"])
def test_written_layout_is_the_published_one(save, path: Path) -> None:
    published, ours = safe_load.read(path), safe_load.read(save(nvidia.write(weights.read_file(path))[""]))
    published.pop("__metric")
    assert list(ours) == list(published)
    assert type(ours["mean_iu"]) is float
    assert {k: ours[k] for k in ("epoch", "arch", "num_classes", "mean_iu", "command")} == {
        k: published[k] for k in ("epoch", "arch", "num_classes", "mean_iu", "command")
    }
    assert list(ours["state_dict"]) == list(published["state_dict"])
    assert all(torch.equal(x, published["state_dict"][k]) for k, x in ours["state_dict"].items())
    assert ours["optimizer"]["param_groups"] == published["optimizer"]["param_groups"]


def test_states_and_plain_layout() -> None:
    state = weights.read_file(SAMPLES[0]).state
    assert state.keys() == plain.write(weights.read_file(SAMPLES[0]))[""].keys()
    assert "conv.weight" in state
