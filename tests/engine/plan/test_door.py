"""--auto completes a command line, says so, and is taken again by the next start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import runs

import config
import train
from engine import plan
from engine.plan import door, facts, fit, rules, trace, trial
from utils.distributed import DistributedContext
from utils.errors import UserError


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The words of each trial, which takes half a second and 100 MB."""
    seen: list[Sequence[str]] = []

    def imitated(argv: Sequence[str], options: str) -> trial.Measured:  # noqa: ARG001
        seen.append(argv)
        return trial.Measured(0.5, 100 << 20)

    monkeypatch.setattr(trial, "run", imitated)
    monkeypatch.setattr(trace, "training", lambda *_: trace.Peak(100 << 20, "a step"))
    return seen


@pytest.fixture
def words(tiny_scenes: Path, tmp_path: Path) -> list[str]:
    """A command line that is planned, of a run in tmp_path/run."""
    return ["--dataset", "toy", "--data_root", str(tiny_scenes), "--result_dir", str(tmp_path / "run"), "--auto"]


def test_without_it_the_words_stay() -> None:
    argv = ["--dataset", "toy"]
    assert plan.completed(argv, config.load(argv, dry=True), DistributedContext()) == argv


def test_a_plan_is_made_said_and_taken_again(
    words: list[str], tmp_path: Path, tried: list[Sequence[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [*words, "--lr", "0.25", "--dry_run"]
    assert train.main(argv) == 0 and len(tried) == 1
    said = capsys.readouterr().out
    assert "--crop_size 64: " in said and "yours, and left as they are: --data_root, --dataset, --lr" in said
    assert not list((tmp_path / "run").glob("*.pth"))
    cfg = config.load(["--cfg", str(tmp_path / "run" / "plan.yaml"), *argv])
    assert cfg.OPTIM.LR == 0.25 and cfg.TRAIN.BATCH_SIZE == 8 and cfg.TRAIN.ACCUM == 1
    assert train.main([*argv[:-1], "--dry_run", "--resume", "auto"]) == 0 and len(tried) == 1
    assert "the plan of an earlier start is taken" in capsys.readouterr().out
    assert train.main([*argv, "--seed", "3"]) == 2 and len(tried) == 1  # another training
    assert "delete it to plan anew" in capsys.readouterr().err


def test_what_cannot_fit_by_its_trace_is_not_tried(
    words: list[str],
    tried: list[Sequence[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def traced(cfg: Any, *_: object) -> trace.Peak:
        return trace.Peak((1 << 60) if cfg.TRAIN.BATCH_SIZE > 2 else 1, "a step")

    monkeypatch.setattr(trace, "training", traced)
    assert train.main([*words, "--dry_run"]) == 0 and len(tried) == 1
    said = capsys.readouterr().out
    assert said.count("it is not tried") == 2 and "--bs_trn 2: " in said and "--accum 4: " in said


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--trunk", "mobilenetv2dilate"], "unknown --trunk 'mobilenetv2dilate'; did you mean 'mobilenetv2dilated'"),
        (["--trunk", "mobilenetv2dilated"], "--trunk mobilenetv2dilated names a part of a network: also give --head"),
        (["--head", "ocr"], "also give --trunk"),
        (["--scales", "hierarchical"], "also give --trunk"),
        (["--arch", "basic.HRNt"], "unknown --arch 'basic.HRNt'; did you mean 'basic.HRNet'"),
        (["--trunk", "timm:resnet18", "--head", "orc"], "unknown --head 'orc'; did you mean 'ocr'"),
        (["--hrnet_width", "18"], "--hrnet_width is of networks on the trunk hrnet"),
    ],
)
@pytest.mark.parametrize("dry", [["--dry_run"], []])
def test_a_network_that_is_named_wrongly_is_one_line(
    more: list[str],
    says: str,
    dry: list[str],
    words: list[str],
    tmp_path: Path,
    tried: list[Sequence[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(facts, "find_spec", lambda _: True)  # of the pretrained trunk's packages
    assert train.main([*words, *more, *dry]) == 2 and not tried
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and says in line
    assert not (tmp_path / "run").exists()


def test_a_plan_alone_says_what_is_without_effect_and_what_fits(
    words: list[str],
    tried: list[Sequence[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    limits: list[int] = []

    def fitting(cfg: Any, *_: object) -> tuple[list[rules.Choice], list[str]]:
        limits.append(cfg.OPTIONS.MAX_MEMORY)
        return [], ["--max_memory is kept"]

    monkeypatch.setattr(fit, "choices", fitting)
    older = ["--arch", "basic.HRNet", "--trunk", "resnet101", "--scf", "--max_memory", "8GiB"]  # published flags
    assert train.main([*words, *older, "--dry_run"]) == 0 and len(tried) == 1
    said = capsys.readouterr().out
    assert "warning: without effect: --trunk --scf" in said and "--max_memory is kept" in said and limits == [8 << 30]


@pytest.mark.parametrize("more", [["--eval", "val", "--snapshot", "x.pth"], ["--summary"]])
def test_a_plan_is_of_a_training(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--dataset", "toy", "--auto", *more]) == 2
    assert "--auto plans a training" in capsys.readouterr().err


def test_a_dry_run_needs_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--dataset", "toy", "--arch", "ocrnet.HRNet", "--dry_run"]) == 2
    assert "--dry_run" in capsys.readouterr().err


@pytest.mark.slow
def test_a_planned_training_ends_with_planned_beside_measured(words: list[str], tmp_path: Path) -> None:
    argv = [*words, "--max_epoch", "2", "--n_scales", "0.5,1.0"]
    assert train.main(argv) == 0
    report = (tmp_path / "run" / "report.html").read_text()
    assert "training, planned / measured" in report and "memory, planned / measured" in report
    assert runs.last(argv)["epoch"] == 1


def test_what_fails_with_one_image_says_that_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(argv: Sequence[str], options: str) -> trial.Measured:
        raise UserError("give --bs_trn 2")

    monkeypatch.setattr(trial, "run", failing)
    monkeypatch.setattr(trace, "training", lambda *_: trace.Peak(1, "a step"))
    with pytest.raises(UserError, match="give --bs_trn 2; there is one training image, so that no batch has two"):
        door._measured([], DistributedContext(), 1, 1 << 40, {"TRAIN.BATCH_SIZE": 1})
    with pytest.raises(UserError, match="give --bs_trn 2$"):
        door._measured([], DistributedContext(), 2, 1 << 40, {"TRAIN.BATCH_SIZE": 1})
