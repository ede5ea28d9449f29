"""Both sides of the benchmark do the same work: equal results on small settings. Nothing is timed against a bound."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.fill import image, labels
from shared import GOLDEN

import config
from benchmarks import baselines, measure, others, pairs, run
from benchmarks.pairs import Job
from network.fused import Chain, fusing
from utils.errors import UserError

pytestmark = pytest.mark.run

# A net of a few thousand weights.
SMALL = [
    *("--hrnet_width", "4", "--num_workers", "0", "MODEL.OCR.DROPOUT", "0"),
    *("MODEL.OCR.MID_CHANNELS", "16", "MODEL.OCR.KEY_CHANNELS", "8", "DATASET.CLASS_UNIFORM_TILE", "64"),
    *("MODEL.OCR_EXTRA.STAGE1.NUM_BLOCKS", "1", "MODEL.OCR_EXTRA.STAGE2.NUM_BLOCKS", "1,1"),
    *("MODEL.OCR_EXTRA.STAGE3.NUM_BLOCKS", "1,1,1", "MODEL.OCR_EXTRA.STAGE4.NUM_BLOCKS", "1,1,1,1"),
    *("MODEL.OCR_EXTRA.STAGE3.NUM_MODULES", "1", "MODEL.OCR_EXTRA.STAGE4.NUM_MODULES", "1"),
]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """The data benchmark sets one thread, as a worker has; on a GPU machine the small net still goes to the CPU."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def job(tmp_path: Path, *argv: str, arch: str = "ocrnet.HRNet_Mscale") -> Job:
    head = [] if arch == "ocrnet.HRNet" else ["--segattn_bot_ch", "8"]
    cfg = config.load(["--arch", arch, *argv, *head, *SMALL])
    return Job(cfg, (96, 128), torch.device("cpu"), tmp_path)


def test_confusion_matrices_agree(tmp_path: Path) -> None:
    pair = pairs.metrics(job(tmp_path))
    expected, found = pair.baseline(), pair.ours()
    assert expected.sum() > 9000 and (expected > 0).sum() > 50
    np.testing.assert_array_equal(found, expected)


def test_baseline_confusion_is_the_published_one() -> None:
    assert baselines.histogram(np.array([0, 1, 1, 0]), np.array([0, 0, 1, 255]), 2).tolist() == [[1, 1], [0, 1]]


def test_centroids_agree(tmp_path: Path) -> None:
    pair = pairs.centroids(job(tmp_path))
    expected, found = pair.baseline(), pair.ours()
    assert len(expected) > 10 and len(np.unique(expected[:, 0])) > 5
    np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_samples_are_alike(tmp_path: Path) -> None:
    """Random draws differ; type, size, range and the share of each class over many crops agree."""
    random.seed(0)
    torch.manual_seed(0)
    pair = pairs.data(job(tmp_path, "--crop_size", "64,80"))
    shares = []
    for call, dtype in ((pair.baseline, torch.float32), (pair.ours, torch.uint8)):
        counts = torch.zeros(256)
        for _ in range(60):
            image, label = call()
            assert image.shape == (3, 64, 80) and image.dtype == dtype
            assert label.shape == (64, 80) and label.dtype == torch.int64
            counts += label.flatten().bincount(minlength=256)
        shares.append(counts / counts.sum())
    assert shares[0][:19].gt(0).sum() > 12
    assert (shares[0] - shares[1]).abs().sum() < 0.35


@pytest.mark.parametrize("arch", ["ocrnet.HRNet", "ocrnet.HRNet_Mscale", "basic.HRNet"])
def test_predictions_agree(tmp_path: Path, arch: str) -> None:
    scales = ["--n_scales", "0.5,1.0,2.0"] if arch.endswith("_Mscale") else []
    pair = pairs.evaluation(job(tmp_path, *scales, arch=arch))
    expected, found = pair.baseline(), pair.ours()
    assert expected.shape == found.shape == (96, 128) and len(np.unique(expected)) > 1
    assert (expected == found).mean() >= 0.999


@pytest.mark.in_make_test("basic.HRNet-flags4")
@pytest.mark.parametrize(
    ("arch", "flags"),
    [
        ("ocrnet.HRNet_Mscale", []),
        ("ocrnet.HRNet_Mscale", ["--supervised_mscale_loss_wt", "0.05"]),
        ("ocrnet.HRNet_Mscale", ["--rmi_loss", "--supervised_mscale_loss_wt", "0.05"]),
        ("ocrnet.HRNet", ["--rmi_loss"]),
        ("basic.HRNet", []),
    ],
)
def test_training_steps_agree(tmp_path: Path, arch: str, flags: list[str]) -> None:
    """The same losses before and after the first steps, so the same gradients, too."""
    pair = pairs.training(job(tmp_path, *flags, arch=arch))
    expected = [pair.baseline() for _ in range(3)]
    found = [pair.ours() for _ in range(3)]
    assert expected[0] != expected[1]
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)


def test_baseline_losses_meet_the_golden_ones() -> None:
    """The yardstick itself: cross entropy and RMI as published."""
    golden = json.loads((GOLDEN / "nvidia/losses.json").read_text())["losses"]
    logits = torch.from_numpy(image("losses", (2, 19, 64, 96)) * 3)
    label = torch.from_numpy(labels("losses", (2, 64, 96), 19))
    values = {
        "ce": baselines.cross_entropy(logits, label, 255),
        "rmi.do_rmi_False": baselines.rmi_loss(logits, label, 19, region=False),
        "rmi.do_rmi_True": baselines.rmi_loss(logits, label, 19),
    }
    for name, value in values.items():
        assert value.item() == pytest.approx(golden["cases"][name]["value"], rel=1e-5), name


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its best is measured on little."""
    monkeypatch.setattr(measure, "GEMM", {"cpu": 32})
    monkeypatch.setattr(measure, "MAPS", {"cpu": (1, 8, 8, 8)})


@pytest.mark.in_make_test("metrics")
@pytest.mark.parametrize("what", sorted(pairs.PAIRS))
def test_command(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], small_machine: None) -> None:
    out = tmp_path / "numbers.json"
    words = ["--what", what, "--baseline", "eager", "--size", "64,96", "--steps", "2", "--crop_size", "64", "--out"]
    result = run.main([*words, str(out), "--clock", "cpu" if what == "metrics" else "wall", *SMALL])
    assert json.loads(out.read_text()) == json.loads(json.dumps(result))
    printed = capsys.readouterr().out
    assert "eager" in printed and "ratio" in printed and torch.__version__ in printed
    assert result["ratio"] == result["baseline"]["median"] / result["ours"]["median"] > 0
    assert result["size"] == [64, 96] and result["hardware"]["cpu"]
    if what in run.NETWORKS:
        sides = result["baseline"], result["ours"]
        assert all(side["share"] > 0 and side["per_second"] == 1 / side["median"] for side in sides)
        # In evaluation ours leaves out the attention of the largest scale, which nothing reads.
        assert 0 < sides[1]["operations"] <= 1.01 * sides[0]["operations"] and result["arch"]


def test_operations_and_the_machines_best(small_machine: None) -> None:
    layer, image = torch.nn.Conv2d(3, 4, 3), torch.ones(1, 3, 10, 10)
    assert measure.operations(lambda: layer(image)) == 2 * 27 * 4 * 8 * 8
    fused, wide = Chain(layer, torch.nn.BatchNorm2d(4)).eval(), torch.ones(1, 3, 34, 34)
    with torch.inference_mode(), fusing():  # one kernel of another library
        assert measure.operations(lambda: fused(wide)) == 2 * 27 * 4 * 32 * 32
    rates = measure.best_rates(torch.device("cpu"))
    assert set(rates) == {"gemm", "convolution"} and min(rates.values()) > 0


def tiny_network(classes: int) -> torch.nn.Module:
    return torch.nn.Conv2d(3, classes, 1)


@pytest.mark.parametrize("what", ["train", "eval"])
def test_what_people_would_use_does_the_same_work(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain loop around a network of one layer: images in, loss or classes out."""
    tiny = others.OTHERS["torchvision"]._replace(network=tiny_network, loss=others.OTHERS["smp"].loss)
    monkeypatch.setitem(others.OTHERS, "torchvision", tiny)
    pair = others.pair(what, "torchvision", job(tmp_path, arch="basic.HRNet"))
    found, ours = pair.baseline(), pair.ours()
    if what == "train":
        assert found > pair.baseline() > 0 and ours > 0
    else:
        assert found.shape == ours.shape == (96, 128) and found.max() < 19


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(others.OTHERS))
def test_the_others_networks_have_the_same_trunk(name: str) -> None:
    """The weights of ResNet-50 are 23.5 M; each gives K maps of the image's size, and has a loss."""
    if reason := others.missing(name):
        pytest.skip(reason)
    other = others.OTHERS[name]
    with torch.device("meta"):
        net = other.network(5)
        trunk = net.encoder if name == "smp" else net.backbone
        label = torch.zeros(2, 64, 96, dtype=torch.int64)
        total = other.loss(net.train()(torch.empty(2, 3, 64, 96)), label, 255)
    assert sum(p.numel() for p in trunk.parameters()) == pytest.approx(23.5e6, rel=0.01) and total.shape == ()


def test_pairs_of_a_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run.chosen(["train", "metrics"], ["eager"]) == [("metrics", "eager"), ("train", "eager")]
    assert run.chosen(["train", "data"], ["smp"]) == [("train", "smp")]
    everything = run.chosen(["all"], ["eager"])
    assert len(everything) == 7 + 3 + 3 + 1 and everything[-1] == ("scaling", "")
    with pytest.raises(UserError, match="--baseline smp does eval, train, start, not data"):
        run.chosen(["data"], ["smp"])
    with pytest.raises(UserError, match="did you mean 'metrics'"):
        run.chosen(["metric"], ["eager"])
    monkeypatch.setattr(others, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="requirements-peers.txt"):
        run.main(["--what", "train", "--baseline", "smp"])


def test_turns_and_memory() -> None:
    calls: list[str] = []
    block = 64 << 20

    def small() -> None:
        calls.append("small")

    def large() -> None:
        calls.append("large")
        np.ones(block, np.uint8)

    first, second = measure.in_turns(measure.Pair(small, large, "call"), 4, torch.device("cpu"))
    assert calls == ["small", "large"] + ["small", "large", "large", "small"] * 2
    assert len(first.seconds) == len(second.seconds) == 4
    if second.memory:  # 0: the system does not tell
        assert 0.9 * block < second.memory and first.memory < 0.5 * block
