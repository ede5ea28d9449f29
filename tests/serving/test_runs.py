"""Which folders are runs, what is told of them, and that no link leads out of the folder that is served."""

from __future__ import annotations

import json
from pathlib import Path

from serving import runs
from serving.runs import listing, read


def made(folder: Path, *scores: float, epochs: int = 0, date: float = 1.0, report: bool = True) -> Path:
    """A run's folder, as far as the list reads it."""
    folder.mkdir(parents=True)
    rows = [f"start,start/step,0,timestamp,{date}"]
    rows += [f"train,loss,1.0,epoch,{epoch},timestamp,{date}" for epoch in range(epochs)]
    rows += [f"val,mean_iu,{score},epoch,{i},timestamp,{date}" for i, score in enumerate(scores)]
    (folder / "metrics.csv").write_text("\r\n".join(rows) + "\r\n")
    (folder / "hparams.json").write_text(json.dumps({"arch": "a.B", "dataset": "camvid", "max_epoch": 9}))
    if report:
        (folder / "report.html").write_text("<p>report</p>")
    return folder


def test_what_is_told_of_a_run(tmp_path: Path) -> None:
    folder = made(tmp_path / "logs/one", 0.5, 0.7, 0.6, epochs=3, date=20.0)
    (folder / "best_checkpoint_ep1.pth").touch()
    made(tmp_path / "logs/two", date=30.0, report=False)
    newer, one = listing(tmp_path / "logs").runs
    assert (newer.name, newer.score, newer.epochs, newer.report, newer.checkpoint) == ("two", None, 0, None, "")
    assert (one.name, one.arch, one.dataset, one.score, one.epochs, one.planned) == ("one", "a.B", "camvid", 0.7, 3, 9)
    assert (one.date, one.report) == (20.0, folder / "report.html")
    assert one.checkpoint == str(folder / "best_checkpoint_ep1.pth") and one.key != newer.key


def test_runs_are_found_in_any_depth_with_their_evaluations(tmp_path: Path) -> None:
    for name in ("a/seed0", "a/seed0/eval_val", "a/seed0/images/x", "b", "b/before-20260101-000000", ".hidden/c"):
        made(tmp_path / name)
    found = listing(tmp_path)
    assert sorted(run.name for run in found.runs) == ["a/seed0", "a/seed0/eval_val", "b"] and found.notes == []
    assert [run.name for run in listing(tmp_path / "b").runs] == ["b"]  # a run that is named itself


def test_links_lead_nowhere(tmp_path: Path) -> None:
    secret = made(tmp_path / "secret", 0.1)
    run = made(tmp_path / "logs/run", report=False)
    (tmp_path / "logs/linked").symlink_to(secret)
    (run / "report.html").symlink_to(secret / "report.html")
    found = listing(tmp_path / "logs")
    assert [one.name for one in found.runs] == ["run"] and found.runs[0].report is None
    assert found.notes == ["not followed, links to folders: linked"]
    (run / "report.html").unlink()
    (run / "report.html").symlink_to(run / "report.html")  # a circle
    assert listing(tmp_path / "logs").runs[0].report is None
    (run / "report.html").unlink()
    (run / "page.html").write_text("here")
    (run / "report.html").symlink_to("page.html")  # one that stays in the folder
    assert listing(tmp_path / "logs").runs[0].report == run / "page.html"


def test_odd_files_are_no_traceback(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    for text in ("[" * 5000, "[]", "{", '{"max_epoch": "many", "arch": 3}', ""):
        (run / "hparams.json").write_text(text)
        assert read(run, tmp_path).planned == 0
    for text in ("train,epoch,nan\nval,mean_iu,nan,epoch,1\n", "train,epoch,inf\n", '"', "\0"):
        (run / "metrics.csv").write_text(text)
        assert (read(run, tmp_path).score, read(run, tmp_path).epochs) == (None, 0)
    assert listing(tmp_path / "nowhere").runs == []


def test_a_long_list_is_cut_and_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(runs, "MOST", 2)
    for name in "abc":
        made(tmp_path / name)
    found = listing(tmp_path)
    assert len(found.runs) == 2 and found.notes == ["more than 2 runs: the others are not listed"]


def test_numbers_without_end(tmp_path: Path) -> None:
    """Somebody's metrics.csv does not take the whole page down: what is no row, no date and no score is left out."""
    made(tmp_path / "logs/good", 0.5, date=20.0)
    lines = ["train,epoch,-inf", "train,epoch,inf", "val,epoch,1,mean_iu,0.25,timestamp,1e300", "x" * 200_000]
    bad = made(tmp_path / "logs/bad", date=10.0)
    (bad / "metrics.csv").write_text("\n".join(lines) + "\n")
    (bad / "hparams.json").write_text("[" * 100_000)
    found = {run.name: run for run in listing(tmp_path / "logs").runs}
    assert found["good"].score == 0.5 and found["bad"].score == 0.25
    assert (found["bad"].epochs, found["bad"].arch) == (0, "") and found["bad"].date < 1e11
