"""Flow sources: the right direction, the right scale, and weights of the wrong kind."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from network.flow.sources import flow_source
from network.flow.warp import warp
from utils.errors import UserError

pytestmark = pytest.mark.run


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    """Target and source (1, 3, 131, 203): the target shows at (x, y) what the source has at (x + 5, y - 3)."""
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.uniform(0, 255, (160, 230, 3)).astype(np.float32), (0, 0), 2.0)
    picture = np.clip((picture - 127) * 6 + 127, 0, 255)
    source, target = picture[10:141, 10:213], picture[7:138, 15:218]
    return tuple(torch.from_numpy(np.ascontiguousarray(p)).permute(2, 0, 1)[None] for p in (target, source))  # type: ignore[return-value]


def test_dis_finds_a_shift(pair: tuple[Tensor, Tensor]) -> None:
    target, source = pair
    flow = flow_source("dis")(target, source)
    assert flow.shape == (1, 2, 131, 203) and flow.dtype == torch.float32
    inner = flow[..., 16:-16, 16:-16]
    assert (inner - torch.tensor([5.0, -3.0]).view(1, 2, 1, 1)).abs().median() < 0.2
    apart = (warp(source, flow) - target).abs()[..., 16:-16, 16:-16].mean()
    assert apart < 0.3 * (source - target).abs().mean()


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (8, 200), (12, 40), (15, 200), (40, 3)])
def test_dis_takes_any_size(size: tuple[int, int]) -> None:
    """OpenCV refuses what is small, gives NaN, or crashes."""
    picture = torch.full((2, 3, *size), 90.0)
    assert torch.equal(flow_source("dis")(picture, picture), torch.zeros(2, 2, *size))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["raft_small", "raft_large"])
def test_raft_is_torchvisions(tmp_path: Path, pair: tuple[Tensor, Tensor], name: str) -> None:
    """Any size, padded to multiples of 8; the network and its weights are those of the file."""
    from torchvision.models import optical_flow  # takes seconds

    torch.manual_seed(0)
    net = getattr(optical_flow, name)(weights=None).eval()
    torch.save({"state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, tmp_path / "raft.pth")
    flow = flow_source("raft", str(tmp_path / "raft.pth"))
    target, source = pair
    given = [torch.nn.functional.pad(p, (0, 5, 0, 5), mode="replicate") / 127.5 - 1 for p in pair]
    with torch.no_grad():
        expected = net(*given)[-1][..., :131, :203]
    torch.testing.assert_close(flow(target, source), expected, rtol=0, atol=1e-3 * float(expected.abs().max()))
    assert flow(target[..., :40, :48], source[..., :40, :48]).shape == (1, 2, 40, 48)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("raf", "", "did you mean 'raft'"),
        ("raft", "", "RAFT needs a file of weights"),
        ("raft", "other.pth", "is not of RAFT"),
        ("raft", "list.pth", "holds no weights of RAFT"),
        ("raft", "none.pth", "there is nothing here"),
        ("dis", "other.pth", "takes no weights"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, name: str, weights: str, message: str) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match=message) as caught:
        flow_source(name, str(tmp_path / weights) if weights else "")
    assert "\n" not in str(caught.value)
