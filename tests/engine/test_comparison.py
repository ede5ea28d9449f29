"""Runs side by side, from their folders to the page: scored once, refused where they cannot be compared."""

from __future__ import annotations

import json
import shutil
import sqlite3
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import config
import datasets
import inference
import network
import train
from datasets import classes
from engine import checkpoint, comparison, scoring
from engine.log import RunLog
from engine.scored_images import ScoredImages
from inference import temperature
from utils.errors import UserError


def tiny(scenes: Path) -> list[str]:
    """The options of a network that predicts quickly."""
    network = ["--trunk", "resnet50", "--head", "plain", "--width_mult", "0.05", "--segattn_bot_ch", "8"]
    return ["--dataset", "toy", "--data_root", str(scenes), *network, "--num_workers", "0"]


def write_run(folder: Path, words: list[str], seed: int, **other: Any) -> Path:
    """A run folder as a training leaves it, with random weights."""
    cfg = config.load([*words, "--result_dir", str(folder), "--seed", str(seed)])
    torch.manual_seed(seed)
    net, spec = network.build(cfg), datasets.spec(cfg)
    facts = {"arch": cfg.MODEL.ARCH, "num_classes": spec.num_classes, "class_names": list(spec.classes)}
    facts |= {"class_ids": classes.ids_of(spec), "config": config.flat(cfg), "epoch": 1, "mean_iu": 0.1}
    folder.mkdir(parents=True)
    checkpoint.save({"net": net.state_dict(), **facts, **other}, folder / "best_checkpoint_ep1.pth")
    log = RunLog(folder)
    for epoch in range(3):
        log.metric("train", {"loss": 3.0 - epoch + seed}, epoch)
        log.metric("val", {"mean_iu": 0.1 * epoch}, epoch)
        log.scalars({"train/lr": 0.01 / (epoch + 1)}, epoch)
    log.close()
    return folder


@pytest.fixture(scope="module")
def runs(once: Callable[..., Path], tiny_scenes: Path) -> Path:
    """a/seed0, a/seed1 and b<&> with another learning rate."""

    def make(folder: Path) -> None:
        words = tiny(tiny_scenes)
        for seed in (0, 1):
            write_run(folder / f"a/seed{seed}", words, seed)
        write_run(folder / "b<&>", [*words, "--lr", "0.5"], 2)

    return once("compared", make)


@pytest.fixture(autouse=True)
def few_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A temperature is fitted quickly."""
    monkeypatch.setattr(scoring, "BUDGET", 40_000)


def arguments(out: Path, *what: Path, **flags: Any) -> Namespace:
    return Namespace(
        what=[*map(str, what)], out=out, **({"snapshot": "", "seed_sd": None, "fit": False, "overwrite": False} | flags)
    )


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`said(arguments, *further words)`: what a comparison prints."""

    def run(args: Namespace, *more: str) -> str:
        capsys.readouterr()
        comparison.run(args, more, "python scripts/compare.py")
        return capsys.readouterr().out

    return run


def test_runs_are_scored_once_and_a_page_says_what_differs(
    runs: Path, said: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = [runs / "a/seed0", runs / "a/seed1", runs / "b<&>"]
    text = said(arguments(tmp_path, *three))
    assert "4 images, 0 scored before" in text and "b<&> against a:" in text
    assert "measured with 1 degree of freedom" in text and text.count("temperature") == 3
    page = (tmp_path / "compare.html").read_text()
    assert "b&lt;&amp;&gt;" in page and "b<&>" not in page and "--lr" in page
    for title in (
        "Loss by epoch",
        "Mean IoU by epoch",
        "Learning rate by step",
        "Calibration",
        "Images that differ most",
    ):
        assert title in page
    assert "http" not in page.replace("http://www.w3.org", "") and "<script" not in page
    # Started again, nothing is scored: also after images were lost on the way.
    files = sorted(tmp_path.glob("scores-*.sqlite"))
    assert len(files) == 3
    with closing(sqlite3.connect(files[0], isolation_level=None)) as file:
        file.execute("DELETE FROM images WHERE name IN (SELECT name FROM images LIMIT 3)")
    again = said(arguments(tmp_path, *three))
    assert again.count("4 scored before") == 2 and again.count("1 scored before") == 1
    assert _verdicts(again) == _verdicts(text)
    monkeypatch.setattr(scoring, "_stamp", lambda path: f"{path} was changed")
    assert said(arguments(tmp_path, *three)).count("4 images, 0 scored before") == 3


def _verdicts(text: str) -> list[str]:
    return [line for line in text.splitlines() if " mean IoU " in line or "points" in line]


def test_the_scores_are_those_of_an_evaluation_and_certainties_take_the_temperature(
    runs: Path, said: Callable[..., str], tmp_path: Path, tiny_scenes: Path
) -> None:
    run = shutil.copytree(runs / "a/seed0", tmp_path / "run")
    best = run / "best_checkpoint_ep1.pth"
    text = said(arguments(tmp_path / "out", run, fit=True))
    content = json.loads((run / temperature.FILE).read_text())
    assert f"{run / temperature.FILE}: temperature" in text and content["checkpoint"] == best.name
    words = [*tiny(tiny_scenes), "--eval", "val", "--snapshot", str(best), "--dump_confidence"]
    words += ["--result_dir", str(tmp_path / "evaluated")]
    assert train.main(words) == 0
    (row,) = RunLog(tmp_path / "evaluated", main=False).history("val")
    (file,) = (tmp_path / "out").glob("*.sqlite")
    with closing(ScoredImages(file)) as images:
        counts = images.counts(sorted(images.names()))
    assert counts.total()[0] == pytest.approx(row["mean_iu"]) and counts.total()[2] == pytest.approx(row["acc"])
    log = (tmp_path / "evaluated/train.log").read_text()
    assert f"certainties are calibrated with the temperature {content['temperature']:.3f}" in log
    dumped = sorted((tmp_path / "evaluated/confidence").glob("*.png"))
    assert len(dumped) == 4
    cfg = config.load(words)
    item = next(item for item in datasets.build_val(cfg, train.distributed.init(0), "val").dataset.items)
    image = cv2.cvtColor(cv2.imread(item.image), cv2.COLOR_BGR2RGB)
    (prediction,) = inference.load(best)([image], scores=True)
    assert prediction.scores is not None
    sure = (prediction.scores / content["temperature"]).softmax(0).max(0).values.numpy()
    found = cv2.imread(str(next(path for path in dumped if Path(item.name).name in path.name)), cv2.IMREAD_UNCHANGED)
    assert np.abs(found - sure * 255).max() < 1 and np.abs(found - prediction.max_prob.numpy() * 255).max() > 2


def test_seeds_of_one_recipe_are_said_to_be_no_difference(runs: Path, said: Callable[..., str], tmp_path: Path) -> None:
    text = said(arguments(tmp_path, runs / "a/seed0", runs / "a/seed1"))
    assert "seed1 against seed0:" in text and ": no difference\n" in text and comparison.SEEDS_ALONE in text
    assert "another seed gives others" in text
    other = shutil.copytree(runs / "a/seed0", tmp_path / "again")
    state = checkpoint.load(other / "best_checkpoint_ep1.pth")
    checkpoint.save({**state, "epoch": 2}, other / "best_checkpoint_ep1.pth")  # of the same seed
    text = said(arguments(tmp_path, runs / "a/seed0", other))
    assert comparison.ONE_SEED in text and "2.00 points between two seeds" in text and ": +0.00 points" in text


def test_a_page_of_another_comparison_stays(runs: Path, said: Callable[..., str], tmp_path: Path) -> None:
    first, second, page = runs / "a/seed0", runs / "a/seed1", tmp_path / "compare.html"
    page.write_text("mine")
    text = said(arguments(tmp_path, first, second))
    assert f"page: {tmp_path / 'compare_2.html'}; compare.html there is of others" in text
    assert page.read_text() == "mine"

    def place(*what: Path, more: tuple[str, ...] = (), **flags: Any) -> str:
        return comparison.page_of(arguments(tmp_path, *what, **flags), more)[0].name

    assert place(first, second) == place(first, second, fit=True) == "compare_2.html"  # once more: into the same
    others = [place(second, first), place(first, second, seed_sd=0.01), place(first, second, more=("--do_flip",))]
    assert {*others} == {"compare_3.html"} and place(second, first, overwrite=True) == "compare.html"


def test_a_temperature_of_another_checkpoint_stays(runs: Path, said: Callable[..., str], tmp_path: Path) -> None:
    run = shutil.copytree(runs / "a/seed0", tmp_path / "run")
    best, last, file = run / "best_checkpoint_ep1.pth", run / "last_checkpoint_ep2.pth", run / temperature.FILE
    checkpoint.save({**checkpoint.load(best), "epoch": 2}, last)
    file.write_text("mine")
    with pytest.raises(UserError, match="no temperature of a checkpoint.*--overwrite"):
        said(arguments(tmp_path / "out", run, fit=True))
    assert file.read_text() == "mine" and not list((tmp_path / "out").glob("*.sqlite"))
    with pytest.raises(UserError, match="lie in one folder"):
        said(arguments(tmp_path / "out", best, last, fit=True, overwrite=True))
    said(arguments(tmp_path / "out", run, fit=True, overwrite=True))
    assert json.loads(file.read_text())["checkpoint"] == best.name


def test_what_cannot_be_compared_is_one_line(
    runs: Path, said: Callable[..., str], tmp_path: Path, tiny_scenes: Path
) -> None:
    words = tiny(tiny_scenes)
    other = write_run(tmp_path / "other", words, 3, class_names=["road", "moon"])
    fewer = write_run(tmp_path / "fewer", [*words, "--num_val", "2"], 3)
    first = runs / "a/seed0"
    for what, says in (
        ([first], "alone has nothing to be compared with"),
        ([first, other], "'moon' first"),
        ([first, fewer], "validated on other images"),
        ([first, shutil.copytree(first, tmp_path / "copy")], "the same checkpoint"),
    ):
        with pytest.raises(UserError, match=says) as error:
            said(arguments(tmp_path / "out", *what))
        assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").glob("*.sqlite"))  # nothing was scored in vain
    with pytest.raises(UserError, match="unknown flag --lrr"):
        said(arguments(tmp_path / "out", first, runs / "a/seed1"), "--lrr", "1")
