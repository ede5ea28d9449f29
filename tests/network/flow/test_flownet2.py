"""FlowNet2: the published names and numbers, any size, its weights' files, and correlation against its definition."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.fill import fill, image
from torch import Tensor

from network.flow import flownet2
from network.flow.correlation import Correlation
from network.flow.flownet2 import FlowNet2
from network.flow.padding import padded
from utils.errors import UserError

pytestmark = pytest.mark.run

GOLDEN = Path(__file__).parents[2] / "golden" / "sdcnet"
MANIFEST: dict[str, list[int]] = json.loads((GOLDEN / "FlowNet2.json").read_text())
STAGES = {
    "corr": "flownetc.corr", "c": "flownetc", "s1": "flownets_1", "s2": "flownets_2", "sd": "flownets_d",
    "flow": "flownetfusion",
}  # fmt: skip


@pytest.fixture(scope="module")
def narrow() -> FlowNet2:
    """A network of 1/16 of the channels with random weights."""
    torch.manual_seed(3)
    return FlowNet2(width=1 / 16).eval()


def frames(height: int, width: int, count: int = 1) -> tuple[Tensor, Tensor]:
    """Two random images, 0 to 255."""
    generator = torch.Generator().manual_seed(height + width)
    first, second = (255 * torch.rand(count, 3, height, width, generator=generator) for _ in range(2))
    return first, second


def test_published_names() -> None:
    with torch.device("meta"):
        net = FlowNet2()
    assert {name: list(x.shape) for name, x in net.state_dict().items()} == MANIFEST
    index = json.loads((GOLDEN / "manifest_index.json").read_text())["FlowNet2"]
    assert len(MANIFEST) == index["keys"]
    assert sum(p.numel() for p in net.parameters()) == index["params"]


@pytest.mark.slow
def test_published_numbers() -> None:
    golden = np.load(GOLDEN / "FlowNet2.npz")
    name = json.loads(str(golden["meta"]))["name"]
    with torch.device("meta"):
        net = FlowNet2()
    net.load_state_dict({key: torch.from_numpy(fill(key, shape)) for key, shape in MANIFEST.items()}, assign=True)
    found: dict[str, Tensor] = {}
    for stage, module in STAGES.items():
        net.get_submodule(module).register_forward_hook(lambda m, x, out, stage=stage: found.update({stage: out}))
    given = np.clip(127 + 50 * image(name, (1, 3, 2, 64, 128)), 0, 255).astype(np.float32)
    with torch.no_grad():
        out = net(*torch.from_numpy(given).unbind(2))
    for stage in STAGES:
        reference = golden[stage]
        np.testing.assert_allclose(found[stage].numpy(), reference, rtol=0, atol=1e-4 * np.abs(reference).max())
    assert torch.equal(out, found["flow"])


@pytest.mark.parametrize(("reach", "step", "width"), [(4, 2, 7), (3, 1, 5), (6, 3, 8), (2, 2, 1)])
def test_correlation_is_its_definition(reach: int, step: int, width: int) -> None:
    """Value and gradient, against one displacement after another."""
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(2, 5, 6, width, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2))
    out = Correlation(reach, step)(a, b)
    displacements = range(-reach, reach + 1, step)
    expected = torch.zeros(2, len(displacements) ** 2, 6, width, dtype=torch.float64)
    for k, (dy, dx) in enumerate((dy, dx) for dy in displacements for dx in displacements):
        for y in range(6):
            for x in range(width):
                if 0 <= y + dy < 6 and 0 <= x + dx < width:
                    expected[:, k, y, x] = (a[:, :, y, x] * b[:, :, y + dy, x + dx]).mean(1)
    torch.testing.assert_close(out, expected)
    weights = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    for found, wanted in zip(*(torch.autograd.grad((x * weights).sum(), (a, b)) for x in (out, expected)), strict=True):
        torch.testing.assert_close(found, wanted)
    with pytest.raises(ValueError, match="reach 3, step 4"):
        Correlation(3, 4)


def test_any_size(narrow) -> None:
    """Inside, a frame without its mean is continued by its border; outside nothing of that is seen."""
    first, second = frames(70, 100, count=2)
    seen: list[Tensor] = []
    whole: list[Tensor] = []
    hooks = [
        narrow.flownetc.register_forward_pre_hook(lambda m, given: seen.extend(given)),
        narrow.flownetfusion.register_forward_hook(lambda m, given, out: whole.append(out)),
    ]
    with torch.no_grad():
        flow = narrow(first, second)
    for hook in hooks:
        hook.remove()
    mean = torch.stack((first, second)).mean((0, 3, 4)).view(2, 3, 1, 1)  # of a sample and channel, over both frames
    for x, given in zip((first, second), seen, strict=True):
        assert given.shape == (2, 3, 128, 128)
        torch.testing.assert_close(given, padded((x - mean) / 255, 64))
    assert flow.shape == (2, 2, 70, 100) and torch.equal(flow, whole[0][..., :70, :100])


def test_padding_repeats_the_border() -> None:
    x = torch.arange(6.0).view(1, 1, 2, 3)
    assert padded(x, 1) is x
    assert padded(x, 4).tolist() == [[[[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]]]
    assert padded(x, 8, least=9).shape == (1, 1, 16, 16)


def test_it_learns(narrow) -> None:
    """Every weight has a gradient: nothing of the stack is left out."""
    net = FlowNet2(width=1 / 16)
    net(*frames(64, 64)).abs().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


@pytest.mark.parametrize("layout", ["published", "plain", "in SDCNet"])
def test_files(narrow, tmp_path, layout: str) -> None:
    state = narrow.state_dict()
    content = {
        "published": {"state_dict": state, "epoch": 0, "arch": "FlowNet2"},
        "plain": state,
        "in SDCNet": {"state_dict": {f"flownet2.{k}": v for k, v in state.items()} | {"conv1.0.bias": torch.ones(3)}},
    }[layout]
    torch.save(content, tmp_path / "flow.pth.tar")
    net = FlowNet2(width=1 / 16)
    report = flownet2.load(net, str(tmp_path / "flow.pth.tar"))
    assert report.complete and not report.unexpected
    assert all(torch.equal(x, state[name]) for name, x in net.state_dict().items())


def test_source(narrow, tmp_path, monkeypatch) -> None:
    torch.save({"state_dict": narrow.state_dict()}, tmp_path / "flow.pth")
    monkeypatch.setattr(flownet2, "FlowNet2", lambda: FlowNet2(width=1 / 16))
    first, second = frames(64, 64)
    flow = flownet2.source(str(tmp_path / "flow.pth"))(first, second)
    assert not flow.requires_grad
    with torch.no_grad():
        assert torch.equal(flow, narrow(first, second))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "needs a file of weights"),
        ({"state_dict": {"conv1.weight": torch.zeros(3)}}, "give a file of FlowNet2"),
        ({"flownetc.conv1.0.bias": torch.zeros(4)}, "does not fill FlowNet2: 219 entries are missing"),
    ],
)
def test_wrong_file(tmp_path, monkeypatch, content, says: str) -> None:
    monkeypatch.setattr(flownet2, "FlowNet2", lambda: FlowNet2(width=1 / 16))
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(UserError, match=says) as error:
        flownet2.source("" if content is None else str(path))
    assert "\n" not in str(error.value)
