"""Variants of a training over seeds: what is run, what is said, what is left out on a second start."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import config
from scripts import compare
from utils.errors import UserError

SCORES = {"a": {"0": 0.5, "1": 0.3}, "b": {"0": 0.6, "1": 0.2}, "c": {"0": 0.54, "1": 0.36}}
METRICS = "val,epoch,{epoch},loss,1.0,mean_iu,{score}\n"


def test_the_table_gives_mean_spread_and_paired_differences() -> None:
    lines = compare.table(SCORES).splitlines()
    assert lines[0] == "| seed | a | b | c |"
    assert lines[2:5] == ["| 0 | 50.00 | 60.00 | 54.00 |", "| 1 | 30.00 | 20.00 | 36.00 |",
                          "| mean +- sd | 40.00 +- 14.14 | 40.00 +- 28.28 | 45.00 +- 12.73 |"]  # fmt: skip
    assert lines[5] == "b - a: +10.00, -10.00; +0.00 +- 14.14 points mIoU"
    assert lines[6] == "c - a: +4.00, +6.00; +5.00 +- 1.41 points mIoU"


def test_conditions_have_tables_of_their_own(tmp_path: Path) -> None:
    folders = {name: {"0": tmp_path / name} for name in ("a", "b")}
    for i, folder in enumerate(tmp_path / name for name in ("a", "b")):
        folder.mkdir()
        (folder / "metrics.csv").write_text(
            f"val,mean_iu,0.5,mean_iu_fog,0.{i + 2},mean_iu_b,{i},epoch,3,timestamp,1.0\n"
        )
    (tmp_path / "b" / "metrics.csv").write_text("val,mean_iu,0.6,mean_iu_fog,0.3,epoch,3,timestamp,1.0")
    whole, fog = compare.tables(folders).split("\n\n")
    assert whole.splitlines()[2] == "| 0 | 50.00 | 60.00 |"
    assert fog.splitlines()[0] == "fog:" and fog.splitlines()[3] == "| 0 | 20.00 | 30.00 |"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What would have been started; each writes a score of its own."""
    seen: list[tuple[str, ...]] = []

    def call(*words: str) -> None:
        seen.append(words)
        folder = Path(words[words.index("--result_dir") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        lines = [METRICS.format(epoch=e, score=s) for e, s in ((0, 0.1), (1, len(seen) / 10))]
        (folder / "metrics.csv").write_text("".join(lines), encoding="utf-8")

    monkeypatch.setattr(compare, "call", call)
    return seen


def test_each_variant_is_trained_with_each_seed_and_only_once(
    calls: list[tuple[str, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("common: --lr 0.1\nvariants:\n  plain:\n  of two words: --rmi_loss\n", encoding="utf-8")
    words = [str(plan), "--out", str(tmp_path / "runs"), "--seeds", "3, 4", "--data_root", "D"]
    assert compare.main(words) == 0
    assert [call[call.index("--seed") + 1] for call in calls] == ["3", "3", "4", "4"]
    assert ["--rmi_loss" in call for call in calls] == [False, True, False, True]
    assert all(call[:3] == ("train.py", "--lr", "0.1") and call[-2:] == ("--data_root", "D") for call in calls)
    printed = capsys.readouterr().out
    assert "| 3 | 10.00 | 20.00 |" in printed and "| 4 | 30.00 | 40.00 |" in printed
    assert compare.main(words) == 0 and len(calls) == 4
    assert capsys.readouterr().out.splitlines() == [line for line in printed.splitlines() if "seed " not in line
                                                    or line.startswith("|")]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["common: a", "- a", "variants: [a]", "variants: {}", "variants: {a: no}", "variants: {a: 'no \"end'}"]
)
def test_a_file_that_is_no_plan_is_one_line(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.yaml").write_text(text, encoding="utf-8")
    assert compare.main([str(tmp_path / "plan.yaml"), "--out", str(tmp_path)]) == 2
    assert "is no plan" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("variants: {a: --lr 1, b: --lrr 1}", "variant 'b': unknown flag --lrr; did you mean '--lr'"),
        ("common: --optimizer adma\nvariants: {a: }", "variant 'a': --optimizer takes one of"),
        ("variants: {a: --num_val -1}", "variant 'a': --num_val must not be negative"),
        ("variants: {a b: --lr 1, a_b: --lr 2}", "'a b' and 'a_b' would write to one folder, a_b"),
        ("variants: {a: --lr 1, a: --lr 2}", "variants.a stands twice, in line 1"),
    ],
)
def test_words_are_checked_before_the_first_training(
    text: str, says: str, calls: list[tuple[str, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.yaml").write_text(text, encoding="utf-8-sig")
    assert compare.main([str(tmp_path / "plan.yaml"), "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and not calls


@pytest.mark.slow
def test_a_training_that_fails_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ended with 2"):
        compare.call("train.py", "--no_such_flag")


@pytest.mark.parametrize("path", sorted(Path(compare.ROOT, "scripts").glob("compare_*.yaml")), ids=lambda p: p.stem)
def test_the_plans_are_command_lines_of_ours(path: Path) -> None:
    plan = compare.read(path)
    for words in plan.variants.values():
        config.load([*plan.common, *words])
    assert len(plan.variants) > 1 and shlex.split(path.read_text(encoding="utf-8").split("# python ")[1].split("\n")[0])
