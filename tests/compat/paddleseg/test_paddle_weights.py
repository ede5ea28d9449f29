"""PaddleSeg's files: names by rule, both networks filled, what stands beside the arrays, the optimizer."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from golden.fill import fill
from narrow_nets import GOLDEN
from torch import nn

from compat.paddleseg import weights as paddle
from engine import restore
from engine.state import TrainState
from network import weights
from network.weights import metadata
from scripts.convert_checkpoint import main as convert
from utils.distributed import DistributedContext
from utils.errors import UserError

pytestmark = pytest.mark.run

PADDLE = GOLDEN / "paddle"
FILES = {
    "ocrnet.HRNet_Mscale": ("mscale_ocrnet_hrnet_w48.json", "key_map.json"),
    "ocrnet.HRNet": ("ocrnet_hrnet_w48.json", "key_map_ocrnet.json"),
}


def told(arch: str) -> tuple[dict[str, list[int]], dict[str, str]]:
    """Names and shapes there, and the names here."""
    manifest, names = ((PADDLE / file).read_text() for file in FILES[arch])
    return json.loads(manifest), json.loads(names)


def arrays(net: nn.Module, arch: str) -> dict[str, np.ndarray]:
    """What Paddle would save of a network of ours, narrow ones, too."""
    state = net.state_dict()
    return {key: fill(key, state[name].shape) for key, name in told(arch)[1].items() if name in state}


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def write(content: object, name: str = "model.pdparams", protocol: int = 4) -> Path:
        (tmp_path / name).write_bytes(pickle.dumps(content, protocol=protocol))
        return tmp_path / name

    return write


@pytest.mark.parametrize("arch", sorted(FILES))
def test_names_and_shapes_equal_the_published_ones(full, arch: str) -> None:
    manifest, names = told(arch)
    assert {key: paddle.rename(key) for key in manifest} == names
    own = {k: list(x.shape) for k, x in full(arch).state_dict().items() if not k.endswith("num_batches_tracked")}
    assert {paddle.rename(key): shape for key, shape in manifest.items()} == own


@pytest.mark.in_make_test("2-ocrnet.HRNet", "4-ocrnet.HRNet_Mscale")
@pytest.mark.parametrize("arch", sorted(FILES))
@pytest.mark.parametrize("protocol", [2, 4])
def test_file_fills_the_network(narrow, save, arch: str, protocol: int) -> None:
    net = narrow(arch)
    content = arrays(net, arch)
    report = weights.load(net, save(content | {"StructuredToParameterName@@": {}}, protocol=protocol))
    assert report.complete and not report.unexpected
    assert (report.weights.arch, report.weights.num_classes, report.source) == (arch, 5, f"paddle, {arch}, 5 classes")
    assert len(report.matched) == len(content)
    assert str(report).endswith(f"{len(content)} of {len(content)} entries of the network")
    filled = net.state_dict()
    for key, x in content.items():
        np.testing.assert_array_equal(filled[paddle.rename(key)].numpy(), x)


def test_pre_training_file_starts_the_multi_scale_network(narrow, save) -> None:
    """Mapillary's OCRNet carries the prefix; its 65 classes are left out."""
    content = arrays(narrow("ocrnet.HRNet", 7), "ocrnet.HRNet")
    net = narrow("ocrnet.HRNet_Mscale")
    report = weights.load(net, save({f"ocrnet.{key}": x for key, x in content.items()}))
    assert all(name.startswith("scale_attn.") for name in report.missing)
    assert set(report.skipped) == {f"ocr.{h}.{p}" for h in ("cls_head", "aux_head.2") for p in ("weight", "bias")}
    assert weights.load_trunk(net, save(content)).complete


def test_a_trunk_alone_has_its_names_without_a_prefix(narrow, save) -> None:
    """As the distilled ImageNet weights (SSLD) that PaddleSeg starts from, with a classifier behind."""
    net = narrow("ocrnet.HRNet")
    whole = arrays(net, "ocrnet.HRNet")
    trunk = {key.removeprefix("backbone."): x for key, x in whole.items() if key.startswith("backbone.")}
    report = weights.load_trunk(net, save(trunk | {"fc.weight": np.zeros((4, 3), np.float32)}))
    assert report.complete and report.unexpected == ["fc.weight"] and len(report.matched) == len(trunk)
    filled = net.trunk_module.state_dict()
    for key, x in trunk.items():
        name = paddle.rename(f"backbone.{key}").removeprefix("backbone.")
        np.testing.assert_array_equal(filled[name].numpy(), x)


def test_arrays_that_are_stored_otherwise(save) -> None:
    """Halves of a split array, bits of bfloat16, a tensor with its name; what is no array is left out."""
    split = {"big.weight@@.0": np.arange(4.0), "big.weight@@.1": np.arange(4.0, 6.0)}
    content = split | {
        "UnpackBigParamInfor@@": {"big.weight": {"OriginShape": (2, 3), "slices": list(split)}},
        "half.weight": (torch.tensor([1.5, -2.0]).bfloat16().view(torch.int16).numpy().view(np.uint16)),
        "named._mean": ("w_0", np.ones(2, np.float32)),
        "StructuredToParameterName@@": {"named._mean": "w_0"},
        "epoch": 3,
    }
    for protocol in (2, 4):
        file = weights.read_file(save(content, protocol=protocol))
        assert sorted(file.state) == ["big.weight", "half.weight", "named.running_mean"]
        assert file.state["big.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert file.state["half.weight"].dtype == torch.bfloat16 and file.state["half.weight"].tolist() == [1.5, -2]
        assert isinstance(file.momentum, partial) and file.arch == ""
        assert file.momentum.keywords == {"internal": {"named.running_mean": "w_0"}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": 1, "StructuredToParameterName@@": {}}, "no weights in it, but a dict with a"),
        ([np.ones(2)], "no weights in it, but a list"),
        ({"a@@.0": np.ones(2), "UnpackBigParamInfor@@": {"a": {"OriginShape": (3,), "slices": ["a@@.0"]}}}, "parts of"),
        ({"a@@.0": np.ones(2), "UnpackBigParamInfor@@": {"a": {"OriginShape": (2,), "slices": ["a@@.1"]}}}, "parts of"),
        ({"a@@.0": np.ones(2), "UnpackBigParamInfor@@": {"a": 7}}, "parts of"),
    ],
)
def test_no_weights(save, content: object, words: str) -> None:
    path = save(content)
    with pytest.raises(UserError, match=words) as caught:
        weights.read_file(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_the_file_names_the_network(narrow, save) -> None:
    path = save(arrays(narrow("ocrnet.HRNet_Mscale"), "ocrnet.HRNet_Mscale"))
    assert metadata.of_file(path) == {"MODEL.ARCH": "ocrnet.HRNet_Mscale"}
    with pytest.raises(UserError, match="does not name its network: give --arch"):
        metadata.of_file(PADDLE / "sample.pdparams")


@pytest.mark.parametrize("to", ["plain", "nvidia"])
def test_convert_checkpoint_reads_it(narrow, save, tmp_path: Path, to: str) -> None:
    net = narrow("ocrnet.HRNet")
    path = save(arrays(net, "ocrnet.HRNet"))
    assert convert([str(path), str(tmp_path / "out.pth"), "--to", to]) == 0
    report = weights.load(narrow("ocrnet.HRNet"), tmp_path / "out.pth")
    assert report.complete and report.weights.arch == ("ocrnet.HRNet" if to == "nvidia" else "")


# --- the optimizer -------------------------------------------------------------------------------------------------


class Sample(nn.Module):
    """The network of the samples; Paddle's linear layer has its weight the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)  # other order than in the file
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.bn = nn.BatchNorm2d(4)


def state_of(net: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> TrainState:
    optimizer = optimizer or torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    return TrainState(net, optimizer, torch.amp.GradScaler("cpu", enabled=False))


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    for suffix in (".pdparams", ".pdopt"):
        shutil.copy(PADDLE / f"sample{suffix}", tmp_path)
    return tmp_path / "sample.pdparams"


OPTIONS: dict[str, Any] = {"TRAIN.MAX_ITERS": 0, "TRAIN.MAX_EPOCH": 1000, "MODEL.ARCH": "", "TRAIN.ACCUM": 1}


def test_resume_takes_momentum_and_place(sample: Path) -> None:
    state = state_of(Sample())
    line = restore.resume(sample, state, OPTIONS, DistributedContext(), length=10)
    content = pickle.loads((PADDLE / "sample.pdopt").read_bytes())
    for name, known in (
        ("conv.weight", "conv2d_0.w_0"),
        ("bn.bias", "batch_norm2d_0.b_0"),
        ("fc.bias", "linear_0.b_0"),
    ):
        buffer = state.optimizer.state[state.net.get_parameter(name)]["momentum_buffer"]
        np.testing.assert_array_equal(buffer.numpy(), content[f"{known}_velocity_0"])
    assert state.net.fc.weight not in state.optimizer.state  # type: ignore[union-attr]
    assert (state.epoch, state.iteration, state.step) == (-1, 1, 1)
    assert "momentum of 5 of 5 parameters from" in line and "anew for 1 parameters of another shape" in line
    assert "1 iterations done there, in epochs of 10 batches epoch -1 and 1 batches of the next" in line
    assert "learning rate there 0.00405" in line


@pytest.mark.parametrize(
    ("done", "length", "accum", "where"), [(65, 10, 1, (5, 5)), (65, 10, 2, (12, 0)), (9, 10, 1, (-1, 9))]
)
def test_iterations_become_epochs(sample: Path, done: int, length: int, accum: int, where: tuple[int, int]) -> None:
    content = pickle.loads(sample.with_suffix(".pdopt").read_bytes()) | {"LR_Scheduler": {"last_epoch": done}}
    sample.with_suffix(".pdopt").write_bytes(pickle.dumps(content, protocol=4))
    state = state_of(Sample())
    restore.resume(sample, state, OPTIONS | {"TRAIN.ACCUM": accum}, DistributedContext(), length)
    assert (state.epoch, state.iteration, state.step) == (*where, done)


def test_momentum_continues_as_it_would_have_there(sample: Path) -> None:
    """One step: velocity = 0.9 velocity + gradient, weight -= rate * velocity."""
    state = state_of(Sample())
    restore.resume(sample, state, OPTIONS, DistributedContext(), length=10)
    weight, expected = state.net.get_parameter("bn.weight"), fill("sample.bn.weight", (4,))
    velocity = pickle.loads((PADDLE / "sample.pdopt").read_bytes())["batch_norm2d_0.w_0_velocity_0"]
    weight.grad = torch.ones(4)
    state.optimizer.step()
    np.testing.assert_allclose(weight.detach().numpy(), expected - 0.1 * (0.9 * velocity + 1), rtol=1e-6)


def test_a_file_without_schedule_starts_from_the_first_epoch(sample: Path) -> None:
    content = pickle.loads(sample.with_suffix(".pdopt").read_bytes())
    del content["LR_Scheduler"]
    sample.with_suffix(".pdopt").write_bytes(pickle.dumps(content, protocol=2))
    state = state_of(Sample())
    assert "no schedule in sample.pdopt, so from epoch 0" in restore.resume(
        sample, state, OPTIONS, DistributedContext(), 10
    )
    assert (state.epoch, state.iteration, state.step) == (-1, 0, 0)


def test_wrong_companions(sample: Path) -> None:
    def complaint(state: TrainState | None = None) -> str:
        with pytest.raises(UserError) as caught:
            restore.restore_optimizer(sample, state or state_of(Sample()))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    net = Sample()
    assert "use --optimizer sgd" in complaint(state_of(net, torch.optim.AdamW(net.parameters())))
    sample.with_suffix(".pdopt").write_bytes(pickle.dumps({"other_velocity_0": np.ones(2)}, protocol=4))
    assert "no momentum in it for the parameters of sample.pdparams" in complaint()
    sample.with_suffix(".pdopt").write_bytes(pickle.dumps([1], protocol=4))
    assert "no momentum in it" in complaint()
    sample.with_suffix(".pdopt").write_bytes(b"\x00torn")
    assert "sample.pdopt: not a readable checkpoint" in complaint()
    sample.with_suffix(".pdopt").unlink()
    assert "has no sample.pdopt beside it" in complaint()


def test_resume_of_another_network(narrow, save) -> None:
    path = save(arrays(narrow("ocrnet.HRNet"), "ocrnet.HRNet"))
    state = SimpleNamespace(net=narrow("ocrnet.HRNet_Mscale"))
    with pytest.raises(UserError, match="is of ocrnet.HRNet, not of --arch ocrnet.HRNet_Mscale"):
        restore.resume(path, state, OPTIONS | {"MODEL.ARCH": "ocrnet.HRNet_Mscale"}, DistributedContext(), 10)  # type: ignore[arg-type]
