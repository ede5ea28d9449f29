"""Runs by their checkpoints: which file is taken, how runs are called, and which are seeds of one recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import config
from engine import checkpoint, recipes
from engine.recipes import RecordedRun, changes, grouped, named
from utils.errors import UserError


def run(place: str, **options: Any) -> RecordedRun:
    path = Path(place)
    values = {key.replace("__", "."): value for key, value in options.items()}
    return RecordedRun(path, path / "best_checkpoint_ep3.pth", ("a", "b"), config.defaults() | values, place)


def names(*runs: RecordedRun) -> list[str]:
    return [one.name for one in named(runs)]


def test_runs_are_called_by_the_shortest_end_of_their_path() -> None:
    assert names(run("/x/a/seed0"), run("/x/b/seed0"), run("/x/b/seed1")) == ["a/seed0", "b/seed0", "seed1"]
    one = run("/x/a/seed0")
    other = replace(one, checkpoint=one.folder / "last_checkpoint_ep9.pth", digest="y")
    assert names(one, other) == ["best_checkpoint_ep3", "last_checkpoint_ep9"]
    with pytest.raises(UserError, match="are the same checkpoint: give two trainings"):
        named([one, replace(run("/x/c"), digest=one.digest)])


def test_runs_that_differ_by_their_seed_alone_are_one_recipe() -> None:
    here = {
        "ASSETS_PATH": "/here",
        "DATASET__CENTROID_ROOT": "/here/centroids",
        "MODEL__HRNET_CHECKPOINT": "/here/w.pth",
    }
    there = {"ASSETS_PATH": "/there", "DATASET__CENTROID_ROOT": "/c", "MODEL__HRNET_CHECKPOINT": "/there/w.pth"}
    runs = named([
        run("/x/plain/seed0", SEED=0, **here), run("/x/rmi/seed0", SEED=0, LOSS__RMI=True, **here),
        run("/x/plain/seed1", SEED=1, DATASET__ROOT="/elsewhere", **there), run("/x/odd", OPTIM__LR=0.5, **here),
    ])  # fmt: skip
    found = grouped(runs)
    assert [(one.name, len(one.runs)) for one in found] == [("plain", 2), ("rmi/seed0", 1), ("odd", 1)]
    assert changes(found[0], found[1])[0][0] == "--rmi_loss"
    assert ("--lr", str(config.defaults()["OPTIM.LR"]), "0.5") in changes(found[0], found[2])


def test_seeds_of_one_recipe_stand_each_by_itself() -> None:
    found = grouped(named([run("/x/seed0", SEED=0), run("/x/seed1", SEED=1)]))
    assert [(one.name, len(one.runs)) for one in found] == [("seed0", 1), ("seed1", 1)]
    assert not changes(*found) and not list(recipes.notes(found))
    several = grouped(named([run("/x/a", SEED=0), run("/x/b", SEED=0), run("/x/c", OPTIM__LR=0.5)]))
    assert list(recipes.notes(several)) == [
        "warning: a has several runs of one seed: their spread is not that between seeds"
    ]


def write(path: Path, **content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save({"net": {}, "class_names": ["a", "b"], "config": {"SEED": 3}, **content}, path)
    return path


def test_an_evaluation_keeps_nothing_where_a_record_says() -> None:
    options = run("a", **{"DATASET.CACHE_DECODED": "/elsewhere", "DATASET.NAME": "toy"}).start_options()
    assert "DATASET.CACHE_DECODED" not in options and options["DATASET.NAME"] == "toy"


def test_the_best_checkpoint_is_taken_or_the_one_that_is_named(tmp_path: Path) -> None:
    last, best = write(tmp_path / "r/last_checkpoint_ep5.pth"), tmp_path / "r/best_checkpoint_ep2.pth"
    found = recipes.read(tmp_path / "r")
    assert found.checkpoint == last and "its last checkpoint is taken" in found.note
    write(best, config={"SEED": 4})
    assert recipes.read(tmp_path / "r").checkpoint == best and not recipes.read(tmp_path / "r").note
    assert recipes.read(tmp_path / "r", "last*").checkpoint == last == recipes.read(last).checkpoint
    assert recipes.read(last).classes == ("a", "b") and recipes.read(last).options == {"SEED": 3}


def test_what_is_no_run_is_one_line(tmp_path: Path) -> None:
    write(tmp_path / "run_a/best_checkpoint_ep2.pth")
    write(tmp_path / "run_a/last_checkpoint_ep3.pth")
    torch.save({"state_dict": {"x": torch.zeros(1)}}, tmp_path / "theirs.pth")
    (tmp_path / "empty").mkdir()
    for place, snapshot, says in (
        ("run_b", "", r"run_b: there is no such run folder; did you mean 'run_a'\?"),
        ("empty", "", "empty has no checkpoint"),
        ("run_a", "best_checkpoint_ep3.pth", r"did you mean 'best_checkpoint_ep2.pth'"),
        ("run_a", "*.pth", "2 checkpoints are called"),
        ("theirs.pth", "", "does not record its training"),
    ):
        with pytest.raises(UserError, match=says) as error:
            recipes.read(tmp_path / place, snapshot)
        assert "\n" not in str(error.value)
