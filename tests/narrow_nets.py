"""Fixtures: networks as tests need them, narrow for logic, full width with the golden weights."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.fill import fill
from torch import Tensor

import config
import datasets
import network
from engine import checkpoint
from network.families import Settings
from network.net import Net
from network.trunk.hrnet import Stage
from options.archs import ARCHS

TINY = "ocrnet.HRNet_Mscale"  # that of conftest's `tiny_words`
GOLDEN = Path(__file__).parent / "golden"

NARROW = {
    "width": 4,
    "width_mult": 0.25,
    "stages": tuple(Stage(1, (1,) * n) for n in (1, 2, 3, 4)),
    "second_branch": (Stage(1, (1,) * 4),),
    "mid_channels": 16,
    "key_channels": 8,
    "head_channels": 8,
    "aspp_channels": 8,
}


# Of the tests of every network, those in `make test`: each kind of trunk, head and scales.
FEW = (
    *("ocrnet.HRNet_Mscale", "basic.HRNet", "mscale.DeepV3W38Fuse", "mscale2*", "offset.HRNet_OCR", "deepv3.DeepV3R50"),
    *("deeper.DeeperW38", "encoder_decoder", "attnscale.DeepV3R50BP"),
)


def one_of_each() -> Iterator[object]:
    """Parameters: every network; slow are those whose trunk, head and way to scale an earlier one has, too.

    Their names and shapes stay quick in the manifests of the golden tests, a step of each in test_nets.py.
    """
    seen: set[tuple[str, object]] = set()
    for name, row in ARCHS.items():
        parts = {(field, getattr(row, field)) for field in ("trunk", "head", "scales", "aligned", "offsets")}
        yield pytest.param(name, marks=[pytest.mark.slow] * (parts <= seen))
        seen |= parts


@pytest.fixture
def narrow() -> Callable[..., Net]:
    """narrow(arch, **settings): a network of few weights, the same ones every time."""

    def make(arch: str, num_classes: int = 5, **settings: object) -> Net:
        torch.manual_seed(0)
        row = ARCHS[arch]
        chosen = NARROW | ({} if row.trunk == "hrnet" else {"width_mult": 0.125})
        chosen |= {"scales": (0.5, 1.0, 2.0)} if row.scales in ("all", "pairs") else {}
        return network.compose(row, Settings(num_classes, **(chosen | settings)))  # type: ignore[arg-type]

    return make


@pytest.fixture
def full() -> Callable[..., Net]:
    """full(arch, classes, **settings): full width, on the meta device."""

    def make(arch: str, num_classes: int = 19, **settings: object) -> Net:
        with torch.device("meta"):
            return network.compose(ARCHS[arch], Settings(num_classes, **settings))  # type: ignore[arg-type]

    return make


@pytest.fixture
def filled(full: Callable[..., Net]) -> Callable[..., Net]:
    """filled(arch, classes, dtype, **settings): full width with the golden weights."""

    def make(arch: str, num_classes: int = 19, dtype: torch.dtype = torch.float32, **settings: object) -> Net:
        net = full(arch, num_classes, **settings)
        net.load_state_dict({k: weight(k, x.shape, dtype) for k, x in net.state_dict().items()}, assign=True)
        return net

    return make


def weight(name: str, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    x = torch.from_numpy(np.asarray(fill(name, shape)))
    return x.to(dtype) if x.is_floating_point() else x


@pytest.fixture
def golden() -> Callable[[str], dict]:
    """golden("forward.json"): an index file."""
    return lambda name: json.loads((GOLDEN / "nvidia" / name).read_text())


@pytest.fixture(scope="session")
def tiny_snapshot(tiny_words: Callable[[Path, Path], list[str]], tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained checkpoint of such a network, of 19 classes."""
    words = tiny_words(Path("none"), Path("none"))
    flags = [word for i, word in enumerate(words) if {word, words[i - 1]} & {"--width_mult", "--segattn_bot_ch"}]
    cfg = config.load(["--arch", TINY, *flags, *words[words.index("MODEL.OCR.MID_CHANNELS") :]])
    torch.manual_seed(0)
    told = {"arch": TINY, "num_classes": 19, "class_names": list(datasets.spec(cfg).classes), "mean_iu": 0.5}
    path = tmp_path_factory.mktemp("own") / "best.pth"
    checkpoint.save({"net": network.build(cfg).state_dict(), "config": config.flat(cfg), "epoch": 1, **told}, path)
    return str(path)
