"""SDCNet: the published names, numbers and losses, what it is given, and its weights' files."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.fill import fill, image, labels
from torch import Tensor

from loss.prediction import prediction_loss, steps
from network.flow import flownet2, sdcnet, sources
from network.flow.flownet2 import FlowNet2
from network.flow.sdcnet import MODELS, SDCNet2D, SDCNet2DRecon
from network.flow.warp import warp
from utils.errors import UserError

pytestmark = pytest.mark.run

GOLDEN = Path(__file__).parents[2] / "golden" / "sdcnet"
FIXED = ("flow_mean", "flow_std", "rgb_mean")


def manifest(name: str) -> dict[str, list[int]]:
    return json.loads((GOLDEN / f"{name}_seq2_without_flownet2.json").read_text())


def frames(count: int, height: int = 64, width: int = 64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(count)
    return [255 * torch.rand(1, 3, height, width, generator=generator) for _ in range(count)]


def red_motion(target: Tensor, source: Tensor) -> Tensor:
    """A flow that tells the channels apart: the red one's difference, which is the first of RGB."""
    return (target[:, :1] - source[:, :1]).expand(-1, 2, -1, -1) / 50


def trained_like(net: SDCNet2D) -> SDCNet2D:
    """Random values in the layer that starts at zero."""
    generator = torch.Generator().manual_seed(5)
    net.final_flow.weight.data.copy_(0.05 * torch.randn(net.final_flow.weight.shape, generator=generator))
    return net.eval()


@pytest.mark.parametrize("name", MODELS)
def test_published_names(name: str) -> None:
    net = MODELS[name]()
    assert {key: list(x.shape) for key, x in net.state_dict().items()} == manifest(name)
    index = json.loads((GOLDEN / "manifest_index.json").read_text())[name]
    assert len(manifest(name)) == index["keys"] and net.conv1[0].in_channels == index["conv1_in"]
    assert sum(p.numel() for p in net.parameters()) == index["params"]
    with torch.device("meta"):
        whole = MODELS[name](FlowNet2())
    flownet2 = json.loads((GOLDEN / "FlowNet2.json").read_text())
    expected = manifest(name) | {f"flownet2.{key}": shape for key, shape in flownet2.items()}
    assert {key: list(x.shape) for key, x in whole.state_dict().items()} == expected
    assert sum(p.numel() for p in whole.parameters() if p.requires_grad) == index["params"]


def test_published_numbers() -> None:
    golden = np.load(GOLDEN / "SDCNet2DRecon.npz")
    name, net = json.loads(str(golden["meta"]))["name"], SDCNet2DRecon().eval()
    state = {key: torch.from_numpy(fill(key, shape)) for key, shape in manifest(name).items() if key not in FIXED}
    state["final_flow.weight"] *= 0.1
    assert tuple(net.load_state_dict(state, strict=False).missing_keys) == FIXED
    images = [np.clip(127 + 50 * image(f"{name}:image{i}", (1, 3, 64, 128)), 0, 255) for i in range(3)]
    given = [torch.from_numpy(x.astype(np.float32)) for x in images]
    flows = [torch.from_numpy((4 * image(f"{name}:flow{i}", (1, 2, 64, 128))).astype(np.float32)) for i in range(2)]
    label = torch.from_numpy(labels(name, (1, 64, 128), 19)).float()[:, None]
    with torch.no_grad():
        out = net(given, label, flows)
    for key, x in (("flow_prediction", out.flow), ("image_prediction", out.image)):
        reference, stride = golden[key], int(golden[f"{key}__stride"])
        tolerance = 1e-4 * float(golden[f"{key}__absmax"])
        np.testing.assert_allclose(x.numpy()[..., ::stride, ::stride], reference, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(out.label.numpy(), golden["label_prediction"])
    losses = prediction_loss(out.image, out.flow, given[2])
    assert list(golden["losses_names"]) == ["color", "color_gradient", "flow_smoothness", "tot"]
    np.testing.assert_allclose([float(x) for x in (*losses, losses.total)], golden["losses"], rtol=1e-5)


def test_loss_by_hand() -> None:
    """A step of 51 between two columns of the target, none in the image; the flow turns round downwards."""
    target = torch.tensor([[0.0, 51.0], [0.0, 51.0]]).expand(1, 3, 2, 2)
    flow = torch.tensor([[1.0, 1.0], [-1.0, -1.0]]).expand(1, 2, 2, 2)
    found = prediction_loss(torch.zeros(1, 3, 2, 2), flow, target)
    assert [round(float(x), 6) for x in found] == [0.1, 51.0, 2.0]
    assert float(found.total) == pytest.approx(0.7 * 0.1 + 0.2 * 51 + 0.1 * 2)
    assert [x.shape for x in steps(flow)] == [(1, 2, 2, 1), (1, 2, 1, 2)]


@pytest.mark.parametrize(("name", "moved"), [("SDCNet2D", 1), ("SDCNet2DRecon", 1)])
def test_moves_a_frame_by_its_flow(name: str, moved: int) -> None:
    """The last frame is moved, in Recon the one before it; flows lead from each frame to the one before."""
    pairs: list[tuple[Tensor, Tensor]] = []

    def source(target: Tensor, other: Tensor) -> Tensor:
        pairs.append((target, other))
        return red_motion(target, other)

    net = trained_like(MODELS[name](source, width=1 / 8))
    given = frames(net.inputs, 70, 90)
    with torch.no_grad():
        out = net(given, torch.ones(1, 1, 70, 90, dtype=torch.uint8))
    assert out.flow.shape == (1, 2, 70, 90) and out.label.dtype == torch.uint8
    assert torch.equal(out.image, warp(given[moved], out.flow))
    assert len(pairs) == net.inputs - 1
    for i, (target, other) in enumerate(pairs):  # RGB of BGR
        assert torch.equal(target, given[i + 1].flip(1)) and torch.equal(other, given[i].flip(1))
    with torch.no_grad():
        again = net(given, flows=[red_motion(*pair) for pair in pairs])
    assert torch.equal(again.flow, out.flow) and again.label is None


def test_flownet2_inside_is_frozen() -> None:
    torch.manual_seed(0)
    net = SDCNet2D(FlowNet2(width=1 / 16), width=1 / 8)
    net.train()
    assert net.training and not net.flownet2.training
    given = frames(2)
    assert torch.equal(net.flows(given)[0], net.flownet2(given[1], given[0]))  # BGR as it comes
    net(given).flow.sum().backward()
    assert all(p.grad is None for p in net.flownet2.parameters())
    assert any(p.grad is not None and p.grad.any() for p in net.final_flow.parameters())


@pytest.mark.parametrize(
    ("count", "message"), [(1, "1 frames and 0 flows: 3"), (4, "4 frames and 3 flows"), (0, "no source")]
)
def test_misuse(count: int, message: str) -> None:
    net = SDCNet2DRecon(red_motion if count else None, width=1 / 16)
    with pytest.raises(ValueError, match=message):
        net(frames(count or 3))
    with pytest.raises(ValueError, match="sequence_length 1"):
        SDCNet2D(sequence_length=1)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("width", [0.25, 0.3, 1.0])
def test_file_tells_the_network(tmp_path: Path, name: str, width: float) -> None:
    """The published layout, with FlowNet2's weights beside; narrow ones too; odd widths are rounded alike."""
    net = trained_like(MODELS[name](red_motion, 3, width) if width < 1 else MODELS[name](red_motion))
    state = {f"module.{key}": x for key, x in net.state_dict().items()}
    content = {"state_dict": state | {"module.flownet2.flownetc.conv1.0.bias": torch.ones(64)}, "arch": name}
    torch.save(content, tmp_path / "sdc.pth.tar")
    found = sdcnet.from_file(str(tmp_path / "sdc.pth.tar"), red_motion)
    assert type(found) is MODELS[name] and found.sequence_length == net.sequence_length
    saved = net.state_dict()
    assert all(torch.equal(x, saved[key]) for key, x in found.state_dict().items())


@pytest.mark.parametrize("name", MODELS)
def test_prediction_of_rgb(tmp_path: Path, name: str) -> None:
    net = trained_like(MODELS[name](red_motion, width=1 / 8))
    torch.save({"state_dict": net.state_dict()}, tmp_path / "sdc.pth")  # nothing says which model it is
    given = frames(3)
    flow = sdcnet.prediction(str(tmp_path / "sdc.pth"), red_motion)(*given)
    with torch.no_grad():
        expected = net([x.flip(1) for x in given[: net.inputs]]).flow
    assert torch.equal(flow, expected) and not flow.requires_grad


def test_known_by_name(tmp_path: Path) -> None:
    """Where propagation looks for it; a source without weights gives the flow between its frames."""
    net = trained_like(SDCNet2DRecon(width=1 / 8))
    torch.save(net.state_dict(), tmp_path / "sdc.pth")
    dis = sources.flow_source("dis")
    given = [x.round() for x in frames(3, 70, 90)]
    flow = sources.PREDICTIONS["sdcnet"](str(tmp_path / "sdc.pth"), dis, torch.device("cpu"))(*given)
    flows = [dis(after, before) for before, after in pairwise(given)]
    with torch.no_grad():
        assert torch.equal(flow, net([x.flip(1) for x in given], flows=flows).flow)
    assert sources.SOURCES["flownet2"] is flownet2.source


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "needs a file of weights"),
        ({"conv1.0.weight": torch.zeros(3)}, "holds no SDCNet"),
        ({"flownetc.conv1.0.bias": torch.zeros(3)}, "holds no SDCNet"),
        ("cut", "does not fill SDCNet2D: 1 entries are missing or of another shape, final_flow.bias first"),
        ("long", "SDCNet2DRecon of 4 frames; give one of 2 or 3"),
    ],
)
def test_wrong_file(tmp_path: Path, content, message: str) -> None:
    path = tmp_path / "other.pth"
    if content == "cut":
        content = {key: x for key, x in SDCNet2D(width=1 / 16).state_dict().items() if key != "final_flow.bias"}
    elif content == "long":
        content = SDCNet2DRecon(sequence_length=3, width=1 / 16).state_dict()
    torch.save(content, path)
    with pytest.raises(UserError, match=message) as error:
        sdcnet.prediction("" if content is None else str(path), red_motion)
    assert "\n" not in str(error.value)


def test_load_refuses_another_width(tmp_path: Path) -> None:
    torch.save(SDCNet2D(width=1 / 4).state_dict(), tmp_path / "sdc.pth")
    with pytest.raises(UserError, match="give a file of SDCNet2DRecon and of its width"):
        sdcnet.load(SDCNet2DRecon(width=1 / 8), str(tmp_path / "sdc.pth"))
