"""Small fast networks: how they are trained as the documentation says, and how their milliseconds are taken."""

import re
from pathlib import Path

import pytest
import torch

import config
import loss
import network
from benchmarks import campaign_small, render
from benchmarks.campaign_bench import Bench
from network.trunk import timm_nets
from utils.distributed import DistributedContext

timm = pytest.importorskip("timm", reason="an extra: pip install timm")
PAGE = Path(__file__).resolve().parents[2] / "docs/benchmarks.md"
CPU = torch.device("cpu")


def given(page: str) -> dict[str, str]:
    """{trunk of timm: weights} of the commands of a page that train by the recipe."""
    commands = re.findall(
        r"camvid_fast\.yaml(?:[^\n]*\\\n)?[^\n]*--trunk timm:(\S+) \S+ plain --trunk_weights (\S+)", page
    )
    return dict(commands)


def test_the_documentation_names_the_trunks_and_weights_that_there_are() -> None:
    found = given(PAGE.read_text(encoding="utf-8"))
    assert {*found, "tf_efficientnet_lite0"} == {*campaign_small.TRUNKS}
    for trunk, weights in found.items():
        name = weights.removeprefix("hf:timm/")
        assert name in timm.list_pretrained(f"{trunk}.*")
        assert timm_nets.published_colors(name) == timm_nets.published_colors(trunk)
        assert f"timm:{trunk} --head plain --trunk_weights {weights}\n" in campaign_small.RECIPE.read_text()


@pytest.mark.parametrize("trunk", campaign_small.TRUNKS)
def test_a_step_of_the_recipe_with_another_trunk(trunk: str) -> None:
    """The recipe's network is the trunk's under a plain head, and its loss reaches the trunk's first weights."""
    cfg = config.load([*campaign_small.words(trunk), "--bs_trn", "2"])
    assert cfg.MODEL.ARCH == f"timm:{trunk}+plain" and cfg.DATASET.NAME == "camvid"
    torch.manual_seed(0)
    net = network.build(cfg).train()
    label = torch.randint(0, cfg.DATASET.NUM_CLASSES, (2, 64, 64))
    total, _ = loss.build(cfg, DistributedContext(device=CPU))(net(torch.randn(2, 3, 64, 64), (64, 64)), label, 0)
    total.backward()
    first = next(net.trunk_module.parameters())
    assert total.isfinite() and first.grad is not None and bool(first.grad.any())


def test_milliseconds_of_a_piece(tmp_path: Path) -> None:
    pieces = {piece.name: piece for piece in campaign_small.small(Bench(CPU, True, tmp_path))}
    assert {*pieces} == {*campaign_small.TRUNKS}
    row = pieces["mobilenetv4_conv_small"].run()
    assert 0 < row["from"] <= row["ms"] <= row["to"] and (row["size"], row["type"]) == ("64x128", "float32")


def test_a_row_is_median_and_quartiles() -> None:
    row = campaign_small.row([0.004, 0.001, 0.002, 0.003, 0.005], (1024, 2048), torch.float16, 1_500_000)
    assert row == {
        "ms": pytest.approx(3), "from": pytest.approx(2), "to": pytest.approx(4), "size": "1024x2048",
        "type": "float16", "parameters, M": 1.5,
    }  # fmt: skip
    record = {"started": "2026-12-01T00", "hardware": {"device": "x"}, "stages": {"small networks": {
        "a": {"state": "done", **row}, "b": {"state": "left out", "why": "no time"},
    }}}  # fmt: skip
    table = render.of_campaign(record)
    assert "| a | 3 | 2 | 4 | 1024x2048 | float16 | 1.5 |" in table and "Not measured: b: left out, no time." in table


def test_without_the_package_it_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(campaign_small, "find_spec", lambda _: None)
    rows = [piece.run() for piece in campaign_small.small(Bench(CPU, False, tmp_path))]
    assert rows and all(row == {"state": "left out", "why": "pip install timm"} for row in rows)
